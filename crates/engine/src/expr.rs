//! Whether an expression over variables holds, with lua-resty-expr's meaning.
//!
//! A variable without a value is like none of the texts, numbers and addresses
//! that a condition can name; so `~=` holds for it, and so does the opposite
//! (`!`) of every other operator.

use std::borrow::Cow;
use std::net::IpAddr;

use outrigger_model::expr::{Condition, Expr, Operand, Test, number};

/// Whether `expr` holds where `lookup` knows the variables' values.
pub fn matches<'a>(expr: &Expr, lookup: &impl Fn(&str) -> Option<Cow<'a, [u8]>>) -> bool {
    match expr {
        Expr::All(each) => each.iter().all(|expr| matches(expr, lookup)),
        Expr::Any(each) => each.iter().any(|expr| matches(expr, lookup)),
        Expr::Not(expr) => !matches(expr, lookup),
        Expr::Condition(Condition { variable, test }) => holds(test, lookup(variable).as_deref()),
    }
}

fn holds(test: &Test, value: Option<&[u8]>) -> bool {
    let compared = |bound: &Option<f64>, holds: fn(&f64, &f64) -> bool| {
        let value = value.and_then(number);
        matches!((value, bound), (Some(value), Some(bound)) if holds(&value, bound))
    };
    match test {
        Test::Equal(operand) => is(value, operand),
        Test::NotEqual(operand) => !is(value, operand),
        Test::Greater(bound) => compared(bound, f64::gt),
        Test::GreaterOrEqual(bound) => compared(bound, f64::ge),
        Test::Less(bound) => compared(bound, f64::lt),
        Test::LessOrEqual(bound) => compared(bound, f64::le),
        Test::Matches(pattern) => value.is_some_and(|value| pattern.is_match(value)),
        Test::In(texts) => {
            value.is_some_and(|value| texts.iter().any(|text| text.as_bytes() == value))
        }
        Test::Has => false,
        Test::InRange(ranges) => {
            let address = value.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
            address
                .is_some_and(|address: IpAddr| ranges.iter().any(|range| range.contains(address)))
        }
    }
}

fn is(value: Option<&[u8]>, operand: &Operand) -> bool {
    match operand {
        Operand::Text(text) => value == Some(text.as_bytes()),
        // Numbers are told apart as Lua does it, by their bits' value.
        #[allow(clippy::float_cmp, reason = "equal numbers are meant, not close ones")]
        Operand::Number(wanted) => value.and_then(number) == Some(*wanted),
        Operand::Nothing => value.is_none(),
        Operand::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Whether `expr` holds for a request with `arg_v` or without.
    fn with(value: Option<&str>, expr: &Value) -> bool {
        let expr = Expr::from_json(expr).unwrap();
        matches(&expr, &|name| match name {
            "arg_v" => value.map(|value| Cow::Owned(value.as_bytes().to_vec())),
            "remote_addr" => Some(Cow::Borrowed(b"10.1.1.1")),
            _ => None,
        })
    }

    /// The condition and its opposite, for values that hold and values that do not.
    fn check(operator: &str, operand: &Value, holds: &[Option<&str>], does_not: &[Option<&str>]) {
        for (values, expected) in [(holds, true), (does_not, false)] {
            for value in values {
                let plain = json!([["arg_v", operator, operand]]);
                assert_eq!(with(*value, &plain), expected, "{value:?} {plain}");
                let opposite = json!([["arg_v", "!", operator, operand]]);
                assert_eq!(with(*value, &opposite), !expected, "{value:?} {opposite}");
            }
        }
    }

    #[test]
    fn each_operator_and_its_opposite() {
        let some = Some;
        check(
            "==",
            &json!("1"),
            &[some("1")],
            &[some("1.0"), some(""), None],
        );
        check(
            "==",
            &json!(1),
            &[some("1"), some("1.0"), some("0x1")],
            &[some("a"), None],
        );
        check("==", &json!(null), &[None], &[some(""), some("null")]);
        check("==", &json!(true), &[], &[some("true"), None]);
        check("~=", &json!("1"), &[some("2"), None], &[some("1")]);
        check(
            "~=",
            &json!(1),
            &[some("2"), some("x"), None],
            &[some("1.0")],
        );
        check("~=", &json!(null), &[some("")], &[None]);
        check(
            ">",
            &json!(10),
            &[some("10.5")],
            &[some("9"), some("10"), some("abc"), None],
        );
        check(">=", &json!("10"), &[some("10")], &[some("9"), None]);
        check(
            "<",
            &json!(10),
            &[some("9")],
            &[some("10"), some("abc"), None],
        );
        check(
            "<=",
            &json!("10"),
            &[some("10"), some("-1")],
            &[some("10.5"), None],
        );
        check("<", &json!("ten"), &[], &[some("9")]);
        check(
            "~~",
            &json!("^x\\d$"),
            &[some("x1")],
            &[some("X1"), some("yx1"), None],
        );
        check("~*", &json!("^x\\d$"), &[some("X1")], &[some("y"), None]);
        check(
            "in",
            &json!(["a", "b"]),
            &[some("a")],
            &[some("c"), some("A"), None],
        );
        check("IN", &json!([1]), &[], &[some("1")]);
        check("has", &json!("a"), &[], &[some("a"), None]);
        let ranges = json!(["192.168.0.0/16", "fe80::/10"]);
        let inside = [
            some("192.168.3.4"),
            some("fe80::1"),
            some("::ffff:192.168.0.1"),
        ];
        check(
            "ipmatch",
            &ranges,
            &inside,
            &[some("10.0.0.1"), some("nonsense"), None],
        );
        check(
            "ip_match",
            &json!("192.168.0.0/16"),
            &[some("192.168.3.4")],
            &[some("::1")],
        );
    }

    #[test]
    fn conditions_are_joined_as_written() {
        let nested = json!([
            ["remote_addr", "ipmatch", "10.0.0.0/8"],
            [
                "OR",
                ["arg_v", "==", "1"],
                ["AND", ["arg_v", ">", 5], ["arg_v", "~=", "7"]]
            ]
        ]);
        for (value, expected) in [("1", true), ("6", true), ("7", false), ("2", false)] {
            assert_eq!(with(Some(value), &nested), expected, "{value}");
        }
        let not_any = json!(["!or", ["arg_v", "==", "1"], ["arg_v", "==", "2"]]);
        assert!(with(Some("3"), &not_any) && !with(Some("2"), &not_any));
        let not_all = json!(["!AND", ["arg_v", ">", 1], ["arg_v", "<", 5]]);
        assert!(with(Some("1"), &not_all) && !with(Some("2"), &not_all));
        assert!(with(None, &json!([])));
    }
}
