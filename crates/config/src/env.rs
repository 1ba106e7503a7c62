//! Environment variables in configuration files: `${{NAME}}` and `${{NAME:=default}}`.
//!
//! They stand in texts and keys, as APISIX has them. A text that becomes a number
//! or a boolean by it is one, so that a port can come from the environment.
//! The environment itself is the caller's to give: nothing is read behind its back.

use std::collections::HashSet;

use outrigger_model::PropertyPath;
use serde_json::{Number, Value};

use crate::report::{Location, Problem};
use crate::tree::{Content, Entry, Tree};

/// Looks an environment variable up by its name.
pub type Env<'e> = dyn Fn(&str) -> Option<String> + 'e;

const OPEN: &str = "${{";
const CLOSE: &str = "}}";

/// Puts the variables in, all over the document. Returns every one that is missing.
pub(crate) fn substitute(tree: &mut Tree, env: &Env<'_>) -> Vec<Problem> {
    let mut substitution = Substitution {
        env,
        problems: Vec::new(),
    };
    let root = Place {
        at: tree.at,
        step: None,
    };
    substitution.walk(tree, &root);
    substitution.problems
}

struct Substitution<'e> {
    env: &'e Env<'e>,
    problems: Vec<Problem>,
}

/// A place in the document. Its path is put together only when it is reported.
struct Place<'p> {
    at: Location,
    step: Option<(&'p Place<'p>, Step<'p>)>,
}

enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

impl Place<'_> {
    fn path(&self) -> PropertyPath {
        match &self.step {
            None => PropertyPath::root(),
            Some((above, Step::Key(key))) => above.path().key(*key),
            Some((above, Step::Index(index))) => above.path().index(*index),
        }
    }
}

impl Substitution<'_> {
    fn walk(&mut self, tree: &mut Tree, place: &Place<'_>) {
        match &mut tree.content {
            Content::Scalar(value) => {
                if let Value::String(text) = value
                    && let Some(resolved) = self.resolve(text, place)
                {
                    *value = typed(resolved);
                }
            }
            Content::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let place = Place {
                        at: item.at,
                        step: Some((place, Step::Index(index))),
                    };
                    self.walk(item, &place);
                }
            }
            Content::Object(entries) => {
                self.resolve_keys(entries, place);
                for entry in entries {
                    let place = Place {
                        at: entry.at,
                        step: Some((place, Step::Key(&entry.key))),
                    };
                    self.walk(&mut entry.value, &place);
                }
            }
        }
    }

    /// The parser has seen to it that keys differ; with variables in them they may not.
    fn resolve_keys(&mut self, entries: &mut [Entry], above: &Place<'_>) {
        let mut any_resolved = false;
        for Entry { key, at, .. } in &mut *entries {
            let place = Place {
                at: *at,
                step: Some((above, Step::Key(key))),
            };
            if let Some(resolved) = self.resolve(key, &place) {
                *key = resolved;
                any_resolved = true;
            }
        }
        if !any_resolved {
            return;
        }
        let mut keys = HashSet::new();
        for Entry { key, at, .. } in &*entries {
            if !keys.insert(key) {
                let place = Place {
                    at: *at,
                    step: Some((above, Step::Key(key))),
                };
                self.report(&place, "duplicate property");
            }
        }
    }

    /// The text with its variables; none if it has none, or one is missing.
    fn resolve(&mut self, text: &str, place: &Place<'_>) -> Option<String> {
        let mut resolved = String::new();
        let mut rest = text;
        let mut found = false;
        while let Some((before, reference, after)) = next_reference(rest) {
            let Some(value) = (self.env)(reference.name).or(reference.default.map(str::to_owned))
            else {
                let name = reference.name;
                self.report(place, format!("the environment variable {name} is not set"));
                return None;
            };
            resolved.push_str(before);
            resolved.push_str(&value);
            rest = after;
            found = true;
        }
        if !found {
            return None;
        }
        resolved.push_str(rest);
        Some(resolved)
    }

    fn report(&mut self, place: &Place<'_>, message: impl Into<String>) {
        self.problems.push(Problem {
            location: Some(place.at),
            path: place.path(),
            message: message.into(),
        });
    }
}

