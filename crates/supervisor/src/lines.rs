//! Cuts a stream of bytes into lines of bounded length.
//!
//! Pure: bytes in, lines out. Reading is [`process`](crate::process)'s.

use std::borrow::Cow;

use crate::limits::LINE_BYTES;

/// The lines of one stream.
///
/// Invariant: `line` holds no line feed and at most [`LINE_BYTES`].
#[derive(Debug, Default)]
pub(crate) struct Lines {
    line: Vec<u8>,
    /// The rest of the current line is dropped: it was handed on, cut.
    skipping: bool,
}

impl Lines {
    /// Takes bytes, and hands on every line that they complete or overfill.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut sink: impl FnMut(&str)) {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let (part, rest) = match end {
                Some(end) => (&bytes[..end], &bytes[end + 1..]),
                None => (bytes, &[][..]),
            };
            self.extend(part, &mut sink);
            if end.is_some() {
                self.end_line(&mut sink);
            }
            bytes = rest;
        }
    }

    /// Hands on a last line that has no line feed. The stream has ended.
    pub(crate) fn finish(&mut self, mut sink: impl FnMut(&str)) {
        if !self.line.is_empty() {
            self.end_line(&mut sink);
        }
    }

    fn extend(&mut self, part: &[u8], sink: &mut impl FnMut(&str)) {
        if self.skipping {
            return;
        }
        let room = LINE_BYTES - self.line.len();
        if part.len() <= room {
            self.line.extend_from_slice(part);
            return;
        }
        self.line.extend_from_slice(&part[..room]);
        let mut text = lossy(without_cut_character(&self.line)).into_owned();
        text.push_str(&format!(" … (line cut at {LINE_BYTES} bytes)"));
        sink(&text);
        self.line.clear();
        self.skipping = true;
    }

    fn end_line(&mut self, sink: &mut impl FnMut(&str)) {
        if !self.skipping {
            let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
            sink(&lossy(line));
        }
        self.line.clear();
        self.skipping = false;
    }
}

fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The bytes without a character at the end that the cut went through.
fn without_cut_character(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        // Whole, or not UTF-8 before the end: nothing to spare.
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `chunks`, each chunk pushed by itself.
    fn lines<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |line| seen.push(line.to_owned()));
        }
        lines.finish(|line| seen.push(line.to_owned()));
        seen
    }

    #[test]
    fn bytes_become_the_same_lines_however_they_are_cut() {
        let text = "one\r\n\ntwö\nlast".as_bytes();
        let expected = ["one", "", "twö", "last"];
        assert_eq!(lines([text]), expected);
        assert_eq!(lines(text.chunks(1)), expected);
        assert_eq!(lines(text.chunks(3)), expected);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        assert_eq!(lines([&b"a\xffb\n"[..]]), ["a\u{fffd}b"]);
    }

    #[test]
    fn a_long_line_is_cut_with_a_mark_and_the_next_one_is_whole() {
        let mut text = vec![b'x'; LINE_BYTES * 3];
        text.extend_from_slice(b"\nnext\n");
        let expected = [
            format!("{} … (line cut at 8192 bytes)", "x".repeat(LINE_BYTES)),
            "next".to_owned(),
        ];
        assert_eq!(lines([&text[..]]), expected);
        assert_eq!(lines(text.chunks(1000)), expected);
    }

    #[test]
    fn a_line_of_just_the_limit_is_not_cut() {
        let text = [vec![b'x'; LINE_BYTES], b"\n".to_vec()].concat();
        assert_eq!(lines([&text[..]]), ["x".repeat(LINE_BYTES)]);
        assert_eq!(lines(text.chunks(1)), ["x".repeat(LINE_BYTES)]);
    }

    #[test]
    fn a_cut_does_not_halve_a_character() {
        let text = "é".repeat(LINE_BYTES);
        let odd = format!("x{text}");
        let line = lines([odd.as_bytes()]).remove(0);
        assert!(
            line.starts_with("xé") && !line.contains('\u{fffd}'),
            "{line}"
        );
    }

    #[test]
    fn an_endless_line_is_held_in_bounded_memory() {
        let mut lines = Lines::default();
        let mut count = 0;
        for _ in 0..100 {
            lines.push(&[b'x'; LINE_BYTES], |_| count += 1);
            assert!(lines.line.capacity() <= 2 * LINE_BYTES);
        }
        assert_eq!(count, 1);
    }
}
