use super::*;
use serde_json::json;

#[test]
fn what_is_not_said_is_as_in_apisix() {
    let conf = Conf::read(&json!({})).unwrap();
    assert!(conf.entries.is_empty() && conf.runner.is_none() && conf.when.is_none());
    assert_eq!(conf.options, CallOptions::default());
    assert!(conf.options.retry);
    assert!(!conf.policy.allow_degradation && conf.policy.on_error.is_none());
    let bodies = Bodies {
        max: (1 << 24) - 1 - 4096,
        oversize: Oversize::Reject,
        keep_request_body: true,
    };
    assert_eq!(conf.bodies, bodies);
    assert_eq!(conf.response_headers, ResponseHeaders::Patch);
}

#[test]
fn a_value_may_be_text_or_any_json() {
    let conf = Conf::read(&json!({
        "conf": [
            {"name": "a", "value": "{\"x\": 1}"},
            {"name": "b", "value": {"y": [2]}, "runner": "go", "when": [["arg_x", "==", "1"]]},
            {"name": "c", "value": null},
        ],
        "something-else": true,
    }));
    let entries = conf.unwrap().entries;
    let shown: Vec<_> = entries
        .iter()
        .map(|entry| (&*entry.name, &*entry.value))
        .collect();
    assert_eq!(
        shown,
        [("a", "{\"x\": 1}"), ("b", "{\"y\":[2]}"), ("c", "null")]
    );
    assert_eq!(
        (entries[0].runner.as_deref(), entries[1].runner.as_deref()),
        (None, Some("go"))
    );
    assert!(entries[0].when.is_none() && entries[1].when.is_some());
}

#[test]
fn a_timeout_is_the_calls_or_says_which() {
    let times = |json: Value| Conf::read(&json!({ "timeout": json })).unwrap().options;
    let ms = |ms| Some(Duration::from_millis(ms));
    let call = CallOptions {
        time_limit: ms(250),
        ..CallOptions::default()
    };
    assert_eq!(times(json!(250)), call);
    assert_eq!(times(json!({"call": 250})), call);
    let each = CallOptions {
        connect: ms(1),
        prepare: ms(2),
        time_limit: ms(3),
        retry: true,
    };
    assert_eq!(times(json!({"connect": 1, "prepare": 2, "call": 3})), each);
    assert!(!Conf::read(&json!({"retry": false})).unwrap().options.retry);
}

#[test]
fn a_routes_own_answer_to_failures_is_made_once() {
    let on_error = |json: Value| {
        let conf = Conf::read(&json!({ "on_error": json })).unwrap();
        conf.policy.on_error.unwrap()
    };
    let text = on_error(json!({"status": 429, "body": "later", "headers": {"Retry-After": "1"}}));
    assert_eq!(
        (text.status.as_u16(), text.body.as_deref()),
        (429, Some("later"))
    );
    assert_eq!(text.headers["retry-after"], "1");
    let json = on_error(json!({"body": {"error": 1}}));
    assert_eq!(
        (json.status.as_u16(), json.body.as_deref()),
        (503, Some("{\"error\":1}"))
    );
    assert_eq!(json.headers["content-type"], "application/json");
    assert_eq!(on_error(json!({"status": 500})).body, None);
}

#[test]
fn what_is_wrong_is_named_in_apisixs_words() {
    for (json, fault) in [
        (
            json!({"conf": []}),
            "conf: expect array to have at least 1 items",
        ),
        (
            json!({"conf": {"name": "a"}}),
            "conf: wrong type: expected array, got table",
        ),
        (
            json!({"conf": [{"value": ""}]}),
            "conf[0]: property \"name\" is required",
        ),
        (
            json!({"conf": [{"name": "a"}]}),
            "conf[0]: property \"value\" is required",
        ),
        (
            json!({"conf": [{"name": "a", "value": ""}, {"name": "", "value": ""}]}),
            "conf[1].name: string too short, expected at least 1, got 0",
        ),
        (
            json!({"conf": [{"name": "a".repeat(129), "value": ""}]}),
            "conf[0].name: string too long, expected at most 128, got 129",
        ),
        (
            json!({"conf": [{"name": 1, "value": ""}]}),
            "conf[0].name: wrong type: expected string, got number",
        ),
        (
            json!({"conf": [{"name": "a", "value": "", "runner": 1}]}),
            "conf[0].runner: wrong type: expected string, got number",
        ),
        (
            json!({"allow_degradation": 1}),
            "allow_degradation: wrong type: expected boolean, got number",
        ),
        (
            json!({"retry": "no"}),
            "retry: wrong type: expected boolean, got string",
        ),
        (
            json!({"timeout": 0}),
            "timeout: expected 0 to be at least 1",
        ),
        (
            json!({"timeout": "1s"}),
            "timeout: wrong type: expected one of integer, object, got string",
        ),
        (
            json!({"timeout": {"call": 0}}),
            "timeout.call: expected 0 to be at least 1",
        ),
        (
            json!({"timeout": {"cal": 1}}),
            "timeout: additional properties forbidden, found cal",
        ),
        (
            json!({"max_body": 0}),
            "max_body: expected 0 to be at least 1",
        ),
        (
            json!({"max_body": 1 << 24}),
            "max_body: expected 16777216 to be at most 16773119",
        ),
        (
            json!({"on_oversize": "cut"}),
            "on_oversize: matches none of the enum values",
        ),
        (
            json!({"response_headers": "merge"}),
            "response_headers: matches none of the enum values",
        ),
        (
            json!({"on_error": {"status": 199}}),
            "on_error.status: expected 199 to be at least 200",
        ),
        (
            json!({"on_error": {"headers": {"a b": "1"}}}),
            "on_error.headers[\"a b\"]: is not a header's name",
        ),
        (
            json!({"on_error": {"headers": {"content-length": "1"}}}),
            "on_error.headers.content-length: says how the message is framed and cannot be set",
        ),
        (
            json!({"on_error": {"headers": {"x": "1\n"}}}),
            "on_error.headers.x: expected a text that a header can have",
        ),
    ] {
        assert_eq!(Conf::read(&json).unwrap_err().to_string(), fault);
    }
}

#[test]
fn the_longest_body_is_the_longest_that_is_buffered() {
    let max_body = &SCHEMAS.requests.json()["properties"]["max_body"];
    let most = outrigger_engine::limits::MAX_BUFFERED_BODY;
    assert_eq!(
        (&max_body["maximum"], &max_body["default"]),
        (&json!(most), &json!(most))
    );
}

#[test]
fn an_expression_that_is_none_is_named_with_its_place() {
    let bad = json!([["arg_x", "=", "1"]]);
    let fault = Conf::read(&json!({"when": bad})).unwrap_err().to_string();
    assert!(fault.starts_with("when[0]"), "{fault}");
    let conf = json!({"conf": [{"name": "a", "value": "", "when": bad}]});
    let fault = Conf::read(&conf).unwrap_err().to_string();
    assert!(fault.starts_with("conf[0].when[0]"), "{fault}");
}
