//! What is known of a client's connection over TLS, and what of a request on it must
//! agree with that.

use std::sync::Arc;

use outrigger_model::{ClientVerification, Ssl};

use crate::certificates::Certificates;
use crate::response::Refusal;

/// What was agreed on with a client when its connection began.
#[derive(Debug)]
pub struct TlsSession {
    /// The name that the client asked for.
    pub server_name: Option<String>,
    /// The name that `ssl` was found by: that one in lower case, or what stands for one
    /// that is missing.
    pub name: String,
    /// What the client was shown.
    pub ssl: Arc<Ssl>,
    /// nginx's name of the protocol's version: `TLSv1.3`.
    pub protocol: &'static str,
    /// OpenSSL's name of the cipher suite.
    pub cipher: &'static str,
    /// Whether an earlier session was taken up.
    pub resumed: bool,
    /// The client's own certificate (DER), if it has shown one.
    pub certificate: Option<Vec<u8>>,
    /// What is thought of that certificate.
    pub verified: Verified,
}

/// What is thought of a client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// Nobody asked for one, or there is none.
    None,
    /// It is good.
    Success,
    /// It is not, and why.
    Failed(String),
}

impl TlsSession {
    /// Whether the client has shown what it must for a request of `path` on `host`,
    /// which is in lower case, by what the names have now.
    ///
    /// # Errors
    /// [`Refusal::BadRequest`], as APISIX answers.
    pub(crate) fn check(
        &self,
        host: &str,
        path: &[u8],
        certificates: &Certificates,
    ) -> Result<(), Refusal> {
        if let Some(client) = &self.ssl.client {
            self.check_client(client, path)?;
        }
        if !certificates.verify_clients() {
            return Ok(());
        }
        let ssl = certificates.find(host);
        let Some(client) = ssl.and_then(|ssl| ssl.client.as_ref()) else {
            return Ok(());
        };
        // A certificate that was good enough for one name says nothing of another.
        if self.name != host {
            return refuse("the connection was made for another host than the request");
        }
        self.check_client(client, path)
    }

    fn check_client(&self, client: &ClientVerification, path: &[u8]) -> Result<(), Refusal> {
        let what = match self.verified {
            Verified::Success => return Ok(()),
            Verified::None => "a client certificate is required",
            Verified::Failed(_) => "the client certificate is not accepted",
        };
        let mut skipped = client.skip_mtls_uri_regex.iter();
        if skipped.any(|pattern| pattern.is_match(path)) {
            return Ok(());
        }
        refuse(what)
    }
}

fn refuse(what: &str) -> Result<(), Refusal> {
    Err(Refusal::BadRequest(what.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::certificates::tests::ssl;

    fn session(name: &str, ssl: &Arc<Ssl>, verified: Verified) -> TlsSession {
        TlsSession {
            server_name: Some(name.to_owned()),
            name: name.to_owned(),
            ssl: Arc::clone(ssl),
            protocol: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384",
            resumed: false,
            certificate: None,
            verified,
        }
    }

    #[test]
    fn who_needs_a_certificate_has_one_for_that_host() {
        let open = ssl("open", json!({"sni": "open.test"}));
        let closed = ssl("closed", json!({"sni": "*.closed.test", "client": {}}));
        let skip = json!({"skip_mtls_uri_regex": ["^/free/"]});
        let free = ssl("free", json!({"sni": "free.test", "client": skip}));
        let certificates = Certificates::new([&open, &closed, &free]);
        let (none, good) = (Verified::None, Verified::Success);
        let bad = Verified::Failed("unknown".into());
        let (a, b) = ("a.closed.test", "b.closed.test");
        for (name, ssl, verified, host, path, passes) in [
            ("open.test", &open, &none, "open.test", "/", true),
            ("open.test", &open, &none, "other.test", "/", true),
            ("open.test", &open, &none, a, "/", false),
            (a, &closed, &good, a, "/", true),
            (a, &closed, &good, b, "/", false),
            (a, &closed, &good, "open.test", "/", true),
            ("free.test", &free, &good, "free.test", "/", true),
            ("free.test", &free, &none, "free.test", "/", false),
            ("free.test", &free, &none, "free.test", "/free/1", true),
            ("free.test", &free, &bad, "free.test", "/free/1", true),
            ("free.test", &free, &bad, "free.test", "/a/free/", false),
            ("free.test", &free, &none, "open.test", "/", false),
            ("open.test", &open, &none, "free.test", "/free/", false),
        ] {
            let session = session(name, ssl, verified.clone());
            let checked = session.check(host, path.as_bytes(), &certificates);
            assert_eq!(checked.is_ok(), passes, "{name} {host} {path} {verified:?}");
        }
    }

    #[test]
    fn what_is_required_counts_from_the_next_request_on() {
        let before = ssl("1", json!({"sni": "a.test"}));
        let now = ssl("1", json!({"sni": "a.test", "client": {}}));
        let session = session("a.test", &before, Verified::None);
        let check = |ssl| session.check("a.test", b"/", &Certificates::new([ssl]));
        assert!(check(&before).is_ok());
        assert!(check(&now).is_err());
    }
}
