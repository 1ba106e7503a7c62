//! How values stand in messages: as Lua writes them, which is in the words that
//! people know.

use serde_json::{Number, Value};

/// What a value's type is called.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "userdata",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) | Value::Object(_) => "table",
    }
}

/// A text as Lua's `%q` writes it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' | '\n' => quoted.extend(['\\', c]),
            '\r' => quoted.push_str("\\r"),
            '\0' => quoted.push_str("\\0"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A number as Lua writes it, with at most 14 digits.
pub(super) fn written(number: &Number) -> String {
    number.as_f64().map_or_else(|| number.to_string(), digits)
}

/// As C's `%.14g`.
pub(super) fn digits(number: f64) -> String {
    let scientific = format!("{number:.13e}");
    let parts = scientific.split_once('e');
    let parts = parts.and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?)));
    let Some((mantissa, exponent)) = parts else {
        return number.to_string();
    };
    let trimmed = |digits: &str| match digits.contains('.') {
        true => digits
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
        false => digits.to_owned(),
    };
    if (-4..14).contains(&exponent) {
        let places = usize::try_from(13 - exponent).unwrap_or_default();
        return trimmed(&format!("{number:.places$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_at_most_fourteen_digits() {
        for (number, expected) in [
            (0.0, "0"),
            (5.0, "5"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (99_999_999_999_999.0, "99999999999999"),
            (1e14, "1e+14"),
            (1.0 / 3.0, "0.33333333333333"),
            (2.5e300, "2.5e+300"),
        ] {
            assert_eq!(digits(number), expected);
        }
    }

    #[test]
    fn quoted_texts_are_escaped() {
        assert_eq!(quoted("a\"b\\c\r\0"), "\"a\\\"b\\\\c\\r\\0\"");
        assert_eq!(quoted("a\nb"), "\"a\\\nb\"");
    }
}
