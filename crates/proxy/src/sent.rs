//! What has gone out on a client's connection: how many bytes, and the head of
//! the response among them.
//!
//! Looked at where bytes pass to the socket, since only there it is known what
//! the HTTP library added, and what of it the client was really sent.

use std::cell::{Cell, RefCell};
use std::io::IoSlice;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// What has gone out since the last [`Sent::reset`].
#[derive(Default)]
pub(crate) struct Sent {
    bytes: Cell<u64>,
    watched: Cell<bool>,
    head: RefCell<Head>,
}

/// What of the bytes was the head.
#[derive(Default)]
struct Head {
    /// Bytes of it so far, or in all; without interim responses before it.
    length: u64,
    interim: u64,
    /// Bytes of the line that is under way, line end excluded.
    line: u64,
    /// The first bytes: protocol and status.
    start: [u8; STATUS_END],
    whole: bool,
    /// The head itself, where it is kept.
    text: Option<Vec<u8>>,
}

/// Where the status ends in `HTTP/1.1 200`.
const STATUS_END: usize = 12;

/// Where it begins.
const STATUS: usize = 9;

impl Sent {
    /// Starts to count anew; with `watched`, tells a head from its body.
    pub(crate) fn reset(&self, watched: bool) {
        self.bytes.set(0);
        if self.watched.replace(watched) {
            self.head.take();
        }
    }

    /// Tells the head that is to come from its body, and keeps it if so wished.
    pub(crate) fn watch(&self, keep_text: bool) {
        let mut head = self.head.borrow_mut();
        if !self.watched.replace(true) {
            // Only an interim response can have gone before.
            head.interim = self.bytes.get();
        }
        head.text = keep_text.then(Vec::new);
    }

    /// So many bytes have been taken that are no HTTP.
    pub(crate) fn passed(&self, count: usize) {
        self.bytes.set(self.bytes.get() + count as u64);
    }

    /// Bytes in all.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Bytes after the head; all of them where it was not watched.
    pub(crate) fn body_bytes(&self) -> u64 {
        let head = self.head.borrow();
        self.bytes.get().saturating_sub(head.interim + head.length)
    }

    /// The status of the response that was sent, if it was watched and is no
    /// interim one.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        let head = self.head.borrow();
        let status = head.whole.then(|| &head.start[STATUS..])?;
        StatusCode::from_bytes(status).ok()
    }

    /// The header fields that were sent, if they were kept.
    pub(crate) fn headers(&self) -> HeaderMap {
        let head = self.head.borrow();
        let text = head.text.as_deref().filter(|_| head.whole);
        let lines = text.unwrap_or_default().split(|byte| *byte == b'\n');
        lines.skip(1).filter_map(field).collect()
    }

    /// So many bytes of `slices` have just been taken.
    pub(crate) fn took(&self, slices: &[IoSlice<'_>], count: usize) {
        self.bytes.set(self.bytes.get() + count as u64);
        if !self.watched.get() {
            return;
        }
        let mut head = self.head.borrow_mut();
        let mut left = count;
        for slice in slices {
            if head.whole || left == 0 {
                return;
            }
            let taken = left.min(slice.len());
            head.read(&slice[..taken]);
            left -= taken;
        }
    }
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = memchr::memchr(b':', line)?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((name, value))
}

impl Head {
    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.whole {
            let end = memchr::memchr(b'\n', bytes);
            let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
            self.take(line);
            bytes = rest;
            match end {
                // An empty line but for its carriage return.
                Some(_) if self.line <= 2 => self.end(),
                Some(_) => self.line = 0,
                None => {}
            }
        }
    }

    fn take(&mut self, line: &[u8]) {
        if let Ok(have) = usize::try_from(self.length)
            && have < STATUS_END
        {
            let more = line.len().min(STATUS_END - have);
            self.start[have..have + more].copy_from_slice(&line[..more]);
        }
        if let Some(text) = &mut self.text {
            text.extend_from_slice(line);
        }
        self.length += line.len() as u64;
        self.line += line.len() as u64;
    }

    /// What is there is a head; if only of an interim response, the next follows.
    fn end(&mut self) {
        self.whole = self.start[STATUS] != b'1';
        if !self.whole {
            self.interim += self.length;
            (self.length, self.line) = (0, 0);
            self.text.iter_mut().for_each(Vec::clear);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    const HEAD: &[u8] =
        b"HTTP/1.1 404 Not Found\r\nx-a: 1\r\nX-A:  \xff \r\ncontent-length: 5\r\n\r\n";

    fn check(sent: &Sent) {
        assert_eq!(sent.bytes(), (INTERIM.len() + HEAD.len() + 5) as u64);
        assert_eq!(sent.body_bytes(), 5);
        assert_eq!(sent.status(), Some(StatusCode::NOT_FOUND));
        let headers = sent.headers();
        let values: Vec<_> = headers.get_all("x-a").iter().collect();
        assert_eq!(values, ["1".as_bytes(), b"\xff"]);
        assert_eq!(
            (headers.len(), &headers["content-length"]),
            (3, &"5".parse().unwrap())
        );
    }

    #[test]
    fn the_head_is_told_from_the_body_however_it_is_cut() {
        let whole = [INTERIM, HEAD, b"a\r\n\r\n"].concat();
        for size in 1..=whole.len() {
            let sent = Sent::default();
            sent.watch(true);
            for part in whole.chunks(size) {
                sent.took(&[IoSlice::new(part)], part.len());
            }
            check(&sent);
        }
    }

    #[test]
    fn only_what_was_taken_counts() {
        let sent = Sent::default();
        sent.watch(true);
        let slices = [INTERIM, HEAD, b"a\r\n\r\n", b"more"].map(IoSlice::new);
        sent.took(&slices, INTERIM.len() + HEAD.len() + 5);
        check(&sent);
        sent.reset(false);
        assert_eq!(sent.bytes(), 0);
        sent.took(&slices, 3);
        assert_eq!((sent.bytes(), sent.body_bytes()), (3, 3));
    }

    #[test]
    fn a_head_that_was_cut_off_has_no_fields() {
        let sent = Sent::default();
        sent.watch(true);
        sent.took(&[IoSlice::new(&HEAD[..40])], 40);
        assert!(sent.headers().is_empty());
        assert_eq!(sent.status(), None);
        assert_eq!(sent.body_bytes(), 0);
    }
}
