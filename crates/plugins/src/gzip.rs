//! Undoing the content coding `gzip` (RFC 9110, section 8.4.1.3), within a limit: a few bytes can
//! stand for very many.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header};

/// What the body of a message is to be read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// It is what it is.
    None,
    Gzip,
    /// One, or several, that cannot be undone here.
    Other,
}

impl Coding {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut fields = headers.get_all(header::CONTENT_ENCODING).iter();
        match (
            fields.next().map(|field| field.as_bytes().trim_ascii()),
            fields.next(),
        ) {
            (None, _) => Self::None,
            (Some(b"gzip" | b"x-gzip"), None) => Self::Gzip,
            _ => Self::Other,
        }
    }
}

/// The body before it was coded; none if it is broken, or longer than `limit` bytes.
pub(crate) fn decoded(coded: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    // One byte more shows that there are more than the limit.
    let more = u64::try_from(limit).ok()?.checked_add(1)?;
    let mut decoder = MultiGzDecoder::new(coded).take(more);
    decoder.read_to_end(&mut body).ok()?;
    (body.len() <= limit).then_some(body)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::HeaderValue;

    use super::*;

    fn coded(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_body_comes_back_whole_or_not_at_all() {
        let body = b"hello world".repeat(1000);
        let whole = coded(&body);
        assert_eq!(decoded(&whole, body.len()).unwrap(), body);
        assert_eq!(decoded(&whole, body.len() - 1), None);
        assert_eq!(decoded(&whole[..whole.len() - 1], body.len()), None);
        assert_eq!(decoded(b"hello", 100), None);
        let twice = [coded(b"a"), coded(b"b")].concat();
        assert_eq!(decoded(&twice, 2).unwrap(), b"ab");
    }

    #[test]
    fn only_gzip_alone_is_undone() {
        let of = |fields: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(field));
            }
            Coding::of(&headers)
        };
        assert_eq!(of(&[]), Coding::None);
        assert_eq!(of(&["gzip"]), Coding::Gzip);
        assert_eq!(of(&["br"]), Coding::Other);
        assert_eq!(of(&["gzip, gzip"]), Coding::Other);
        assert_eq!(of(&["gzip", "gzip"]), Coding::Other);
    }
}
