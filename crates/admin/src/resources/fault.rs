//! Faults of the model and of plugins, in the words of the schemas' checker.

use outrigger_model::{Fault, Segment};

/// `property "a" validation failed: failed to validate item 1: …`.
pub(crate) fn worded(fault: &Fault) -> String {
    let mut words = String::new();
    for segment in fault.path.segments() {
        match segment {
            Segment::Key(key) => words.push_str(&format!("property \"{key}\" validation failed: ")),
            Segment::Index(index) => {
                words.push_str(&format!("failed to validate item {}: ", index + 1));
            }
        }
    }
    words.push_str(&worded_by_us(&fault.message));
    words
}

/// serde's word for what lacks.
fn worded_by_us(message: &str) -> String {
    let missing = message.strip_prefix("missing field `");
    match missing.and_then(|rest| rest.split_once('`')) {
        Some((name, "")) => format!("property \"{name}\" is required"),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use outrigger_model::PropertyPath;

    use super::*;

    #[test]
    fn the_path_comes_before_what_is_wrong() {
        let fault = Fault {
            path: PropertyPath::root().key("conf").index(0),
            message: "missing field `value`".to_owned(),
        };
        assert_eq!(
            worded(&fault),
            "property \"conf\" validation failed: failed to validate item 1: \
             property \"value\" is required"
        );
    }
}
