//! What a server does wrong.

/// A response's head that means nothing, or more than one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadResponse {
    /// It is no head of HTTP/1.
    #[error("the head is malformed: {0}")]
    Malformed(#[from] httparse::Error),
    /// It is longer than the limit.
    #[error("the head is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// Its status is none.
    #[error("the status is none")]
    Status,
    /// A field's name or value is none.
    #[error("a header field is malformed")]
    Field,
    /// There are several lengths, or one that is no number.
    #[error("Content-Length is repeated or no number")]
    Length,
    /// There is a transfer coding that is not known, or that the version of
    /// the message does not have.
    #[error("Transfer-Encoding is not \"chunked\" alone, or does not belong there")]
    Coding,
    /// There is a length beside a transfer coding.
    #[error("there are both Content-Length and Transfer-Encoding")]
    LengthAndCoding,
    /// A switch of protocols that nobody has asked for.
    #[error("it switches protocols unasked")]
    Switch,
    /// Too many interim responses came before it.
    #[error("more than {limit} interim responses")]
    TooManyInterim {
        /// How many there may be.
        limit: usize,
    },
}

/// A body whose framing is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadBody {
    /// A chunk's size is no hexadecimal number, or too large.
    #[error("a chunk's size is malformed")]
    ChunkSize,
    /// The extensions of chunks have control characters, or are too long.
    #[error("a chunk's extension is malformed or too long")]
    ChunkExtension,
    /// A chunk does not end where its size says.
    #[error("a chunk does not end with CR LF")]
    ChunkEnd,
    /// The trailer section is malformed or too long.
    #[error("the trailer section is malformed or too long")]
    Trailers,
    /// The connection ended first.
    #[error("the connection was closed before the body's end")]
    Truncated,
}
