//! From JSON to an expression. The messages are lua-resty-expr's, which users
//! of APISIX's Admin API know; the path adds where.

use regex::bytes::RegexBuilder;
use serde_json::Value;

use super::{Condition, Expr, Operand, Pattern, Test, number};
use crate::limits::{EXPR_DEPTH, EXPR_REGEX_BYTES};
use crate::read::At;
use crate::{Cidr, Fault, PropertyPath};

/// Reads the expression that a resource holds.
pub(crate) fn read(at: &At<'_>) -> Option<Expr> {
    let read = Expr::from_json(at.value());
    read.map_err(|fault| at.fault_below(&fault)).ok()
}

impl Expr {
    /// Reads one from the JSON that a configuration holds.
    ///
    /// # Errors
    /// What is wrong with it, with the way to the item that is at fault.
    pub fn from_json(json: &Value) -> Result<Self, Fault> {
        let at = PropertyPath::root();
        let Some(rules) = json.as_array() else {
            return Err(fault(at, "expected a list of conditions"));
        };
        match rules.first() {
            None => Ok(Expr::All(Vec::new())),
            Some(Value::Array(_)) => several(rules, &at, 0, 0).map(Expr::All),
            Some(Value::String(word)) if is_logic(word) => rule(rules, &at, 0),
            Some(_) => Err(fault(at, "rule should be wrapped inside brackets")),
        }
    }
}

fn fault(path: PropertyPath, message: impl Into<String>) -> Fault {
    Fault {
        path,
        message: message.into(),
    }
}

fn is_logic(word: &str) -> bool {
    let word = word.strip_prefix('!').unwrap_or(word);
    word.eq_ignore_ascii_case("or") || word.eq_ignore_ascii_case("and")
}

/// The rules from number `from` on.
fn several(
    rules: &[Value],
    at: &PropertyPath,
    from: usize,
    depth: usize,
) -> Result<Vec<Expr>, Fault> {
    if depth >= EXPR_DEPTH {
        let message = format!("the nesting is deeper than {EXPR_DEPTH}");
        return Err(fault(at.clone(), message));
    }
    let rules = rules.iter().enumerate().skip(from);
    rules
        .map(|(index, item)| {
            let at = at.clone().index(index);
            match item.as_array() {
                Some(rules) => rule(rules, &at, depth + 1),
                None => Err(fault(at, "rule should be wrapped inside brackets")),
            }
        })
        .collect()
}

fn rule(rules: &[Value], at: &PropertyPath, depth: usize) -> Result<Expr, Fault> {
    let word = match rules.first() {
        None => return Err(fault(at.clone(), "rule too short")),
        Some(Value::Array(_)) => return several(rules, at, 0, depth).map(Expr::All),
        Some(Value::String(word)) => word,
        Some(_) => return Err(fault(at.clone().index(0), "expected a variable's name")),
    };
    if !is_logic(word) {
        return condition(word, rules, at);
    }
    if rules.len() < 3 {
        return Err(fault(at.clone(), "rule too short"));
    }
    let rules = several(rules, at, 1, depth)?;
    let joined = if word.to_ascii_lowercase().ends_with("or") {
        Expr::Any(rules)
    } else {
        Expr::All(rules)
    };
    Ok(if word.starts_with('!') {
        Expr::Not(Box::new(joined))
    } else {
        joined
    })
}

fn condition(variable: &str, rule: &[Value], at: &PropertyPath) -> Result<Expr, Fault> {
    let (negated, operator, value, value_at) = match rule {
        [_, operator, value] => (false, operator, value, 2),
        // An operator may be left out, and is `==` then.
        [_, value] => (false, &Value::Null, value, 1),
        [_, not, operator, value] if not == "!" => (true, operator, value, 3),
        [_, _, _, _] => return Err(fault(at.clone().index(1), "bad 'not' expression")),
        _ => return Err(fault(at.clone(), "invalid expression")),
    };
    let value_at = at.clone().index(value_at);
    let test = match operator {
        Value::Null if rule.len() == 2 => Test::Equal(operand(value)),
        Value::String(operator) => {
            test(operator, value, value_at).map_err(|wrong| match wrong {
                Wrong::Operator => {
                    let at = at.clone().index(if negated { 2 } else { 1 });
                    fault(at, format!("invalid operator '{operator}'"))
                }
                Wrong::Value(fault) => fault,
            })?
        }
        _ => return Err(fault(at.clone(), "invalid expression")),
    };
    let condition = Expr::Condition(Condition {
        variable: variable.to_owned(),
        test,
    });
    Ok(if negated {
        Expr::Not(Box::new(condition))
    } else {
        condition
    })
}

enum Wrong {
    Operator,
    Value(Fault),
}

fn test(operator: &str, value: &Value, at: PropertyPath) -> Result<Test, Wrong> {
    Ok(match &*operator.to_ascii_lowercase() {
        "==" => Test::Equal(operand(value)),
        "~=" => Test::NotEqual(operand(value)),
        ">" => Test::Greater(bound(value)),
        ">=" => Test::GreaterOrEqual(bound(value)),
        "<" => Test::Less(bound(value)),
        "<=" => Test::LessOrEqual(bound(value)),
        "~~" => Test::Matches(pattern(value, false, at).map_err(Wrong::Value)?),
        "~*" => Test::Matches(pattern(value, true, at).map_err(Wrong::Value)?),
        "in" => Test::In(texts(value)),
        "has" => Test::Has,
        "ipmatch" | "ip_match" => Test::InRange(ranges(value, &at).map_err(Wrong::Value)?),
        _ => return Err(Wrong::Operator),
    })
}

