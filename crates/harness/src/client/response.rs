//! What came back.

use std::fmt;

use serde_json::Value;

use crate::headers::Headers;

/// A whole response.
#[derive(Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The words after the status code.
    pub reason: String,
    /// The header lines in order.
    pub headers: Headers,
    /// The body without its transfer coding.
    pub body: Vec<u8>,
    /// The lines after the last chunk.
    pub trailers: Headers,
    /// The status codes of the responses before the final one, such as 100.
    pub interim: Vec<u16>,
}

impl Response {
    /// The first value of the header `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.body) {
            Ok(text) => text,
            Err(_) => panic!("the body is not UTF-8: {self:?}"),
        }
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is something else.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("the body is not JSON ({error}): {self:?}"),
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 500;
        let shown = &self.body[..self.body.len().min(SHOWN)];
        write!(f, "{} {} {:?} ", self.status, self.reason, self.headers)?;
        write!(f, "{} bytes: {}", self.body.len(), shown.escape_ascii())
    }
}
