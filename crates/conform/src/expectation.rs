//! What plugins did, compared with what the profile says they do.

use outrigger_a6::{Entries, Entry};

use crate::profile::Changes;
use crate::verdict::{Fault, wrong};

/// A name with its value or without, as a message takes them.
pub(crate) type Field = (String, Option<String>);

/// Something for a plugin to delete: each name that is to go, with a value.
pub(crate) fn victims(changes: Option<&Changes>) -> Vec<Field> {
    let deleted = changes
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.is_none());
    deleted
        .map(|(name, _)| (name.clone(), Some("old".to_owned())))
        .collect()
}

/// Whether `entries` have each expected name once, with its value. Others may be
/// there as well. Where nothing is expected, something must be there.
pub(crate) fn same_changes(
    what: &str,
    entries: Entries<'_>,
    expected: Option<&Changes>,
) -> Result<(), Fault> {
    let Some(expected) = expected else {
        if entries.is_empty() {
            return wrong(format!("it changes no {what}"));
        }
        return Ok(());
    };
    for (name, value) in expected {
        let found: Vec<Entry<'_>> = entries
            .iter()
            .filter(|entry| entry.name.eq_ignore_ascii_case(name.as_bytes()))
            .collect();
        let value = value.as_deref().map(str::as_bytes);
        if !matches!(found[..], [one] if one.value == value) {
            let name = name.as_bytes();
            let expected = Entry { name, value };
            return wrong(format!("{what}: expected {expected:?}, got {entries:?}"));
        }
    }
    Ok(())
}

/// Whether a value is the expected one, if one is expected.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    got: T,
    expected: Option<T>,
) -> Result<(), Fault> {
    match expected {
        Some(expected) if expected != got => {
            wrong(format!("{what}: expected {expected:?}, got {got:?}"))
        }
        _ => Ok(()),
    }
}

/// [`same`] for bytes that are text most of the time.
pub(crate) fn same_text(what: &str, got: &[u8], expected: Option<&str>) -> Result<(), Fault> {
    let shown = |bytes: &[u8]| {
        let text: String = String::from_utf8_lossy(bytes).chars().take(200).collect();
        text
    };
    match expected {
        Some(expected) if expected.as_bytes() != got => wrong(format!(
            "{what}: expected {:?}, got {:?}",
            shown(expected.as_bytes()),
            shown(got)
        )),
        _ => Ok(()),
    }
}
