//! What the HTTP library does not tell of a request's head: that it has both
//! `Content-Length` and `Transfer-Encoding`, of which the library drops the
//! first.
//!
//! Only what is read while a head is waited for is looked at, and of that only
//! lines whose beginning is seen. Of requests that come without waiting for
//! responses this may miss something, and takes nothing for what it is not;
//! those are read by their coding alone, and are their connection's last (RFC
//! 9112, section 6.1).

/// A look at one head after the other, as their bytes come.
#[derive(Default)]
pub(crate) struct HeadWatch {
    /// Which wait for a head the bytes belong to.
    round: u64,
    at: At,
    /// The beginning of the line that is under way, where it was cut.
    begun: Vec<u8>,
    length: bool,
    coding: bool,
}

#[derive(Default, PartialEq, Eq)]
enum At {
    /// In a line that tells nothing: the first, or one seen in part.
    #[default]
    Within,
    /// At the beginning of a line.
    Line,
    /// After the head.
    End,
}

const LENGTH: &[u8] = b"content-length:";
const CODING: &[u8] = b"transfer-encoding:";

impl HeadWatch {
    /// Looks at bytes that have come in wait number `round`; true once the
    /// head is known to have both fields.
    pub(crate) fn read(&mut self, round: u64, mut bytes: &[u8]) -> bool {
        if self.round != round {
            *self = HeadWatch {
                round,
                begun: std::mem::take(&mut self.begun),
                ..HeadWatch::default()
            };
            self.begun.clear();
        }
        while self.at != At::End {
            let end = memchr::memchr(b'\n', bytes);
            let line = &bytes[..end.map_or(bytes.len(), |end| end + 1)];
            if self.at == At::Line {
                self.look(line, end.is_some());
            }
            let Some(end) = end else { break };
            bytes = &bytes[end + 1..];
            if self.at == At::Within {
                self.at = At::Line;
            }
        }
        self.length && self.coding
    }

    /// Looks at a line, or the next part of it.
    fn look(&mut self, part: &[u8], whole: bool) {
        if self.begun.is_empty() && whole {
            return self.judge_line(part);
        }
        let room = CODING.len().saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&part[..part.len().min(room)]);
        if whole {
            let line = std::mem::take(&mut self.begun);
            self.judge_line(&line);
        }
    }

    fn judge_line(&mut self, line: &[u8]) {
        let is = |name: &[u8]| {
            let start = line.get(..name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        match line.first() {
            Some(b'\r' | b'\n') => self.at = At::End,
            Some(b'c' | b'C') => self.length |= is(LENGTH),
            Some(b't' | b'T') => self.coding |= is(CODING),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(head: &str) -> bool {
        let mut found = None;
        for size in 1..=head.len() {
            let mut watch = HeadWatch::default();
            let mut seen = false;
            for part in head.as_bytes().chunks(size) {
                seen |= watch.read(1, part);
            }
            assert_eq!(
                *found.get_or_insert(seen),
                seen,
                "{head:?} in pieces of {size}"
            );
        }
        found.unwrap_or_default()
    }

    #[test]
    fn both_fields_are_seen_in_any_order_and_case() {
        for head in [
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTRANSFER-ENCODING:x\r\nHost: a\r\ncontent-length:3\r\n\r\n",
            "POST / HTTP/1.1\nContent-length: 3\nTransfer-encoding: x\n\n",
        ] {
            assert!(both(head), "{head:?}");
        }
    }

    #[test]
    fn nothing_else_is_taken_for_them() {
        for head in [
            "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nTransfer-Encoding: x\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nX: Content-Length: 3\r\nTransfer-Encoding: x\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Lengths: 3\r\nTransfer-Encoding: x\r\n\r\n",
            "content-length: 3\r\nTransfer-Encoding: x\r\n\r\n",
            "",
        ] {
            assert!(!both(head), "{head:?}");
        }
    }

    #[test]
    fn each_head_is_looked_at_for_itself() {
        let mut watch = HeadWatch::default();
        assert!(!watch.read(1, b"GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\n"));
        assert!(!watch.read(2, b"GET / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n"));
        assert!(!watch.read(3, b"GET / HTTP/1.1\r\nContent-Length: 3\r\nTrans"));
        assert!(watch.read(3, b"fer-Encoding: x\r\n\r\n"));
    }
}
