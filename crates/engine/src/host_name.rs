//! The host that a request is for, normalised as nginx's `$host`.

use std::cell::RefCell;

use http::HeaderValue;

/// A host name or address without port, in lower case, without a dot at its
/// end. Invariant: not empty, and of visible ASCII that may stand in a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(HeaderValue);

impl HostName {
    /// Reads a `Host` field or an authority; `None` for one that is no host.
    #[must_use]
    pub fn parse(authority: &HeaderValue) -> Option<Self> {
        let text = authority.as_bytes();
        let host = strip_port(text)?;
        let host = host.strip_suffix(b".").unwrap_or(host);
        let bad = |byte: &u8| {
            !byte.is_ascii_graphic() || matches!(byte, b'/' | b'\\' | b'?' | b'#' | b'@')
        };
        let empty_label = host.windows(2).any(|pair| pair == b"..");
        if host.is_empty() || empty_label || host.iter().any(bad) {
            return None;
        }
        if host.len() == text.len() && !host.iter().any(u8::is_ascii_uppercase) {
            return Some(HostName(authority.clone()));
        }
        HeaderValue::from_bytes(&host.to_ascii_lowercase())
            .ok()
            .map(HostName)
    }

    /// The host as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("a host is of visible ASCII")
    }

    /// The host as a header's value.
    #[must_use]
    pub fn to_value(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// The host that the last request of a connection was for. The next one is
/// nearly always for the same, and then needs no reading.
#[derive(Debug, Default)]
pub(crate) struct LastHost(RefCell<Option<(HeaderValue, HostName)>>);

impl LastHost {
    /// As [`HostName::parse`].
    pub(crate) fn parse(&self, authority: &HeaderValue) -> Option<HostName> {
        if let Some((last, host)) = &*self.0.borrow()
            && last == authority
        {
            return Some(host.clone());
        }
        let host = HostName::parse(authority)?;
        // Copies, so that they do not hold on to the buffer of the whole request.
        let copy = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
        let last = copy(authority).zip(copy(&host.0).map(HostName));
        *self.0.borrow_mut() = last;
        Some(host)
    }
}

/// What stands before the port, where that is one: digits, of a number that a
/// port can have, or nothing after the colon.
fn strip_port(text: &[u8]) -> Option<&[u8]> {
    let end = match text.first() {
        Some(b'[') => memchr::memchr(b']', text)? + 1,
        _ => memchr::memchr(b':', text).unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(end);
    let is_port = match rest {
        [] | [b':'] => true,
        [b':', port @ ..] => is_port(port),
        _ => false,
    };
    is_port.then_some(host)
}

fn is_port(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_digit)
        && std::str::from_utf8(digits).is_ok_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<String> {
        let host = HostName::parse(&HeaderValue::from_str(text).unwrap())?;
        Some(host.as_str().to_owned())
    }

    #[test]
    fn hosts_are_normalised() {
        for (sent, host) in [
            ("a.test", "a.test"),
            ("A.Test", "a.test"),
            ("a.test:8080", "a.test"),
            ("a.test:", "a.test"),
            ("a.test:65535", "a.test"),
            ("a.test.:00080", "a.test"),
            ("a.test.", "a.test"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("a.test,b.test", "a.test,b.test"),
            ("a_b.test", "a_b.test"),
            ("-", "-"),
        ] {
            assert_eq!(parse(sent).as_deref(), Some(host), "{sent}");
        }
    }

    #[test]
    fn each_request_is_for_its_own_host() {
        let last = LastHost::default();
        let parse = |text: &str| {
            let host = last.parse(&HeaderValue::from_str(text).unwrap())?;
            Some(host.as_str().to_owned())
        };
        assert_eq!(parse("A.test:80").as_deref(), Some("a.test"));
        assert_eq!(parse("A.test:80").as_deref(), Some("a.test"));
        assert_eq!(parse("b.test").as_deref(), Some("b.test"));
        assert_eq!(parse("a/b"), None);
        assert_eq!(parse("b.test").as_deref(), Some("b.test"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for sent in [
            "",
            "a test",
            "a.test/x",
            ":80",
            ".",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "a:b",
            "a:80b",
            "a:+80",
            "a:65536",
            "a:1:2",
            "::1",
            "a..test",
            "u@h",
            "caf\u{e9}",
        ] {
            assert_eq!(parse(sent), None, "{sent}");
        }
    }
}
