//! A document as text, so that reading it gives the document back.
//!
//! YAML is written as people write it: in blocks, texts of several lines as such, and
//! quoted only what could be taken for something else.

use serde_json::{Map, Value};

use crate::Format;
use crate::env;

/// What stands above a document in YAML.
const HEAD: &str = "# All resources of a gateway, with their secrets.\n";

/// What references to the environment in it are written as, so that they come back as
/// they are: this reads as a dollar sign wherever variables are put in.
const DOLLAR: &str = "${{OUTRIGGER_DOLLAR:=$}}";

/// The text of a document.
pub fn text(document: &Map<String, Value>, format: Format) -> String {
    let document = guarded(&Value::Object(document.clone()));
    match format {
        Format::Json => format!("{document:#}\n"),
        Format::Yaml => {
            let mut text = HEAD.to_owned();
            if let Value::Object(collections) = &document {
                write_object(collections, 0, &mut text);
            }
            text.push_str("#END\n");
            text
        }
    }
}

/// A document as YAML, as it is: for those who put no variables in.
pub fn plain_yaml(document: &Map<String, Value>) -> String {
    let mut text = String::new();
    match document.is_empty() {
        true => text.push_str("{}\n"),
        false => write_object(document, 0, &mut text),
    }
    text
}

/// The same, with nothing in it that is taken for a reference to the environment.
fn guarded(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(guarded_text(text)),
        Value::Array(items) => Value::Array(items.iter().map(guarded).collect()),
        Value::Object(properties) => {
            let properties = properties.iter();
            let guarded = properties.map(|(key, value)| (guarded_text(key), guarded(value)));
            Value::Object(guarded.collect())
        }
        other => other.clone(),
    }
}

fn guarded_text(text: &str) -> String {
    match env::has_reference(text) {
        true => text.replace("${{", &format!("{DOLLAR}{{{{")),
        false => text.to_owned(),
    }
}

/// Writes the properties, each on lines of its own.
fn write_object(properties: &Map<String, Value>, indent: usize, text: &mut String) {
    for (key, value) in properties {
        text.push_str(&" ".repeat(indent));
        write_text(key, text);
        text.push(':');
        write_value(value, indent, text);
    }
}

/// Writes what stands after a key or a dash at `indent`, with the end of its line.
fn write_value(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(properties) if !properties.is_empty() => {
            text.push('\n');
            write_object(properties, indent + 2, text);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            for item in items {
                write_item(item, indent + 2, text);
            }
        }
        Value::String(lines) if is_block(lines) => write_block(lines, indent + 2, text),
        other => {
            text.push(' ');
            write_scalar(other, text);
            text.push('\n');
        }
    }
}

fn write_item(item: &Value, indent: usize, text: &mut String) {
    text.push_str(&" ".repeat(indent));
    text.push('-');
    match item {
        Value::Object(properties) if !properties.is_empty() => {
            let start = text.len();
            write_object(properties, indent + 2, text);
            // The first property stands beside the dash.
            text.replace_range(start..=start + indent, "");
        }
        other => write_value(other, indent, text),
    }
}

fn write_scalar(value: &Value, text: &mut String) {
    match value {
        Value::String(scalar) => write_text(scalar, text),
        // Nothing, numbers, booleans, and what is empty, are written as in JSON.
        other => text.push_str(&other.to_string()),
    }
}

fn write_text(scalar: &str, text: &mut String) {
    if is_plain(scalar) {
        text.push_str(scalar);
        return;
    }
    text.push('"');
    for char in scalar.chars() {
        match char {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            odd if !is_printable(odd) => text.push_str(&format!("\\U{:08X}", u32::from(odd))),
            char => text.push(char),
        }
    }
    text.push('"');
}

/// What YAML lets stand as it is. Of some more, people could not tell.
fn is_printable(char: char) -> bool {
    !char.is_control()
        && !matches!(
            char,
            '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}'..='\u{FFFF}'
        )
}

/// Whether no reader of any version of YAML takes the text for something else.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let mut bytes = text.bytes();
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'/' || byte == b'_';
    let further = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.*".contains(&byte);
    bytes.next().is_some_and(first)
        && bytes.all(further)
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether the text is written as lines, such as a certificate.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && !text.ends_with("\n\n")
        && text.chars().all(|char| char == '\n' || is_printable(char))
        && !text.lines().any(|line| line.ends_with(' '))
}

fn write_block(lines: &str, indent: usize, text: &mut String) {
    text.push_str(if lines.ends_with('\n') {
        " |\n"
    } else {
        " |-\n"
    });
    for line in lines.lines() {
        if !line.is_empty() {
            text.push_str(&" ".repeat(indent));
            text.push_str(line);
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn yaml(document: Value) -> String {
        text(document.as_object().unwrap(), Format::Yaml)
    }

    #[test]
    fn it_reads_as_people_write_it() {
        let document = json!({
            "routes": [
                {
                    "id": "1",
                    "uris": ["/a/*", "/b c"],
                    "methods": [],
                    "upstream": {"nodes": {"127.0.0.1:80": 1}, "type": "roundrobin"},
                    "vars": [["arg_a", "==", "yes"], []],
                },
                {"id": "007", "enable_websocket": true, "desc": ""},
                {},
            ],
            "ssls": [{"cert": "-----BEGIN\nx\n\ny\n", "key": "a\nb"}],
        });
        let expected = r#"# All resources of a gateway, with their secrets.
routes:
  - id: "1"
    uris:
      - /a/*
      - "/b c"
    methods: []
    upstream:
      nodes:
        "127.0.0.1:80": 1
      type: roundrobin
    vars:
      -
        - arg_a
        - "=="
        - "yes"
      - []
  - id: "007"
    enable_websocket: true
    desc: ""
  - {}
ssls:
  - cert: |
      -----BEGIN
      x

      y
    key: |-
      a
      b
#END
"#;
        assert_eq!(yaml(document), expected);
    }

    #[test]
    fn what_looks_like_a_variable_is_none() {
        let document = json!({"routes": [{"desc": "${{HOME}} $x ${{", "uri": "$x"}]});
        let text = yaml(document);
        assert!(
            text.contains(
                r#"desc: "${{OUTRIGGER_DOLLAR:=$}}{{HOME}} $x ${{OUTRIGGER_DOLLAR:=$}}{{""#
            ),
            "{text}"
        );
        assert!(text.contains("uri: \"$x\"\n"), "{text}");
    }
}
