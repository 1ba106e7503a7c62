//! Lines of a stream, which come in pieces of any size.

use std::mem;

/// A line is longer than one may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// What came of the stream and was not taken yet.
pub(super) struct Lines {
    rest: Vec<u8>,
    /// How much of `rest` is known to hold no end of a line.
    seen: usize,
    longest: usize,
}

impl Lines {
    pub(super) fn new(longest: usize) -> Self {
        Self {
            rest: Vec::new(),
            seen: 0,
            longest,
        }
    }

    /// Takes a piece of the stream.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
    }

    /// The next whole line that is not empty, without its end.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        loop {
            let end = self.rest[self.seen..].iter().position(|b| *b == b'\n');
            let Some(end) = end.map(|at| at + self.seen) else {
                self.seen = self.rest.len();
                return match self.seen > self.longest {
                    true => Err(TooLong),
                    false => Ok(None),
                };
            };
            let after = self.rest.split_off(end + 1);
            let mut line = mem::replace(&mut self.rest, after);
            self.seen = 0;
            if line.len() > self.longest {
                return Err(TooLong);
            }
            line.truncate(line.trim_ascii_end().len());
            if !line.is_empty() {
                return Ok(Some(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let text = b"one\n\r\ntwo\r\nthree\nfour";
        for size in 1..=text.len() {
            let mut lines = Lines::new(100);
            let mut found = Vec::new();
            for piece in text.chunks(size) {
                lines.push(piece);
                while let Some(line) = lines.next().unwrap() {
                    found.push(line);
                }
            }
            assert_eq!(found, [&b"one"[..], b"two", b"three"], "{size}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::new(3);
        lines.push(b"abc");
        assert_eq!(lines.next(), Ok(None));
        lines.push(b"d");
        assert_eq!(lines.next(), Err(TooLong));
    }
}
