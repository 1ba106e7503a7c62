//! Header fields: which of them belong to one connection only, and changes
//! that plugins make.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// A change of one header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Takes out every value of the field.
    Remove(HeaderName),
    /// Puts one value in place of all values of the field.
    Set(HeaderName, HeaderValue),
    /// Adds a value after those that are there.
    Append(HeaderName, HeaderValue),
}

impl HeaderEdit {
    /// The field's name.
    #[must_use]
    pub fn name(&self) -> &HeaderName {
        match self {
            HeaderEdit::Remove(name) | HeaderEdit::Set(name, _) | HeaderEdit::Append(name, _) => {
                name
            }
        }
    }

    /// Applies the change to `headers`.
    pub fn apply(self, headers: &mut HeaderMap) {
        match self {
            HeaderEdit::Remove(name) => {
                headers.remove(name);
            }
            HeaderEdit::Set(name, value) => {
                headers.insert(name, value);
            }
            HeaderEdit::Append(name, value) => {
                headers.append(name, value);
            }
        }
    }
}

/// Fields that say how a message is framed or what one connection does with
/// it: RFC 9110, section 7.6.1 with the fields that are hop-by-hop by custom.
/// A plugin cannot change them.
#[must_use]
pub fn is_framing(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONTENT_LENGTH
            | header::TRANSFER_ENCODING
            | header::CONNECTION
            | header::UPGRADE
            | header::TE
            | header::TRAILER
    ) || matches!(name.as_str(), "keep-alive")
        || name.as_str().starts_with("proxy-")
}

/// Takes out the fields that belong to the connection a message came on:
/// those that `Connection` names (RFC 9110, section 7.6.1) and those that are
/// hop-by-hop whether named or not. `Content-Length` stays; framing is written
/// anew by whoever sends the message on.
///
/// `Trailer` stays: it describes the message, and trailers are forwarded.
///
/// Returns the `Upgrade` field where `Connection` names it, as it has to: the
/// sender's wish, or consent, to leave HTTP.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) -> Option<HeaderValue> {
    // Most messages have hardly any of these: looking at each name that is
    // there costs less than looking up each that may be.
    let mut present = [false; HOP_BY_HOP.len()];
    for at in headers.keys().filter_map(hop_by_hop) {
        present[at] = true;
    }
    let mut upgrade = None;
    if present[CONNECTION_AT] {
        if present[UPGRADE_AT] && wants_upgrade(headers) {
            upgrade = headers.get(header::UPGRADE).cloned();
        }
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .map(HeaderValue::as_bytes)
            .filter(|value| !is_option(value))
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|token| !is_option(token))
            .filter_map(|token| HeaderName::from_bytes(token).ok())
            .filter(|name| !is_end_to_end(name))
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for (name, present) in HOP_BY_HOP.iter().zip(present) {
        if present {
            headers.remove(name);
        }
    }
    upgrade
}

fn wants_upgrade(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION).iter();
    let mut tokens = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

/// Hop-by-hop whether `Connection` names them or not.
static HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

const CONNECTION_AT: usize = 0;
const UPGRADE_AT: usize = 3;

/// Where a name stands in [`HOP_BY_HOP`].
fn hop_by_hop(name: &HeaderName) -> Option<usize> {
    match *name {
        header::CONNECTION => Some(CONNECTION_AT),
        header::TE => Some(1),
        header::TRANSFER_ENCODING => Some(2),
        header::UPGRADE => Some(UPGRADE_AT),
        _ => match name.as_str() {
            "keep-alive" => Some(4),
            "proxy-connection" => Some(5),
            _ => None,
        },
    }
}

/// Connection options that are no fields, or are taken out anyway.
fn is_option(token: &[u8]) -> bool {
    token.eq_ignore_ascii_case(b"keep-alive") || token.eq_ignore_ascii_case(b"close")
}

/// Fields that a sender must not name in `Connection`, and that a hostile one
/// might to have them taken out on the way.
fn is_end_to_end(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::HOST
            | header::CONTENT_LENGTH
            | header::CONTENT_TYPE
            | header::AUTHORIZATION
            | header::COOKIE
            | header::SET_COOKIE
            | header::CACHE_CONTROL
    ) || name.as_str().starts_with("x-forwarded-")
        || name.as_str() == "x-real-ip"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        let mut headers = HeaderMap::new();
        for (name, value) in fields.iter().map(field) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn fields_that_connection_names_are_taken_out() {
        let mut headers = map(&[
            ("connection", "close, X-Secret"),
            ("connection", "x-other,host"),
            ("x-secret", "1"),
            ("x-other", "2"),
            ("host", "a"),
            ("te", "trailers"),
            ("keep-alive", "5"),
            ("content-length", "3"),
            ("x-kept", "4"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(
            headers,
            map(&[("host", "a"), ("content-length", "3"), ("x-kept", "4")])
        );
    }

    #[test]
    fn every_hop_by_hop_field_is_known() {
        for (at, name) in HOP_BY_HOP.iter().enumerate() {
            assert_eq!(hop_by_hop(name), Some(at), "{name}");
            let mut headers = map(&[("x-kept", "1")]);
            headers.append(name, HeaderValue::from_static("x"));
            strip_hop_by_hop(&mut headers);
            assert_eq!(headers, map(&[("x-kept", "1")]), "{name}");
        }
    }

    #[test]
    fn framing_fields_are_known_by_name() {
        for name in [
            "content-length",
            "te",
            "keep-alive",
            "proxy-authenticate",
            "trailer",
        ] {
            assert!(is_framing(&HeaderName::from_static(name)), "{name}");
        }
        assert!(!is_framing(&HeaderName::from_static("content-type")));
    }

    #[test]
    fn an_upgrade_is_one_only_if_the_connection_says_so() {
        let asked = |fields: &[(&'static str, &'static str)]| {
            let mut headers = map(fields);
            let upgrade = strip_hop_by_hop(&mut headers);
            assert!(headers.is_empty());
            upgrade
        };
        let upgrade = ("upgrade", "websocket");
        let websocket = Some(HeaderValue::from_static("websocket"));
        assert_eq!(asked(&[upgrade, ("connection", "Upgrade")]), websocket);
        assert_eq!(
            asked(&[("connection", "keep-alive, UPGRADE"), upgrade]),
            websocket
        );
        assert_eq!(asked(&[upgrade]), None);
        assert_eq!(asked(&[upgrade, ("connection", "close")]), None);
        assert_eq!(asked(&[("connection", "upgrade")]), None);
    }
}
