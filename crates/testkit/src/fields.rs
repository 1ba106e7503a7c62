//! Headers and arguments as they came over the wire.

use std::fmt;

use outrigger_a6::Entries;

/// Names with values, in order. Compares to arrays of text:
/// ```
/// # use outrigger_testkit::Fields;
/// # let headers = Fields::from_iter([("x-new", Some("1")), ("x-old", None)]);
/// assert_eq!(headers, [("x-new", Some("1")), ("x-old", None)]);
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Fields(pub Vec<Field>);

/// A name, with a value or without.
pub type Field = (Vec<u8>, Option<Vec<u8>>);

impl Fields {
    /// The first value of a header's name, in any case, as text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).into_iter().next()
    }

    /// All values of a header's name, in any case, as text; those that are no
    /// text are left out.
    pub fn get_all(&self, name: &str) -> Vec<&str> {
        let same = self
            .0
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        let values = same.filter_map(|(_, value)| value.as_deref());
        values
            .filter_map(|value| std::str::from_utf8(value).ok())
            .collect()
    }

    /// Whether a name is here without a value, which deletes it.
    pub fn deletes(&self, name: &str) -> bool {
        let mut same = self
            .0
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        same.any(|(_, value)| value.is_none())
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Entries<'_>> for Fields {
    fn from(entries: Entries<'_>) -> Self {
        let owned = entries
            .iter()
            .map(|entry| (entry.name.to_vec(), entry.value.map(<[u8]>::to_vec)));
        Self(owned.collect())
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, Option<V>)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, Option<V>)>>(fields: I) -> Self {
        let owned = fields.into_iter().map(|(name, value)| {
            (
                name.as_ref().to_vec(),
                value.map(|value| value.as_ref().to_vec()),
            )
        });
        Self(owned.collect())
    }
}

impl<const N: usize> PartialEq<[(&str, Option<&str>); N]> for Fields {
    fn eq(&self, other: &[(&str, Option<&str>); N]) -> bool {
        *self == other.iter().copied().collect::<Self>()
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let fields = self
            .0
            .iter()
            .map(|(name, value)| (text(name), value.as_ref().map(text)));
        f.debug_list().entries(fields).finish()
    }
}
