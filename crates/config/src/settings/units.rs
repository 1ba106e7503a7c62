//! Sizes and times as nginx writes them, and times in milliseconds.

use std::time::Duration;

use outrigger_model::read::At;
use serde_json::Value;

use crate::limits;

/// A size in bytes: a number, or a text such as `8k`, `10m` or `1g`.
pub(super) fn size(at: &At<'_>) -> Option<u64> {
    let size = match at.value() {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => parse_size(text),
        _ => return at.wrong_type("size"),
    };
    if size.is_none() {
        at.fault("expected a size such as 1024, 8k, 10m or 1g");
    }
    size
}

/// A text that is a [`size`].
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let unit = match text.as_bytes().last()? {
        b'k' | b'K' => 1 << 10,
        b'm' | b'M' => 1 << 20,
        b'g' | b'G' => 1 << 30,
        _ => 1,
    };
    let digits = if unit == 1 {
        text
    } else {
        &text[..text.len() - 1]
    };
    parse_digits(digits)?.checked_mul(unit)
}

/// A time: a number of seconds, or a text such as `500ms`, `60s` or `1h 30m`.
pub(super) fn time(at: &At<'_>) -> Option<Duration> {
    let time = match at.value() {
        Value::Number(number) => number.as_u64().map(Duration::from_secs),
        Value::String(text) => parse_time(text),
        _ => return at.wrong_type("time"),
    };
    match time {
        Some(time) if time <= limits::LONGEST_DURATION => return Some(time),
        Some(_) => at.fault(format!(
            "expected at most {} s",
            limits::LONGEST_DURATION.as_secs()
        )),
        None => at.fault("expected a time such as 60, 60s, 500ms or 1h30m"),
    }
    None
}

/// A [`time`] that is not zero.
pub(super) fn time_above_zero(at: &At<'_>) -> Option<Duration> {
    let time = time(at)?;
    if time.is_zero() {
        at.fault("expected a time greater than 0");
        return None;
    }
    Some(time)
}

/// A time in milliseconds, of at least `least`.
pub(super) fn milliseconds(at: &At<'_>, least: i64) -> Option<Duration> {
    let most = i64::try_from(limits::LONGEST_DURATION.as_millis()).unwrap_or(i64::MAX);
    let milliseconds = at.integer(least..=most)?;
    Some(Duration::from_millis(u64::try_from(milliseconds).ok()?))
}

/// nginx's units, from the longest to the shortest, in milliseconds. They must come in this
/// order, each at most once.
const UNITS: [(&str, u64); 8] = [
    ("y", 365 * 86_400_000),
    ("M", 30 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

fn parse_time(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut milliseconds: u64 = 0;
    let mut units = &UNITS[..];
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number = parse_digits(&rest[..digits])?;
        let after = &rest[digits..];
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        // A number without unit is one of seconds.
        let unit = if letters == 0 { "s" } else { &after[..letters] };
        let place = units.iter().position(|(name, _)| *name == unit)?;
        milliseconds = milliseconds.checked_add(number.checked_mul(units[place].1)?)?;
        units = &units[place + 1..];
        rest = after[letters..].trim_start();
    }
    Some(Duration::from_millis(milliseconds))
}

fn parse_digits(digits: &str) -> Option<u64> {
    // `parse` would take a sign too.
    let only_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    only_digits.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let rows = [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("8k", Some(8192)),
            ("10M", Some(10 << 20)),
            ("1g", Some(1 << 30)),
            ("18446744073709551615", Some(u64::MAX)),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_size(text), expected, "{text}");
        }
        for text in [
            "",
            "k",
            "-1",
            "+1",
            "1.5m",
            "1t",
            "10 m",
            "18446744073709551615k",
            "1é",
        ] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn times_have_units() {
        let rows = [
            ("60", 60_000),
            ("60s", 60_000),
            ("500ms", 500),
            ("1m", 60_000),
            ("1h30m", 5_400_000),
            ("1h 30m 5s 7ms", 5_405_007),
            ("1d", 86_400_000),
            ("0", 0),
        ];
        for (text, expected) in rows {
            assert_eq!(
                parse_time(text),
                Some(Duration::from_millis(expected)),
                "{text}"
            );
        }
        for text in [
            "",
            " ",
            "s",
            "-1s",
            "1.5s",
            "1x",
            "1m 1h",
            "1s 1s",
            "1m 5 6",
            "99999999999y",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
