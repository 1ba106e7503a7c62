//! A write as one transaction of etcd.
//!
//! Every condition is one comparison of revisions: what was decided on revision
//! `base` holds if nothing that it rests on is newer.

use super::super::{Change, Condition, Inventory, Seal, Write};
use super::api::{Bytes64, Compare, Operation};
use super::layout::Layout;

/// What must be so where `conditions` are to hold for what was decided on revision
/// `base`; none where it is known from `now` that they do not.
pub(super) fn comparisons(
    conditions: &[Condition],
    base: u64,
    now: &Inventory,
    layout: &Layout,
) -> Option<Vec<Compare>> {
    let conditions = conditions.iter();
    conditions
        .map(|condition| comparison(condition, base, now, layout))
        .collect()
}

/// What is done then; `leases` has one for each change that is to go by itself, in
/// their order.
pub(super) fn operations(
    write: &Write,
    layout: &Layout,
    seal: &Seal,
    leases: &[u64],
) -> Vec<Operation> {
    let mut leases = leases.iter().copied();
    let operations = write.changes.iter().map(|change| match change {
        Change::Put {
            key,
            value,
            expires,
        } => {
            let sealed = seal.seal(key, value);
            Operation::RequestPut {
                key: Bytes64(layout.path(key)),
                value: Bytes64(sealed.to_string().into_bytes()),
                lease: expires.and_then(|_| leases.next()).unwrap_or_default(),
            }
        }
        Change::Delete(key) => Operation::RequestDeleteRange {
            key: Bytes64(layout.path(key)),
        },
    });
    operations.collect()
}

fn comparison(
    condition: &Condition,
    base: u64,
    now: &Inventory,
    layout: &Layout,
) -> Option<Compare> {
    let of = |path: Vec<u8>, result: &'static str| Compare {
        key: Bytes64(path),
        range_end: None,
        result,
        target: "MOD",
        mod_revision: None,
        version: None,
    };
    Some(match condition {
        Condition::Same(key) => {
            let known = now.get(key).filter(|entry| entry.modified <= base)?;
            Compare {
                mod_revision: Some(known.modified),
                ..of(layout.path(key), "EQUAL")
            }
        }
        // The version counts writes since the key came to be; 0: it is not there.
        Condition::Absent(key) if now.get(key).is_none() => Compare {
            target: "VERSION",
            version: Some(0),
            ..of(layout.path(key), "EQUAL")
        },
        Condition::Absent(_) => return None,
        Condition::NothingNewer(prefix) => {
            let (from, end) = layout.below(prefix);
            Compare {
                range_end: Some(Bytes64(end)),
                mod_revision: Some(base + 1),
                ..of(from, "LESS")
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use serde_json::json;

    use super::super::super::{Entry, Key};
    use super::*;

    #[test]
    fn conditions_are_comparisons_and_changes_operations() {
        let key = |text: &str| text.parse::<Key>().unwrap();
        let put = |text: &str, expires| Change::Put {
            key: key(text),
            value: Arc::new(json!({"a": 1})),
            expires,
        };
        let write = Write {
            base: 7,
            conditions: vec![
                Condition::Same(key("routes/1")),
                Condition::Absent(key("routes/2")),
                Condition::NothingNewer("consumers/".to_owned()),
            ],
            changes: vec![
                put("routes/2", None),
                put("routes/3", Some(SystemTime::now())),
                Change::Delete(key("routes/1")),
            ],
        };
        let (layout, seal) = (Layout::new("/p"), Seal::default());
        let entry = |modified| Entry {
            value: Arc::new(json!({})),
            created: 1,
            modified,
            expires: None,
        };
        let now = Inventory::of_entries(9, [(key("routes/1"), entry(6))]);
        let compare = comparisons(&write.conditions, 7, &now, &layout).unwrap();
        let shown = |bytes: &Bytes64| String::from_utf8(bytes.0.clone()).unwrap();
        let compares: Vec<_> = compare
            .iter()
            .map(|it| {
                let number = it.mod_revision.or(it.version).unwrap();
                let range = it.range_end.as_ref().map(shown);
                (shown(&it.key), range, it.target, it.result, number)
            })
            .collect();
        let expected = [
            ("/p/routes/1".to_owned(), None, "MOD", "EQUAL", 6),
            ("/p/routes/2".to_owned(), None, "VERSION", "EQUAL", 0),
            (
                "/p/consumers/".to_owned(),
                Some("/p/consumers0".to_owned()),
                "MOD",
                "LESS",
                8,
            ),
        ];
        assert_eq!(compares, expected);
        let operations: Vec<_> = operations(&write, &layout, &seal, &[5])
            .iter()
            .map(|it| match it {
                Operation::RequestPut { key, value, lease } => {
                    format!("{} {} {lease}", shown(key), shown(value))
                }
                Operation::RequestDeleteRange { key } => shown(key),
            })
            .collect();
        assert_eq!(
            operations,
            [
                r#"/p/routes/2 {"a":1} 0"#,
                r#"/p/routes/3 {"a":1} 5"#,
                "/p/routes/1"
            ]
        );
    }

    #[test]
    fn what_is_known_not_to_hold_is_not_asked() {
        let layout = Layout::new("/p");
        let key: Key = "routes/1".parse().unwrap();
        let entry = |modified| Entry {
            value: Arc::new(json!({})),
            created: 1,
            modified,
            expires: None,
        };
        let there = |modified| Inventory::of_entries(9, [(key.clone(), entry(modified))]);
        let may_hold = |condition, now: &Inventory| {
            let found = comparisons(&[condition], 7, now, &layout);
            found.is_some()
        };
        let (same, absent) = (Condition::Same(key.clone()), Condition::Absent(key.clone()));
        assert!(may_hold(same.clone(), &there(7)));
        assert!(!may_hold(same.clone(), &there(8)));
        assert!(!may_hold(same, &Inventory::default()));
        assert!(!may_hold(absent.clone(), &there(8)));
        assert!(may_hold(absent, &Inventory::default()));
    }
}
