//! YAML documents as JSON values, with the position of every property.
//!
//! Values are typed as YAML 1.2's core schema has it: `yes` and `on` are texts, and a
//! number with leading zeros is a text too, as `007` is more often an id than seven.
//! Anchors, aliases and merge keys are resolved within bounds; tags mean nothing.

use std::fmt;

use outrigger_model::PropertyPath;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::{MessageFormatter, Spanned, UserMessageFormatter};

use crate::limits;
use crate::report::{Location, Problem};
use crate::tree::{Content, Entry, Tree};

/// Parses a text that holds one document, or none, which is null.
pub(crate) fn parse(text: &str) -> Result<Tree, Problem> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: limits::YAML_NODES,
            max_events: limits::YAML_EVENTS,
            max_depth: limits::YAML_DEPTH,
        },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        // A snippet of the source would show secrets.
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| problem_of(&error))
}

fn problem_of(error: &serde_saphyr::Error) -> Problem {
    let error = error.without_snippet();
    let message = UserMessageFormatter.format_message(error);
    Problem {
        location: error.location().map(location_of),
        path: PropertyPath::root(),
        message: format!("not valid YAML: {}", printable(&message)),
    }
}

/// The text with its control characters written out, so that it stays one line of a log.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}

fn location_of(location: serde_saphyr::Location) -> Location {
    // No file that is read has so many lines that this cuts one off.
    let narrow = |number| u32::try_from(number).unwrap_or(u32::MAX);
    Location {
        line: narrow(location.line()),
        column: narrow(location.column()),
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self {
            at: location_of(spanned.referenced),
            content: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl ContentVisitor {
    fn float<E: Error>(float: f64) -> Result<Content, E> {
        let number = Number::from_f64(float).ok_or_else(|| E::custom("a number must be finite"))?;
        Ok(Content::Scalar(Value::Number(number)))
    }
}

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<Content, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Content, E> {
        Self::float(value as f64)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Content, E> {
        Self::float(value as f64)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Content, E> {
        Self::float(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Content::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut object = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Tree>()? {
            object.push(Entry {
                at: location_of(key.referenced),
                key: key.value,
                value,
            });
        }
        Ok(Content::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        parse(text)
            .unwrap_or_else(|problem| panic!("{problem:?}"))
            .split()
            .0
    }

    fn refusal(text: &str) -> String {
        let problem = parse(text).err().expect("a problem");
        let location = problem.location.map(|location| location.to_string());
        format!("{}: {}", location.unwrap_or_default(), problem.message)
    }

    #[test]
    fn scalars_are_typed_as_in_yaml_1_2() {
        let text = "[true, yes, on, n, 1, -1, 1.5, 1e3, 007, 1_000, ~, null, '1', x, 0x10]";
        let expected = serde_json::json!([
            true, "yes", "on", "n", 1, -1, 1.5, 1000.0, "007", "1_000", null, null, "1", "x", 16
        ]);
        assert_eq!(value(text), expected);
    }

    #[test]
    fn big_numbers_stay_numbers() {
        assert_eq!(value("18446744073709551615"), serde_json::json!(u64::MAX));
        assert_eq!(
            value("18446744073709551616"),
            serde_json::json!(1.844_674_407_370_955_2e19)
        );
    }

    #[test]
    fn an_empty_text_is_null() {
        assert_eq!(value(""), Value::Null);
        assert_eq!(value("# nothing\n"), Value::Null);
    }

    #[test]
    fn aliases_and_merge_keys_are_resolved() {
        let text = "a: &x {k: 1}\nb: *x\nc: {<<: *x, l: 2}\n";
        let expected = serde_json::json!({"a": {"k": 1}, "b": {"k": 1}, "c": {"k": 1, "l": 2}});
        assert_eq!(value(text), expected);
    }

    #[test]
    fn keys_may_be_numbers() {
        assert_eq!(value("200: ok\n"), serde_json::json!({"200": "ok"}));
    }

    #[test]
    fn a_property_stands_where_its_key_does() {
        let (_, marks) = parse("a:\n  b:\n    - x\n    - k: 1\n")
            .ok()
            .unwrap()
            .split();
        let locate = |path: PropertyPath| marks.locate(&path).to_string();
        let b = PropertyPath::root().key("a").key("b");
        assert_eq!(locate(b.clone()), "2:3");
        assert_eq!(locate(b.clone().index(0)), "3:7");
        assert_eq!(locate(b.clone().index(1).key("k")), "4:7");
        assert_eq!(locate(b.clone().index(1).key("none").key("of")), "4:7");
        assert_eq!(locate(b.index(7)), "2:3");
        assert_eq!(locate(PropertyPath::root()), "1:1");
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_position() {
        let rows = [
            (
                "a: [1, 2\nb: 3\n",
                "2:2: illegal placement of ':' indicator",
            ),
            (
                "a: 1\na: 2\n",
                "2:1: duplicate mapping key `a` is not allowed here",
            ),
            ("a: *none\n", "1:4: reference to unknown value"),
            ("a: &x [*x]\n", "1:8: Recursive reference not allowed here"),
            (
                "a: 1\n---\nb: 2\n",
                "3:1: only single YAML document expected but multiple found",
            ),
            ("a: .nan\n", "1:4: value `.nan` is not a finite number"),
            ("~: 1\n", "1:1: null is not allowed here"),
        ];
        for (text, expected) in rows {
            assert_eq!(refusal(text).replace("not valid YAML: ", ""), expected);
        }
    }

    #[test]
    fn no_refusal_shows_a_value() {
        let rows = [
            "a: s3cret: x\n",
            "a: 's3cret\n",
            "a: \"\\qs3cret\"\n",
            "a: !!int s3cret\n",
            "a: !!bool s3cret\n",
            "a: !!float s3cret\n",
            "a: !!binary s3cret\n",
            "a: !!map s3cret\n",
            "? [s3cret]\n: 1\n",
            "<<: s3cret\n",
        ];
        for text in rows {
            let refusal = refusal(text);
            assert!(!refusal.contains("s3cret"), "{refusal}");
        }
    }

    #[test]
    fn documents_have_bounds() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(value(&nested(limits::YAML_DEPTH)).is_array());
        let too_deep = refusal(&nested(limits::YAML_DEPTH + 1));
        assert!(too_deep.contains("limits breached"), "{too_deep}");
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        let too_many = refusal(&bomb);
        assert!(too_many.contains("limit"), "{too_many}");
    }
}
