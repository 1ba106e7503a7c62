//! Whose series there are: so many owners have series of their own, the others
//! share one.

use std::sync::Arc;

use super::held::Held;
use crate::limits::MEASURED_OWNERS;

/// What a series belongs to: a kind of resource and its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) kind: String,
    pub(crate) id: String,
}

/// The id that owners beyond the limit share.
pub(crate) const OTHER: &str = "other";

/// The owners that have series.
#[derive(Debug, Default)]
pub(crate) struct Owners(Held<Owner, Owner>);

impl Owners {
    /// The owner of a series: this one, or where there are too many already,
    /// all others of its kind. It has its place for as long as it is held.
    pub(crate) fn admit(&mut self, kind: &str, id: &str) -> Arc<Owner> {
        let owner = Owner {
            kind: kind.to_owned(),
            id: id.to_owned(),
        };
        if let Some(present) = self.0.get(&owner) {
            return present;
        }
        let owner = Arc::new(owner);
        if self.0.count() < MEASURED_OWNERS {
            self.0.insert(Owner::clone(&owner), &owner);
            return owner;
        }
        Arc::new(Owner {
            kind: kind.to_owned(),
            id: OTHER.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_beyond_the_limit_are_others_until_there_is_room() {
        let mut owners = Owners::default();
        let mut many: Vec<_> = (0..MEASURED_OWNERS)
            .map(|id| owners.admit("route", &id.to_string()))
            .collect();
        assert_eq!(owners.admit("route", "7").id, "7");
        assert_eq!(owners.admit("route", "one more").id, OTHER);
        many.pop();
        assert_eq!(owners.admit("route", "one more").id, "one more");
    }
}
