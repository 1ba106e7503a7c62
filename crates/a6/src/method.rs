//! HTTP methods as the protocol numbers them.

use std::fmt;

/// A method that the protocol has a number for. There is none for CONNECT, nor
/// for what HTTP may gain: such a request cannot be put into a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Method {
    #[default]
    Get = 0,
    Head,
    Post,
    Put,
    Delete,
    Mkcol,
    Copy,
    Move,
    Options,
    Propfind,
    Proppatch,
    Lock,
    Unlock,
    Patch,
    Trace,
}

impl Method {
    /// All methods, in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Delete,
        Self::Mkcol,
        Self::Copy,
        Self::Move,
        Self::Options,
        Self::Propfind,
        Self::Proppatch,
        Self::Lock,
        Self::Unlock,
        Self::Patch,
        Self::Trace,
    ];

    /// The name in an HTTP request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Mkcol => "MKCOL",
            Self::Copy => "COPY",
            Self::Move => "MOVE",
            Self::Options => "OPTIONS",
            Self::Propfind => "PROPFIND",
            Self::Proppatch => "PROPPATCH",
            Self::Lock => "LOCK",
            Self::Unlock => "UNLOCK",
            Self::Patch => "PATCH",
            Self::Trace => "TRACE",
        }
    }

    /// The method of this name in an HTTP request, which is case-sensitive;
    /// `None` where the protocol has no number for it.
    pub fn from_bytes(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|method| method.as_str().as_bytes() == name)
    }

    /// The method of this number.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The number.
    pub const fn to_u8(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