fn operand(value: &Value) -> Operand {
    match value {
        Value::String(text) => Operand::Text(text.clone()),
        Value::Number(number) => number.as_f64().map_or(Operand::Other, Operand::Number),
        Value::Null => Operand::Nothing,
        _ => Operand::Other,
    }
}

fn bound(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => number(text.as_bytes()),
        _ => None,
    }
}

/// Variables' values are texts, so of a list only the texts can match.
fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// A regular expression that stands at `at`.
pub(crate) fn pattern(
    value: &Value,
    ignore_case: bool,
    at: PropertyPath,
) -> Result<Pattern, Fault> {
    let Some(text) = value.as_str() else {
        return Err(fault(at, "expected a regular expression"));
    };
    let regex = RegexBuilder::new(text)
        .case_insensitive(ignore_case)
        // Bytes, as PCRE without its UTF flag.
        .unicode(false)
        .size_limit(EXPR_REGEX_BYTES)
        .build();
    match regex {
        Ok(regex) => Ok(Pattern {
            written: format!("{}{text}", if ignore_case { "(?i)" } else { "" }),
            regex,
        }),
        Err(error) => {
            // The first lines draw the expression with a mark below it.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            Err(fault(at, format!("invalid regular expression: {reason}")))
        }
    }
}

fn ranges(value: &Value, at: &PropertyPath) -> Result<Vec<Cidr>, Fault> {
    let one = std::slice::from_ref(value);
    let items = value.as_array().map_or(one, Vec::as_slice);
    if items.is_empty() {
        return Err(fault(at.clone(), "invalid ip address"));
    }
    let ranges = items.iter().enumerate().map(|(index, item)| {
        let range = item.as_str().and_then(|text| text.parse().ok());
        range.ok_or_else(|| {
            let at = if value.is_array() {
                at.clone().index(index)
            } else {
                at.clone()
            };
            let written = item.as_str().unwrap_or_default();
            fault(
                at,
                format!("invalid ip address: {written}")
                    .trim_end()
                    .to_owned(),
            )
        })
    });
    ranges.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_named_as_apisix_names_it() {
        for (json, expected) in [
            (json!("x"), "expected a list of conditions"),
            (
                json!(["arg_a", "==", "1"]),
                "rule should be wrapped inside brackets",
            ),
            (
                json!([["arg_a", "=~", "1"]]),
                "[0][1]: invalid operator '=~'",
            ),
            (json!([["arg_a"]]), "[0]: invalid expression"),
            (json!([["arg_a", "!", "1"]]), "[0][1]: invalid operator '!'"),
            (
                json!([["arg_a", "not", "==", "1"]]),
                "[0][1]: bad 'not' expression",
            ),
            (
                json!([["arg_a", "!", "=~", "1"]]),
                "[0][2]: invalid operator '=~'",
            ),
            (json!(["OR", ["arg_a", "==", "1"]]), "rule too short"),
            (
                json!(["XOR", ["a", "==", "1"], ["b", "==", "1"]]),
                "rule should be wrapped inside brackets",
            ),
            (
                json!([["remote_addr", "ipmatch", []]]),
                "[0][2]: invalid ip address",
            ),
            (
                json!([["remote_addr", "ipmatch", ["::1", "x"]]]),
                "[0][2][1]: invalid ip address: x",
            ),
            (
                json!([["remote_addr", "ipmatch", 5]]),
                "[0][2]: invalid ip address:",
            ),
            (json!([[]]), "[0]: rule too short"),
            (
                json!([["a", "==", "1"], "b"]),
                "[1]: rule should be wrapped inside brackets",
            ),
            (
                json!([[1, "==", "1"]]),
                "[0][0]: expected a variable's name",
            ),
            (
                json!([["a", "~~", "(x"]]),
                "[0][2]: invalid regular expression: unclosed group",
            ),
            (
                json!([["a", "~~", "(?=x)"]]),
                "[0][2]: invalid regular expression: look-around, including look-ahead and \
                 look-behind, is not supported",
            ),
        ] {
            let fault = Expr::from_json(&json).unwrap_err();
            assert_eq!(fault.to_string(), expected, "{json}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let mut json = json!(["a", "==", "1"]);
        for _ in 0..=EXPR_DEPTH {
            json = json!([json]);
        }
        let fault = Expr::from_json(&json).unwrap_err();
        assert!(fault.message.contains("deeper"), "{fault}");
    }

    #[test]
    fn an_operator_may_be_left_out_and_an_empty_list_asks_for_nothing() {
        assert_eq!(Expr::from_json(&json!([])), Ok(Expr::All(vec![])));
        assert_eq!(
            Expr::from_json(&json!([["arg_a", "1"]])),
            Expr::from_json(&json!([["arg_a", "==", "1"]]))
        );
        assert_ne!(
            Expr::from_json(&json!([["a", "~~", "x"]])),
            Expr::from_json(&json!([["a", "~*", "x"]]))
        );
    }
}
