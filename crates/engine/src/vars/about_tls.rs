//! Variables about the client's connection over TLS. Without TLS they have no value; of a
//! client that has shown no certificate, those of the certificate are empty.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use ring::digest;

use super::{Scope, Value, bytes};
use crate::tls_session::{TlsSession, Verified};
use crate::x509::About;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Var {
    Protocol,
    Cipher,
    ServerName,
    SessionReused,
    ClientVerify,
    ClientSerial,
    ClientFingerprint,
    ClientSubject,
    ClientIssuer,
    ClientRawCert,
    ClientCert,
    ClientEscapedCert,
}

impl Var {
    pub(super) fn read(name: &str) -> Option<Self> {
        Some(match name.strip_prefix("ssl_")? {
            "protocol" => Var::Protocol,
            "cipher" => Var::Cipher,
            "server_name" => Var::ServerName,
            "session_reused" => Var::SessionReused,
            "client_verify" => Var::ClientVerify,
            "client_serial" => Var::ClientSerial,
            "client_fingerprint" => Var::ClientFingerprint,
            "client_s_dn" => Var::ClientSubject,
            "client_i_dn" => Var::ClientIssuer,
            "client_raw_cert" => Var::ClientRawCert,
            "client_cert" => Var::ClientCert,
            "client_escaped_cert" => Var::ClientEscapedCert,
            _ => return None,
        })
    }

    pub(super) fn value(self, scope: Scope<'_>) -> Option<Value<'_>> {
        let tls = scope.client().tls.as_deref()?;
        match self {
            Var::Protocol => bytes(tls.protocol.as_bytes()),
            Var::Cipher => bytes(tls.cipher.as_bytes()),
            Var::ServerName => bytes(tls.server_name.as_deref()?.as_bytes()),
            Var::SessionReused => bytes(if tls.resumed { b"r" } else { b"." }),
            Var::ClientVerify => Some(verify(tls)),
            about => match &tls.certificate {
                Some(certificate) => about.of_certificate(certificate).map(owned),
                None => bytes(b""),
            },
        }
    }

    fn of_certificate(self, der: &[u8]) -> Option<String> {
        match self {
            Var::ClientSerial => Some(About::read(der)?.serial()),
            Var::ClientSubject => About::read(der)?.subject(),
            Var::ClientIssuer => About::read(der)?.issuer(),
            Var::ClientFingerprint => Some(fingerprint(der)),
            Var::ClientRawCert => Some(pem(der)),
            // A header's value, in nginx's time: lines go on with a tab.
            Var::ClientCert => Some(pem(der).trim_end().replace('\n', "\n\t")),
            Var::ClientEscapedCert => {
                Some(percent_encode(pem(der).as_bytes(), NON_ALPHANUMERIC).to_string())
            }
            _ => None,
        }
    }
}

fn owned<'a>(text: String) -> Value<'a> {
    Cow::Owned(text.into_bytes())
}

fn verify(tls: &TlsSession) -> Value<'_> {
    match &tls.verified {
        Verified::None => Cow::Borrowed(b"NONE"),
        Verified::Success => Cow::Borrowed(b"SUCCESS"),
        Verified::Failed(why) => owned(format!("FAILED:{why}")),
    }
}

/// By SHA-1, as nginx has it.
fn fingerprint(der: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der);
    let bytes = digest.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(PEM_LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = next;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// Characters of a line (RFC 7468, section 2).
const PEM_LINE: usize = 64;
