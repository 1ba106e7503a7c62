//! The address of a client behind proxies, as nginx's module `realip` finds it:
//! in a header field, where the connection comes from a proxy that is trusted.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use outrigger_model::Cidr;

/// Whose word is believed, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealIp {
    /// The field, whose last address is the client's.
    pub header: HeaderName,
    /// The proxies that are trusted.
    pub from: Vec<Cidr>,
    /// Whether an address of a trusted proxy in the field is passed over for the
    /// one before it.
    pub recursive: bool,
}

/// A client's address that a proxy has told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) ip: IpAddr,
    /// None where the proxy has not told it.
    pub(crate) port: Option<u16>,
    /// The address as the value of a header field.
    pub(crate) value: HeaderValue,
}

impl RealIp {
    /// Whether connections from there are a trusted proxy's.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.from.iter().any(|range| range.contains(peer))
    }

    /// The client's address, if a trusted proxy's request tells one.
    pub(crate) fn find(&self, headers: &HeaderMap) -> Option<Told> {
        let fields = headers.get_all(&self.header).iter().rev();
        let entries = fields.flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b','));
        let mut found = None;
        for entry in entries.map(<[u8]>::trim_ascii).filter(|it| !it.is_empty()) {
            // What is no address ends the chain of words that can be believed.
            let Some(address) = std::str::from_utf8(entry).ok().and_then(parse) else {
                break;
            };
            found = Some(address);
            if !self.recursive || !self.trusts(address.0) {
                break;
            }
        }
        let (ip, port) = found?;
        let value = HeaderValue::from_str(&ip.to_string());
        Some(Told {
            ip,
            port,
            value: value.expect("an address is of visible ASCII"),
        })
    }
}

/// An address, perhaps with a port.
fn parse(text: &str) -> Option<(IpAddr, Option<u16>)> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || {
        let address: SocketAddr = text.parse().ok()?;
        Some((address.ip(), Some(address.port())))
    };
    let alone = text.parse().ok().or_else(bare).map(|ip| (ip, None));
    let (ip, port): (IpAddr, _) = alone.or_else(with_port)?;
    Some((ip.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(recursive: bool, fields: &[&'static str]) -> Option<(String, Option<u16>)> {
        let real_ip = RealIp {
            header: HeaderName::from_static("x-forwarded-for"),
            from: vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()],
            recursive,
        };
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append("x-forwarded-for", HeaderValue::from_static(field));
        }
        let told = real_ip.find(&headers)?;
        assert_eq!(told.value, told.ip.to_string());
        Some((told.ip.to_string(), told.port))
    }

    #[test]
    fn the_last_address_is_the_clients() {
        let some = |ip: &str, port| Some((ip.to_owned(), port));
        for (field, expected) in [
            ("192.0.2.1", some("192.0.2.1", None)),
            ("192.0.2.1, 192.0.2.2", some("192.0.2.2", None)),
            ("192.0.2.1,10.0.0.1", some("10.0.0.1", None)),
            (" 192.0.2.1:81 , ", some("192.0.2.1", Some(81))),
            ("[2001:db8::1]:81", some("2001:db8::1", Some(81))),
            ("[2001:db8::1]", some("2001:db8::1", None)),
            ("::ffff:192.0.2.1", some("192.0.2.1", None)),
            ("192.0.2.1, unknown", None),
            ("", None),
        ] {
            assert_eq!(found(false, &[field]), expected, "{field}");
        }
        assert_eq!(found(false, &[]), None);
        let two = found(false, &["192.0.2.1", "192.0.2.2"]);
        assert_eq!(two, some("192.0.2.2", None));
    }

    #[test]
    fn trusted_proxies_may_be_passed_over() {
        let ip = |fields: &[&'static str]| found(true, fields).map(|(ip, _)| ip);
        assert_eq!(ip(&["1.1.1.1, 192.0.2.1, 10.0.0.1"]).unwrap(), "192.0.2.1");
        assert_eq!(ip(&["192.0.2.1", "10.0.0.1, ::1"]).unwrap(), "192.0.2.1");
        assert_eq!(ip(&["10.0.0.2, 10.0.0.1"]).unwrap(), "10.0.0.2");
        assert_eq!(ip(&["192.0.2.1, what, 10.0.0.1"]).unwrap(), "10.0.0.1");
    }
}
