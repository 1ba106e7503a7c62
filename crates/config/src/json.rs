//! JSON documents with the position of every property.
//!
//! Strict, as JSON is: no comments, no trailing commas; and no property twice, which
//! JSON leaves open. The grammar is `serde_json`'s. What it does not tell is where it
//! is: that is seen from what it has read, as it takes one byte at a time and looks
//! exactly one ahead when it hands out a key or an item.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read};

use outrigger_model::PropertyPath;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Number, Value};

use crate::limits;
use crate::report::{Location, Problem};
use crate::tree::{Content, Entry, Tree};

/// Parses a text that holds one document.
pub(crate) fn parse(text: &str) -> Result<Tree, Problem> {
    let progress = Progress {
        place: Cell::new(Location { line: 1, column: 0 }),
        nodes: Cell::new(0),
        fault: Cell::new(None),
    };
    let reader = Counting {
        bytes: text.as_bytes(),
        place: &progress.place,
    };
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let root = Node {
        progress: &progress,
        depth: 0,
    };
    let parsed = root.deserialize(&mut deserializer);
    let parsed = parsed.and_then(|content| deserializer.end().map(|()| content));
    match parsed {
        Ok(content) => Ok(Tree {
            at: Location { line: 1, column: 1 },
            content,
        }),
        Err(error) => Err(Problem {
            location: progress.fault.get().or(Some(progress.place.get())),
            path: PropertyPath::root(),
            message: format!("not valid JSON: {}", without_place(&error)),
        }),
    }
}

/// Whether the text is more than the beginning of a document.
pub(crate) fn is_complete(text: &str) -> bool {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => true,
        Err(error) => error.classify() != Category::Eof,
    }
}

/// What is wrong, without where: that is told beside it.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message
        .strip_suffix(&place)
        .unwrap_or(&message)
        .replace(char::is_control, " ")
}

/// How far the reading has come.
struct Progress {
    /// Where the last byte stands that was read.
    place: Cell<Location>,
    /// How many values there were.
    nodes: Cell<usize>,
    /// Where the mistake stands, if it is not where the reading ended.
    fault: Cell<Option<Location>>,
}

/// Hands out bytes one by one, and tells where the last one stands.
struct Counting<'t> {
    bytes: &'t [u8],
    place: &'t Cell<Location>,
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (Some((&byte, rest)), Some(slot)) = (self.bytes.split_first(), buffer.first_mut())
        else {
            return Ok(0);
        };
        *slot = byte;
        self.bytes = rest;
        let Location { line, column } = self.place.get();
        self.place.set(match byte {
            b'\n' => Location {
                line: line.saturating_add(1),
                column: 0,
            },
            // Not the first byte of a character.
            0x80..=0xBF => Location { line, column },
            _ => Location {
                line,
                column: column.saturating_add(1),
            },
        });
        Ok(1)
    }
}

/// What reads one value.
#[derive(Clone, Copy)]
struct Node<'p> {
    progress: &'p Progress,
    depth: usize,
}

impl Node<'_> {
    fn count<E: Error>(self) -> Result<(), E> {
        let nodes = &self.progress.nodes;
        nodes.set(nodes.get() + 1);
        if nodes.get() > limits::YAML_NODES {
            return Err(E::custom(format!(
                "there are more than {} values",
                limits::YAML_NODES
            )));
        }
        Ok(())
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == limits::YAML_DEPTH {
            return Err(E::custom(format!(
                "nested deeper than {} levels",
                limits::YAML_DEPTH
            )));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Content;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        self.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
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

    fn visit_f64<E: Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value);
        let number = number.ok_or_else(|| E::custom("a number must be finite"))?;
        Ok(Content::Scalar(Value::Number(number)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let below = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Placed(below))? {
            array.push(item);
        }
        Ok(Content::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let below = self.deeper()?;
        let mut object: Vec<Entry> = Vec::new();
        let mut keys = HashSet::new();
        while let Some((at, key)) = entries.next_key_seed(Key(&self.progress.place))? {
            if !keys.insert(key.clone()) {
                self.progress.fault.set(Some(at));
                let key = key.escape_debug();
                return Err(A::Error::custom(format!("duplicate property `{key}`")));
            }
            let content = entries.next_value_seed(below)?;
            let value = Tree { at, content };
            object.push(Entry { key, at, value });
        }
        Ok(Content::Object(object))
    }
}

/// What reads an item of an array: its first byte has just been read.
struct Placed<'p>(Node<'p>);

impl<'de> DeserializeSeed<'de> for Placed<'_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        let at = self.0.progress.place.get();
        let content = self.0.deserialize(deserializer)?;
        Ok(Tree { at, content })
    }
}

/// What reads the key of a property: its quote has just been read.
struct Key<'p>(&'p Cell<Location>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = (Location, String);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let at = self.0.get();
        let key = <String as serde::Deserialize>::deserialize(deserializer)?;
        Ok((at, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let problem = parse(text).err().expect("a problem");
        let location = problem.location.expect("a location");
        format!("{location}: {}", problem.message)
    }

    #[test]
    fn values_are_what_they_were_written_as() {
        let text = r#" {"a": [1, -1, 1.5, true, null, "x\u00e9\/", {}], "007": "no"} "#;
        let value = parse(text).ok().unwrap().split().0;
        let same: Value = serde_json::from_str(text).unwrap();
        assert_eq!(value, same);
    }

    #[test]
    fn a_property_stands_where_its_key_does() {
        let text = "{\n  \"a\": {\"é\": 1, \"b\" :\t[ 1,\n {\"k\":2}]}}";
        let (_, marks) = parse(text).ok().unwrap().split();
        let locate = |path: PropertyPath| marks.locate(&path).to_string();
        let b = PropertyPath::root().key("a").key("b");
        assert_eq!(locate(PropertyPath::root().key("a")), "2:3");
        assert_eq!(locate(b.clone()), "2:17");
        assert_eq!(locate(b.clone().index(0)), "2:25");
        assert_eq!(locate(b.clone().index(1)), "3:2");
        assert_eq!(locate(b.clone().index(1).key("k")), "3:3");
        assert_eq!(locate(b.index(7)), "2:17");
        assert_eq!(locate(PropertyPath::root()), "1:1");
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_position_and_no_value() {
        for (text, expected) in [
            ("{\"a\": s3cret}", "1:7: not valid JSON: expected value"),
            ("{\"a\": 1,}", "1:9: not valid JSON: trailing comma"),
            (
                "{\"a\": 1}\n// s3cret",
                "2:1: not valid JSON: trailing characters",
            ),
            (
                "{\"a\": 1,\n \"a\": 2}",
                "2:2: not valid JSON: duplicate property `a`",
            ),
            (
                "{\"a\": \"s3cret",
                "1:13: not valid JSON: EOF while parsing a string",
            ),
            (
                "{\"a\": 1e999}",
                "1:12: not valid JSON: number out of range",
            ),
        ] {
            assert_eq!(refusal(text), expected, "{text}");
        }
    }

    #[test]
    fn documents_have_bounds() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(limits::YAML_DEPTH)).is_ok());
        let said = refusal(&nested(limits::YAML_DEPTH + 1));
        assert!(said.ends_with("nested deeper than 32 levels"), "{said}");
    }

    #[test]
    fn a_beginning_is_told_from_a_mistake() {
        for (text, complete) in [
            ("", false),
            ("{\"routes\": [", false),
            ("{\"routes\": []}", true),
            ("{\"routes\": x", true),
        ] {
            assert_eq!(is_complete(text), complete, "{text}");
        }
    }
}