/// Whether a text has a variable in it.
pub(crate) fn has_reference(text: &str) -> bool {
    next_reference(text).is_some()
}

struct Reference<'t> {
    name: &'t str,
    default: Option<&'t str>,
}

/// The first reference in a text, with what stands before and after it. What only
/// looks like the beginning of one stays as it is.
fn next_reference(text: &str) -> Option<(&str, Reference<'_>, &str)> {
    let mut from = 0;
    loop {
        let open = from + text[from..].find(OPEN)?;
        let inside = &text[open + OPEN.len()..];
        let close = inside.find(CLOSE)?;
        if let Some(reference) = parse_reference(&inside[..close]) {
            return Some((&text[..open], reference, &inside[close + CLOSE.len()..]));
        }
        from = open + OPEN.len();
    }
}

fn parse_reference(inside: &str) -> Option<Reference<'_>> {
    let (name, default) = match inside.split_once(":=") {
        Some((name, default)) => (name, Some(default.trim())),
        None => (inside, None),
    };
    let name = name.trim();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!name.is_empty() && name.bytes().all(allowed)).then_some(Reference { name, default })
}

/// A number or a boolean if the text is how one is written, and a text otherwise.
/// `007` and `1e3` stay texts: as numbers they would lose how they were written.
fn typed(text: String) -> Value {
    match text.as_str() {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    let number = text.parse::<Number>().ok();
    match number.filter(|number| number.to_string() == text) {
        Some(number) => Value::Number(number),
        None => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::yaml;

    fn env(name: &str) -> Option<String> {
        let value = match name {
            "PORT" => "9080",
            "ON" => "true",
            "ZIP" => "00501",
            "HOST" => "a.test",
            "EMPTY" => "",
            "NESTED" => "${{PORT}}",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn outcome(text: &str) -> Result<Value, Vec<String>> {
        let mut tree = yaml::parse(text).expect("a document");
        let mut problems = substitute(&mut tree, &env);
        problems.sort_by_key(|problem| problem.location);
        if problems.is_empty() {
            return Ok(tree.split().0);
        }
        let shown = |problem: Problem| {
            let location = problem.location.expect("a location");
            format!("{location}: {}: {}", problem.path, problem.message)
        };
        Err(problems.into_iter().map(shown).collect())
    }

    #[test]
    fn variables_are_put_in_and_typed() {
        let rows = [
            ("${{PORT}}", json!(9080)),
            ("${{ PORT }}", json!(9080)),
            ("${{ON}}", json!(true)),
            ("${{ZIP}}", json!("00501")),
            ("${{EMPTY}}", json!("")),
            ("http://${{HOST}}:${{PORT}}/", json!("http://a.test:9080/")),
            ("${{NONE:=x y}}", json!("x y")),
            ("${{NONE := 5 }}", json!(5)),
            ("${{NONE:=}}", json!("")),
            ("${{PORT:=1}}", json!(9080)),
            ("${{NESTED}}", json!("${{PORT}}")),
            ("$PORT ${PORT} ${{", json!("$PORT ${PORT} ${{")),
            ("${{a-b}} ${{}}", json!("${{a-b}} ${{}}")),
            ("${{ ${{PORT}}", json!("${{ 9080")),
        ];
        for (text, expected) in rows {
            let document = format!("k: '{text}'\n");
            assert_eq!(outcome(&document), Ok(json!({"k": expected})), "{text}");
        }
    }

    #[test]
    fn keys_and_items_take_variables_too() {
        let text = "nodes: {'${{HOST}}:${{PORT}}': 1}\nlist: ['${{ON}}']\n";
        let expected = json!({"nodes": {"a.test:9080": 1}, "list": [true]});
        assert_eq!(outcome(text), Ok(expected));
    }

    #[test]
    fn every_missing_variable_is_reported() {
        assert_eq!(
            outcome("a: ${{NONE}}\nb:\n  - x${{GONE}}\n${{HOST}}: 1\na.test: 2\n"),
            Err(vec![
                "1:1: a: the environment variable NONE is not set".to_owned(),
                "3:5: b[0]: the environment variable GONE is not set".to_owned(),
                "5:1: [\"a.test\"]: duplicate property".to_owned(),
            ]),
        );
    }
}
