use serde_json::json;

use super::*;

/// What is said of each value by the schema.
fn rows(schema: Value, rows: &[(Value, &str)]) {
    let schema = Schema::new(schema).unwrap();
    for (value, expected) in rows {
        let said = schema.check(value).err();
        let said = said.map(|fault| fault.in_words()).unwrap_or_default();
        assert_eq!(said, *expected, "{value}");
    }
}

#[test]
fn types_are_named_as_lua_names_them() {
    rows(
        json!({"type": "string"}),
        &[
            (json!("a"), ""),
            (json!(5), "wrong type: expected string, got number"),
            (json!(null), "wrong type: expected string, got userdata"),
            (json!(true), "wrong type: expected string, got boolean"),
            (json!([1]), "wrong type: expected string, got table"),
        ],
    );
    rows(
        json!({"type": ["string", "integer"]}),
        &[
            (json!(5), ""),
            (json!(5.0), ""),
            (
                json!(5.5),
                "wrong type: expected one of string, integer, got number",
            ),
        ],
    );
}

#[test]
fn an_empty_array_is_an_empty_object_and_the_other_way_round() {
    rows(
        json!({"type": "object", "required": ["a"]}),
        &[
            (json!({"a": 1}), ""),
            (json!([]), "property \"a\" is required"),
            (json!(["a"]), "wrong type: expected object, got table"),
        ],
    );
    rows(
        json!({"type": "array", "minItems": 1}),
        &[
            (json!(["a"]), ""),
            (json!({}), "expect array to have at least 1 items"),
            (json!({"a": 1}), "wrong type: expected array, got table"),
        ],
    );
}

#[test]
fn a_path_to_the_fault_is_told() {
    rows(
        json!({"properties": {"conf": {"type": "array", "items": {
            "properties": {"name": {"type": "string"}}, "required": ["name"],
        }}}}),
        &[
            (json!({"conf": [{"name": "a"}]}), ""),
            (
                json!({"conf": [{"name": "a"}, {}]}),
                "property \"conf\" validation failed: failed to validate item 2: \
                 property \"name\" is required",
            ),
        ],
    );
}

#[test]
fn properties_are_checked_by_name_by_pattern_and_otherwise() {
    rows(
        json!({
            "properties": {"a": {"type": "integer"}},
            "patternProperties": {"^x-": {"type": "string"}},
            "additionalProperties": false,
        }),
        &[
            (json!({"a": 1, "x-b": "c"}), ""),
            (
                json!({"x-b": 1}),
                "failed to validate x-b (matching \"^x-\"): wrong type: expected string, got number",
            ),
            (
                json!({"a": 1, "b": 1}),
                "additional properties forbidden, found b",
            ),
        ],
    );
    rows(
        json!({"additionalProperties": {"type": "string"}}),
        &[(
            json!({"b": 1}),
            "failed to validate additional property b: wrong type: expected string, got number",
        )],
    );
    rows(
        json!({"minProperties": 1, "maxProperties": 1}),
        &[
            (json!({}), "expect object to have at least 1 properties"),
            (
                json!({"a": 1, "b": 1}),
                "expect object to have at most 1 properties",
            ),
        ],
    );
}

#[test]
fn dependencies_are_other_properties_or_a_schema() {
    rows(
        json!({"dependencies": {"a": ["b"], "c": {"not": {"required": ["d"]}}}}),
        &[
            (json!({"a": 1, "b": 1}), ""),
            (
                json!({"a": 1}),
                "property \"b\" is required when \"a\" is set",
            ),
            (
                json!({"c": 1, "d": 1}),
                "failed to validate dependent schema for \"c\": \
                 value wasn't supposed to match schema",
            ),
        ],
    );
}

