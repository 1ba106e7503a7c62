//! What variables tell of a client's certificate: its serial number, and the names of who
//! has it and who has signed it, as OpenSSL writes them (RFC 2253).
//!
//! Deliberately absent: any judgement of the certificate, which whoever speaks TLS makes.
//! What cannot be read has no value.

/// What is told of a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct About<'a> {
    serial: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
}

impl<'a> About<'a> {
    /// Reads a certificate (RFC 5280, section 4.1).
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        let mut certificate = Reader(Reader(der).expect(SEQUENCE)?);
        let mut to_be_signed = Reader(certificate.expect(SEQUENCE)?);
        if to_be_signed.0.first() == Some(&VERSION) {
            to_be_signed.expect(VERSION)?;
        }
        let serial = to_be_signed.expect(INTEGER)?;
        let _algorithm = to_be_signed.expect(SEQUENCE)?;
        let issuer = to_be_signed.expect(SEQUENCE)?;
        let _validity = to_be_signed.expect(SEQUENCE)?;
        let subject = to_be_signed.expect(SEQUENCE)?;
        Some(About {
            serial,
            issuer,
            subject,
        })
    }

    /// In hexadecimal, of capital letters.
    pub(crate) fn serial(&self) -> String {
        let serial = match self.serial {
            [0, rest @ ..] if !rest.is_empty() => rest,
            serial => serial,
        };
        serial.iter().map(|byte| format!("{byte:02X}")).collect()
    }

    pub(crate) fn issuer(&self) -> Option<String> {
        name(self.issuer)
    }

    pub(crate) fn subject(&self) -> Option<String> {
        name(self.subject)
    }
}

const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const BMP_STRING: u8 = 0x1e;
const T61_STRING: u8 = 0x14;

/// Values one after the other, in DER.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next value with its tag; none at the end, or where there is none.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let [tag, first, rest @ ..] = self.0 else {
            return None;
        };
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            // No certificate that passed a handshake is as long as four bytes can say.
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = bytes
                    .iter()
                    .fold(0, |length, byte| length << 8 | usize::from(*byte));
                (length, rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, value))
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, value) = self.next()?;
        (found == tag).then_some(value)
    }
}

/// A name: its parts from the last to the first.
fn name(der: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut sets = Reader(der);
    while !sets.0.is_empty() {
        let mut attributes = Reader(sets.expect(SET)?);
        let mut part = Vec::new();
        while !attributes.0.is_empty() {
            let mut attribute = Reader(attributes.expect(SEQUENCE)?);
            let kind = attribute.expect(OBJECT_ID)?;
            let (tag, value) = attribute.next()?;
            part.push(format!(
                "{}={}",
                kind_name(kind),
                escaped(&text(tag, value))
            ));
        }
        parts.push(part.join("+"));
    }
    parts.reverse();
    Some(parts.join(","))
}

/// OpenSSL's short name of an attribute's kind, or the kind's number.
fn kind_name(id: &[u8]) -> String {
    const EMAIL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
    const PILOT: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1];
    let known = match id {
        [0x55, 4, kind] => match kind {
            3 => "CN",
            4 => "SN",
            5 => "serialNumber",
            6 => "C",
            7 => "L",
            8 => "ST",
            9 => "street",
            10 => "O",
            11 => "OU",
            12 => "title",
            42 => "GN",
            _ => "",
        },
        id if id == EMAIL => "emailAddress",
        [rest @ .., 1] if rest == PILOT => "UID",
        [rest @ .., 25] if rest == PILOT => "DC",
        _ => "",
    };
    if known.is_empty() {
        return dotted(id);
    }
    known.to_owned()
}

/// An object identifier in numbers.
fn dotted(id: &[u8]) -> String {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc = 0_u64;
    for byte in id {
        arc = (arc << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            arcs.push(arc);
            arc = 0;
        }
    }
    // The first two share a number.
    if let Some(first) = arcs.first().copied() {
        let top = (first / 40).min(2);
        arcs.splice(..1, [top, first - top * 40]);
    }
    let arcs: Vec<_> = arcs.iter().map(u64::to_string).collect();
    arcs.join(".")
}

/// A value as UTF-8.
fn text(tag: u8, value: &[u8]) -> Vec<u8> {
    match tag {
        BMP_STRING => {
            let units = value.chunks_exact(2);
            let units = units.map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            let text = char::decode_utf16(units).map(|found| found.unwrap_or('\u{fffd}'));
            text.collect::<String>().into_bytes()
        }
        T61_STRING => {
            let text: String = value.iter().map(|byte| char::from(*byte)).collect();
            text.into_bytes()
        }
        _ => value.to_vec(),
    }
}

/// With what has a meaning in a name escaped, and what is no visible ASCII.
fn escaped(text: &[u8]) -> String {
    let mut out = String::new();
    for (index, byte) in text.iter().enumerate() {
        let outermost = index == 0 || index + 1 == text.len();
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            b' ' if outermost => out.push_str("\\ "),
            b'#' if index == 0 => out.push_str("\\#"),
            0x20..0x7f => out.push(char::from(*byte)),
            _ => out.push_str(&format!("\\{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SerialNumber};

    fn certificate(names: &[(DnType, &str)], serial: &[u8]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.serial_number = Some(SerialNumber::from_slice(serial));
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn names_are_written_as_openssl_does() {
        let custom = DnType::CustomDnType(vec![1, 2, 840, 113549, 1, 9, 1]);
        let other = DnType::CustomDnType(vec![2, 5, 4, 99]);
        let der = certificate(
            &[
                (DnType::CountryName, "DE"),
                (DnType::OrganizationName, "Müller, \"Söhne\" + Co"),
                (custom, "a@b.test"),
                (other, "#1 "),
                (DnType::CommonName, " client"),
            ],
            &[0x0a, 0xff],
        );
        let about = About::read(&der).unwrap();
        let name = "CN=\\ client,2.5.4.99=\\#1\\ ,emailAddress=a@b.test,\
                    O=M\\C3\\BCller\\, \\\"S\\C3\\B6hne\\\" \\+ Co,C=DE";
        assert_eq!(about.subject().as_deref(), Some(name));
        assert_eq!(about.issuer().as_deref(), Some(name));
        assert_eq!(about.serial(), "0AFF");
        let der = certificate(&[], &[0x80]);
        let about = About::read(&der).unwrap();
        assert_eq!(
            (about.subject(), &*about.serial()),
            (Some(String::new()), "80")
        );
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        let der = certificate(&[(DnType::CommonName, "client")], &[1]);
        for length in 0..der.len() {
            assert_eq!(About::read(&der[..length]), None, "{length}");
        }
        for index in 0..der.len() {
            let mut broken = der.clone();
            broken[index] ^= 0xff;
            // Anything but a panic.
            let _ = About::read(&broken).map(|about| (about.subject(), about.issuer()));
        }
    }
}
