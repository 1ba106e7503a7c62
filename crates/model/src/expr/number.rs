//! Texts as numbers.

/// The number that a variable's value or the right side of a comparison stands
/// for, as Lua's `tonumber` reads it: decimal with fraction and exponent, or
/// hexadecimal after `0x`, with white space around. `None` for anything else.
#[must_use]
pub fn number(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            hexadecimal(hex).filter(|_| !hex.is_empty())?
        }
        Some(_) => return None,
        // Rust's own reading has words for infinity, too, and a second sign.
        None if digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') => {
            digits.parse().ok()?
        }
        None => return None,
    };
    Some(if negative { -magnitude } else { magnitude })
}

fn hexadecimal(digits: &str) -> Option<f64> {
    let mut value = 0.0;
    for digit in digits.chars() {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_lua_reads_them() {
        for (text, expected) in [
            ("10", Some(10.0)),
            (" 10.5\t", Some(10.5)),
            ("-1", Some(-1.0)),
            ("+2", Some(2.0)),
            ("1e3", Some(1000.0)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("0x10", Some(16.0)),
            ("-0Xff", Some(-255.0)),
            ("", None),
            (" ", None),
            ("abc", None),
            ("1a", None),
            ("--1", None),
            ("+-1", None),
            ("0x", None),
            ("0xg", None),
            ("inf", None),
            ("nan", None),
            ("1 2", None),
            (".", None),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(number(b"\xff"), None);
    }
}
