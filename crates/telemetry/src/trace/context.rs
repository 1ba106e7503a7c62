//! The W3C trace context: what a `traceparent` field says
//! (<https://www.w3.org/TR/trace-context/>).

use std::fmt;

/// Number of a trace; not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub(crate) [u8; 16]);

/// Number of a span within its trace; not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub(crate) [u8; 8]);

/// A place in a trace, and whether the trace is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: TraceId,
    /// The span that what comes next belongs to.
    pub span: SpanId,
    /// Whether whoever began it records it.
    pub sampled: bool,
}

/// The length of version 00's field.
const LENGTH: usize = 55;

impl Context {
    /// Reads a field's value. `None` where it is no context, which then counts
    /// as absent.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, more) = value.split_at_checked(LENGTH)?;
        let [version] = hex(&known[0..2])?;
        let dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        // Later versions may go on after another dash, and mean the same by
        // what they begin with.
        let ends = match version {
            0 => more.is_empty(),
            0xff => false,
            _ => matches!(more.first(), None | Some(b'-')),
        };
        let trace = hex(&known[3..35])?;
        let span = hex(&known[36..52])?;
        let [flags] = hex(&known[53..55])?;
        (dashes && ends && trace != [0; 16] && span != [0; 8]).then_some(Context {
            trace: TraceId(trace),
            span: SpanId(span),
            sampled: flags & SAMPLED != 0,
        })
    }

    /// The field's value for this context.
    #[must_use]
    pub fn traceparent(&self) -> Traceparent {
        let mut text = [b'-'; LENGTH];
        text[..2].copy_from_slice(b"00");
        write_hex(&self.trace.0, &mut text[3..35]);
        write_hex(&self.span.0, &mut text[36..52]);
        write_hex(&[u8::from(self.sampled)], &mut text[53..]);
        Traceparent(text)
    }
}

/// The only flag of version 00.
const SAMPLED: u8 = 1;

/// A value of the field `traceparent`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Traceparent([u8; LENGTH]);

impl Traceparent {
    /// The value's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// Reads lower-case digits, the only ones that are allowed.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn write_hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_read_is_written() {
        let context = Context::parse(TEXT.as_bytes()).unwrap();
        assert!(context.sampled);
        assert_eq!(
            context.span.0,
            [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]
        );
        assert_eq!(context.traceparent().as_bytes(), TEXT.as_bytes());
        let unsampled = Context {
            sampled: false,
            ..context
        };
        assert!(format!("{:?}", unsampled.traceparent()).ends_with("b7-00"));
    }

    #[test]
    fn a_later_version_is_read_by_what_is_known_of_it() {
        for text in [
            TEXT.replacen("00", "cc", 1),
            TEXT.replacen("00", "01", 1) + "-what-the-future-will-be-like",
        ] {
            let context = Context::parse(text.as_bytes()).unwrap();
            assert_eq!(context.traceparent().as_bytes(), TEXT.as_bytes());
        }
        let flags = TEXT.replace("-01", "-03");
        assert!(Context::parse(flags.as_bytes()).unwrap().sampled);
    }

    #[test]
    fn what_is_no_context_counts_as_absent() {
        for text in [
            String::new(),
            TEXT[..54].to_owned(),
            TEXT.to_owned() + "-",
            TEXT.to_owned() + "0",
            TEXT.replacen("00", "cc", 1) + ".x",
            TEXT.replacen("00", "ff", 1),
            TEXT.replace("4bf9", "4BF9"),
            TEXT.replace("4bf9", "4bg9"),
            TEXT.replacen('-', "_", 1),
            TEXT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            TEXT.replace("00f067aa0ba902b7", &"0".repeat(16)),
        ] {
            assert_eq!(Context::parse(text.as_bytes()), None, "{text}");
        }
    }
}
