//! Sets of HTTP methods.

use std::fmt;

use http::Method;

use crate::read::At;

/// The methods that a route can be bound to, as in APISIX's schema.
const KNOWN: [&str; 10] = [
    "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE",
];

/// The `methods` of a route. The empty set means: any method.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct MethodSet(u16);

impl MethodSet {
    /// Whether a request with `method` belongs here: it is in the set, or the set is empty.
    pub fn admits(self, method: &Method) -> bool {
        self.0 == 0 || bit_of(method.as_str()).is_some_and(|bit| self.0 & bit != 0)
    }

    /// Whether no method is named, so that any is admitted.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of the methods in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let is_in = move |(place, _): &(usize, &&str)| self.0 & (1 << place) != 0;
        KNOWN
            .iter()
            .enumerate()
            .filter(is_in)
            .map(|(_, name)| *name)
    }

    pub(crate) fn read(at: &At<'_>) -> Option<Self> {
        let mut set = Self::default();
        for item in at.unique_items()? {
            if let Some(name) = item.one_of(&KNOWN) {
                set.0 |= bit_of(name)?;
            }
        }
        Some(set)
    }
}

fn bit_of(name: &str) -> Option<u16> {
    let place = KNOWN.iter().position(|known| *known == name)?;
    Some(1 << place)
}

impl fmt::Debug for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