#[test]
fn texts_and_numbers_have_limits() {
    rows(
        json!({"minLength": 2, "maxLength": 3, "pattern": "^\\S+$"}),
        &[
            (json!("äöü"), ""),
            (json!("a"), "string too short, expected at least 2, got 1"),
            (json!("abcd"), "string too long, expected at most 3, got 4"),
            (
                json!("a \""),
                r#"failed to match pattern "^\\S+$" with "a \"""#,
            ),
        ],
    );
    rows(
        json!({"minimum": 1, "maximum": 10}),
        &[
            (json!(1), ""),
            (json!(0.5), "expected 0.5 to be at least 1"),
            (json!(11), "expected 11 to be at most 10"),
        ],
    );
    rows(
        json!({"exclusiveMinimum": 0, "exclusiveMaximum": 1}),
        &[
            (json!(0), "expected 0 to be greater than 0"),
            (json!(1), "expected 1 to be smaller than 1"),
        ],
    );
    rows(
        json!({"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
        &[
            (json!("10.0.0.1"), ""),
            (json!("::1"), ""),
            (json!("x"), "object matches none of the required"),
        ],
    );
}

#[test]
fn arrays_have_limits() {
    rows(
        json!({"type": "array", "minItems": 1, "maxItems": 2, "uniqueItems": true}),
        &[
            (json!([1, 2]), ""),
            (json!([]), "expect array to have at least 1 items"),
            (json!([1, 2, 3]), "expect array to have at most 2 items"),
            (
                json!([1, 1]),
                "expected unique items but items 1 and 2 are equal",
            ),
        ],
    );
}

#[test]
fn schemas_are_combined() {
    rows(
        json!({"enum": ["a", 1]}),
        &[
            (json!(1.0), ""),
            (json!("b"), "matches none of the enum values"),
        ],
    );
    let either = json!([{"required": ["a"]}, {"required": ["b", "c"]}]);
    rows(
        json!({"anyOf": either}),
        &[
            (json!({"a": 1, "b": 1, "c": 1}), ""),
            (
                json!({"b": 1}),
                "object matches none of the required: [\"a\"] or [\"b\",\"c\"]",
            ),
        ],
    );
    rows(
        json!({"allOf": [{"oneOf": either}]}),
        &[
            (json!({"a": 1}), ""),
            (
                json!({}),
                "allOf 1 failed: value should match only one schema, but matches none",
            ),
            (
                json!({"a": 1, "b": 1, "c": 1}),
                "allOf 1 failed: value should match only one schema, \
                 but matches both schemas 1 and 2",
            ),
        ],
    );
    rows(
        json!({
            "if": {"required": ["a"]},
            "then": {"required": ["b"]},
            "else": {"required": ["c"]},
        }),
        &[
            (json!({"a": 1, "b": 1}), ""),
            (json!({"c": 1}), ""),
            (json!({"a": 1}), "then clause did not match"),
            (json!({}), "else clause did not match"),
        ],
    );
}

#[test]
fn a_schema_that_is_not_understood_is_refused() {
    for (schema, why) in [
        (json!({"typ": "string"}), "typ: this keyword is not known"),
        (
            json!({"properties": {"a": {"type": "text"}}}),
            "properties: a: type: this type is not known",
        ),
        (json!({"pattern": "("}), "pattern: "),
        (json!({"minLength": -1}), "minLength: expected a count"),
        (json!(5), "expected an object"),
    ] {
        let error = Schema::new(schema).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn defaults_are_filled_in_before_properties_are_looked_at_together() {
    let schema = Schema::new(json!({
        "type": "object",
        "properties": {
            "policy": {"type": "string", "default": "local"},
            "items": {"type": "array", "items": {
                "type": "object", "properties": {"weight": {"default": 1}},
            }},
        },
        "minProperties": 1,
        "if": {"properties": {"policy": {"enum": ["redis"]}}},
        "then": {"required": ["host"]},
    }))
    .unwrap();
    let complete = |value| schema.complete(&value);
    assert_eq!(complete(json!([])).unwrap(), json!({"policy": "local"}));
    assert_eq!(
        complete(json!({"items": [{}, {"weight": 2}]})).unwrap(),
        json!({"items": [{"weight": 1}, {"weight": 2}], "policy": "local"})
    );
    assert_eq!(
        complete(json!({"policy": "redis"})).unwrap_err().message,
        "then clause did not match"
    );
}

#[test]
fn a_fault_has_the_path_of_the_property() {
    let schema = Schema::new(json!({"properties": {"a": {"items": {
        "patternProperties": {"b": {"properties": {"c": {"type": "string"}}}},
    }}}}))
    .unwrap();
    let fault = schema.check(&json!({"a": [{"b": {"c": 1}}]})).unwrap_err();
    assert_eq!(fault.path.to_string(), "a[0]");
    assert_eq!(
        fault.message,
        "failed to validate b (matching \"b\"): property \"c\" validation failed: \
         wrong type: expected string, got number"
    );
}

#[test]
fn constants_and_formats_come_last() {
    rows(
        json!({"const": {"a": 1}}),
        &[
            (json!({"a": 1}), ""),
            (json!(1), "failed to check const value"),
        ],
    );
    rows(
        json!({"format": "ipv4", "minLength": 2}),
        &[
            (json!("x"), "string too short, expected at least 2, got 1"),
            (json!("x.y"), "expect valid ipv4 address but got: x.y"),
        ],
    );
}

#[test]
fn a_whole_number_with_a_fraction_is_one_without() {
    let schema = Schema::new(json!({"items": {"type": "integer"}})).unwrap();
    let complete = schema.complete(&json!([5.0, -0.0, 1e300, 7])).unwrap();
    assert_eq!(complete.to_string(), "[5,0,1e+300,7]");
    let schema = Schema::new(json!({"type": "number"})).unwrap();
    assert_eq!(schema.complete(&json!(5.0)).unwrap().to_string(), "5.0");
}
