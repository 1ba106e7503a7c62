//! The patterns that a route's `host` can be.

use std::fmt;

use crate::read::At;

/// What the host of a request must be. All text is in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Exactly this.
    Exact(String),
    /// It ends with this: `*.a.test` is `Wildcard(".a.test")`.
    Wildcard(String),
    /// Any host: a lone asterisk.
    Any,
}

impl HostPattern {
    /// Takes a pattern apart; none if it has a character that no host has.
    pub fn new(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('*');
        let name = rest.unwrap_or(text);
        // The characters of APISIX's schema.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
        if !name.bytes().all(allowed) {
            return None;
        }
        match (rest.is_some(), name.to_ascii_lowercase()) {
            (true, name) if name.is_empty() => Some(Self::Any),
            (true, name) => Some(Self::Wildcard(name)),
            (false, name) if name.is_empty() => None,
            (false, name) => Some(Self::Exact(name)),
        }
    }

    /// Whether `host`, in lower case, is what the pattern describes.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => host == name,
            Self::Wildcard(suffix) => host.ends_with(suffix.as_str()),
            Self::Any => true,
        }
    }

    pub(crate) fn read(at: &At<'_>) -> Option<Self> {
        let pattern = Self::new(at.string()?);
        if pattern.is_none() {
            at.fault("expected a host name, or one with * in place of its first part");
        }
        pattern
    }
}

/// The pattern as it was written, in lower case.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}
