//! Consumers: how they are known, and what that changes for their requests.

use outrigger_harness::{Gateway, Response, Upstream};
use serde_json::{Value, json};

use crate::support::{gateway, nodes};

/// A gateway with these consumers, and routes that have these plugins.
fn with_consumers<const N: usize>(
    upstream: &Upstream,
    consumers: Value,
    routes: [(&str, Value); N],
) -> Gateway {
    let routes: Vec<Value> = routes
        .into_iter()
        .map(|(uri, plugins)| {
            json!({"id": &uri[1..], "uri": uri, "upstream": nodes(&[upstream]), "plugins": plugins})
        })
        .collect();
    let mut document = json!({"routes": routes, "consumers": consumers});
    document["consumer_groups"] = json!([{"id": "gold", "plugins": {
        "response-rewrite": {"headers": {"set": {"X-From": "group", "X-Group": "gold"}}},
    }}]);
    gateway().routes(document).start()
}

fn people() -> Value {
    json!([
        {"username": "jack", "labels": {"custom_id": "c-77"}, "plugins": {
            "key-auth": {"key": "jack-key"},
            "basic-auth": {"username": "jo", "password": "p:q"},
            "proxy-rewrite": {"headers": {"set": {"X-Consumer-Only": "1"}}},
            "response-rewrite": {"headers": {"set": {"X-From": "consumer"}}},
        }},
        {"username": "jill", "plugins": {"key-auth": {"key": "jill-key"}}},
        {"username": "joe", "group_id": "gold", "plugins": {"key-auth": {"key": "joe-key"}}},
        {"username": "nobody"},
    ])
}

fn said(response: &Response) -> (u16, String) {
    (response.status, response.text().trim_end().to_owned())
}

#[test]
fn key_auth_looks_at_the_header_and_then_the_query() {
    let upstream = Upstream::echo();
    let gateway = with_consumers(
        &upstream,
        people(),
        [
            ("/a", json!({"key-auth": {}})),
            (
                "/own",
                json!({"key-auth": {"header": "X-My-Key", "query": "my", "realm": "my realm"}}),
            ),
            ("/hide", json!({"key-auth": {"hide_credentials": true}})),
            (
                "/any",
                json!({"key-auth": {"anonymous_consumer": "nobody"}}),
            ),
        ],
    );
    let missing = (
        401,
        "{\"message\":\"Missing API key in request\"}".to_owned(),
    );
    let invalid = (
        401,
        "{\"message\":\"Invalid API key in request\"}".to_owned(),
    );
    let refused = gateway.get("/a").send();
    assert_eq!(said(&refused), missing);
    assert_eq!(
        refused.header("www-authenticate"),
        Some("apikey realm=\"key\"")
    );
    for target in [
        "/a?apikey=wrong",
        "/a?apikey=jack-key&apikey=x",
        "/a?apikey",
    ] {
        assert_eq!(said(&gateway.get(target).send()), invalid, "{target}");
    }
    let wrong = gateway
        .get("/a?apikey=jack-key")
        .header("apikey", "wrong")
        .send();
    assert_eq!(said(&wrong), invalid);
    assert_eq!(upstream.hits(), 0);

    let forged = gateway
        .get("/a?apikey=jack-key&b=1")
        .header("X-Consumer-Username", "root")
        .header("X-Credential-Identifier", "forged")
        .send();
    assert_eq!(forged.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.header("x-consumer-username"), Some("jack"));
    assert_eq!(seen.header("x-consumer-custom-id"), Some("c-77"));
    assert_eq!(seen.header("x-credential-identifier"), None);
    assert_eq!(seen.uri, "/a?apikey=jack-key&b=1");

    assert_eq!(gateway.get("/own?my=jill-key").send().status, 200);
    let refused = gateway.get("/own").header("apikey", "jill-key").send();
    assert_eq!(
        refused.header("www-authenticate"),
        Some("apikey realm=\"my realm\"")
    );

    gateway.get("/hide?apikey=jack-key&x=1").send();
    assert_eq!(upstream.last().uri, "/hide?x=1");
    gateway
        .get("/hide?apikey=other")
        .header("apikey", "jack-key")
        .send();
    assert_eq!(upstream.last().header("apikey"), None);
    assert_eq!(upstream.last().uri, "/hide?apikey=other");

    assert_eq!(gateway.get("/any?apikey=wrong").send().status, 200);
    assert_eq!(
        upstream.last().header("x-consumer-username"),
        Some("nobody")
    );
}

#[test]
fn basic_auth_compares_name_and_password() {
    let upstream = Upstream::echo();
    let gateway = with_consumers(
        &upstream,
        people(),
        [
            ("/a", json!({"basic-auth": {}})),
            (
                "/hide",
                json!({"basic-auth": {"hide_credentials": true, "realm": "mine"}}),
            ),
        ],
    );
    let with = |path: &str, field: &str| gateway.get(path).header("Authorization", field).send();
    // jo:p:q, jo:wrong, nobody:p
    assert_eq!(with("/a", "Basic am86cDpx").status, 200);
    assert_eq!(upstream.last().header("x-consumer-username"), Some("jack"));
    assert_eq!(
        upstream.last().header("authorization"),
        Some("Basic am86cDpx")
    );
    for (field, message) in [
        ("Basic am86d3Jvbmc=", "Invalid user authorization"),
        ("Basic bm9ib2R5OnA=", "Invalid user authorization"),
        ("Basic am8=", "Invalid authorization in request"),
        ("Bearer x", "Invalid authorization in request"),
    ] {
        let expected = (401, format!("{{\"message\":\"{message}\"}}"));
        assert_eq!(said(&with("/a", field)), expected, "{field}");
    }
    let missing = gateway.get("/hide").send();
    assert_eq!(missing.status, 401);
    assert_eq!(
        missing.header("www-authenticate"),
        Some("Basic realm=\"mine\"")
    );
    with("/hide", "Basic am86cDpx");
    assert_eq!(upstream.last().header("authorization"), None);
}

#[test]
fn a_consumers_plugins_run_for_its_requests_before_those_of_the_route() {
    let upstream = Upstream::echo();
    let from_route = json!({"headers": {"set": {"X-From": "route", "X-Route": "1"}}});
    let gateway = with_consumers(
        &upstream,
        people(),
        [(
            "/a",
            json!({"key-auth": {}, "response-rewrite": from_route}),
        )],
    );
    for (key, from, group, only) in [
        ("jack-key", "consumer", None, Some("1")),
        ("jill-key", "route", None, None),
        ("joe-key", "group", Some("gold"), None),
    ] {
        let response = gateway.get("/a").header("apikey", key).send();
        assert_eq!(response.header("x-from"), Some(from), "{key}");
        assert_eq!(response.header("x-group"), group, "{key}");
        assert_eq!(upstream.last().header("x-consumer-only"), only, "{key}");
    }
}

#[test]
fn consumer_restriction_says_who_may_do_what() {
    let upstream = Upstream::echo();
    let with = |conf: Value| json!({"key-auth": {}, "consumer-restriction": conf});
    let by_methods = json!([{"user": "jack", "methods": ["POST"]}]);
    let gateway = with_consumers(
        &upstream,
        people(),
        [
            ("/w", with(json!({"whitelist": ["jack"]}))),
            (
                "/b",
                with(
                    json!({"blacklist": ["jack"], "rejected_code": 401, "rejected_msg": "not you"}),
                ),
            ),
            (
                "/m",
                with(json!({"allowed_by_methods": by_methods.clone()})),
            ),
            (
                "/wm",
                with(json!({"allowed_by_methods": by_methods.clone(), "whitelist": ["jill"]})),
            ),
            (
                "/ww",
                with(json!({"allowed_by_methods": by_methods, "whitelist": ["jack"]})),
            ),
            (
                "/g",
                with(json!({"type": "consumer_group_id", "whitelist": ["gold"]})),
            ),
            ("/r", with(json!({"type": "route_id", "blacklist": ["r"]}))),
            (
                "/anon",
                json!({"consumer-restriction": {"whitelist": ["jack"]}}),
            ),
        ],
    );
    let forbidden = |kind: &str| (403, format!("{{\"message\":\"The {kind} is forbidden.\"}}"));
    let unknown = |kind: &str| {
        let what = format!("please check the {kind} for this request");
        (
            401,
            format!("{{\"message\":\"The request is rejected, {what}\"}}"),
        )
    };
    let ok = |method: &str, path: &str, key: &str| {
        let response = gateway.request(method, path).header("apikey", key).send();
        if response.status == 200 {
            None
        } else {
            Some(said(&response))
        }
    };
    assert_eq!(ok("GET", "/w", "jack-key"), None);
    assert_eq!(
        ok("GET", "/w", "jill-key"),
        Some(forbidden("consumer_name"))
    );
    let not_you = Some((401, "{\"message\":\"not you\"}".to_owned()));
    assert_eq!(ok("GET", "/b", "jack-key"), not_you);
    assert_eq!(ok("GET", "/b", "jill-key"), None);
    assert_eq!(
        ok("GET", "/m", "jack-key"),
        Some(forbidden("consumer_name"))
    );
    assert_eq!(ok("POST", "/m", "jack-key"), None);
    assert_eq!(ok("GET", "/m", "jill-key"), None);
    assert_eq!(ok("GET", "/wm", "jill-key"), None);
    assert_eq!(
        ok("POST", "/wm", "jack-key"),
        Some(forbidden("consumer_name"))
    );
    assert_eq!(ok("GET", "/ww", "jack-key"), None);
    assert_eq!(ok("GET", "/g", "joe-key"), None);
    assert_eq!(
        ok("GET", "/g", "jill-key"),
        Some(unknown("consumer_group_id"))
    );
    assert_eq!(ok("GET", "/r", "jill-key"), Some(forbidden("route_id")));
    assert_eq!(
        ok("GET", "/anon", "jack-key"),
        Some(unknown("consumer_name"))
    );
}

#[test]
fn two_consumers_known_by_the_same_are_refused_without_telling_by_what() {
    let upstream = Upstream::echo();
    let gateway = with_consumers(&upstream, people(), [("/a", json!({"key-auth": {}}))]);
    gateway.write_routes(json!({"consumers": [
        {"username": "a", "plugins": {"key-auth": {"key": "the-same-key"}}},
        {"username": "b", "plugins": {"key-auth": {"key": "the-same-key"}}},
    ]}));
    let said = gateway.wait_log("is known by the same");
    assert!(
        said.contains("the consumer a is known by the same"),
        "{said}"
    );
    assert!(!gateway.log().text().contains("the-same-key"));
    assert_eq!(gateway.get("/a?apikey=jill-key").send().status, 200);
}

#[test]
fn a_key_may_come_from_the_environment() {
    let upstream = Upstream::echo();
    let gateway = gateway()
        .env("A_KEY_OF_THE_TEST", "from-outside")
        .routes(json!({
            "routes": [{"uri": "/a", "upstream": nodes(&[&upstream]), "plugins": {"key-auth": {}}}],
            "consumers": [
                {"username": "jack", "plugins": {"key-auth": {"key": "$env://A_KEY_OF_THE_TEST"}}},
            ],
        }))
        .start();
    assert_eq!(gateway.get("/a?apikey=from-outside").send().status, 200);
    assert_eq!(
        gateway
            .get("/a?apikey=$env://A_KEY_OF_THE_TEST")
            .send()
            .status,
        401
    );
}

#[test]
fn a_consumer_may_have_many_credentials() {
    let upstream = Upstream::echo();
    let consumers = json!([
        {"id": "jack/credentials/first", "plugins": {"key-auth": {"key": "one"}}},
        {"username": "jack", "plugins": {"key-auth": {"key": "own"}}},
        {"id": "jack/credentials/second", "name": "s", "plugins": {"key-auth": {"key": "two"}}},
        {"id": "jack/credentials/basic", "plugins": {
            "basic-auth": {"username": "jo", "password": "p:q"},
        }},
        {"id": "jack/credentials/empty"},
    ]);
    let routes = [
        ("/a", json!({"key-auth": {}})),
        ("/basic", json!({"basic-auth": {}})),
    ];
    let gateway = with_consumers(&upstream, consumers, routes);
    for (key, credential) in [
        ("one", Some("first")),
        ("two", Some("second")),
        ("own", None),
    ] {
        let response = gateway
            .get("/a")
            .header("apikey", key)
            .header("X-Credential-Identifier", "forged")
            .send();
        assert_eq!(response.status, 200, "{key}");
        let seen = upstream.last();
        assert_eq!(seen.header("x-consumer-username"), Some("jack"));
        assert_eq!(seen.header("x-credential-identifier"), credential, "{key}");
    }
    // jo:p:q
    let basic = gateway
        .get("/basic")
        .header("Authorization", "Basic am86cDpx");
    assert_eq!(basic.send().status, 200);
    let seen = upstream.last();
    assert_eq!(seen.header("x-credential-identifier"), Some("basic"));
}

#[test]
fn credentials_that_do_not_hold_are_named_with_their_place() {
    let upstream = Upstream::echo();
    let gateway = with_consumers(&upstream, people(), [("/a", json!({"key-auth": {}}))]);
    let jack = json!({"username": "jack", "plugins": {"key-auth": {"key": "a-secret-key"}}});
    for (credential, expected) in [
        (
            json!({"id": "jim/credentials/c", "plugins": {}}),
            "consumers[1].id: there is no consumer with the id jim",
        ),
        (
            json!({"id": "jack/credentials/c", "plugins": {"cors": {}}}),
            "consumers[1].plugins.cors: only supports auth type plugins in consumer credential",
        ),
        (
            json!({"id": "jack/credentials/c", "plugins": {"key-auth": {"key": "a-secret-key"}}}),
            "consumers[1].plugins.key-auth: the consumer jack is known by the same",
        ),
    ] {
        gateway.write_routes(json!({"consumers": [jack.clone(), credential]}));
        gateway.wait_log(expected);
    }
    assert!(!gateway.log().text().contains("a-secret-key"));
    assert_eq!(gateway.get("/a?apikey=jill-key").send().status, 200);
}

/// `{"key": "jwt-key", "exp": 4102444800}`, signed with HS256 and `a-long-secret`.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
    eyJrZXkiOiJqd3Qta2V5IiwiZXhwIjo0MTAyNDQ0ODAwfQ.\
    Zy3PCwAWknDiATImISEOuXe0KRm8k_svqo6Qa7sT0Rk";

/// The same, signed with HS512.
const TOKEN_512: &str = "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.\
    eyJrZXkiOiJqd3Qta2V5IiwiZXhwIjo0MTAyNDQ0ODAwfQ.\
    M-KWPYAjuslAcEdcP6c3dc8GB1b4311ECPMm6TXCTQYwseE35FwTSh5iQiHXdEp2XqGdPYZKUv0ChUpOm2Do4g";

/// The same, not signed.
const TOKEN_NONE: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.\
    eyJrZXkiOiJqd3Qta2V5IiwiZXhwIjo0MTAyNDQ0ODAwfQ.\
    ";

/// As the first, but with an `exp` in 2001.
const TOKEN_OLD: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
    eyJrZXkiOiJqd3Qta2V5IiwiZXhwIjoxMDAwMDAwMDAwfQ.\
    efUGFBmiOHWaXoVcva28ecbcoxZK4a-sZQTDvK7ZwPM";

#[test]
fn jwt_auth_takes_tokens_by_the_consumers_algorithm_alone() {
    let upstream = Upstream::echo();
    let consumers = json!([
        {"username": "jack"},
        {"id": "jack/credentials/token", "plugins": {
            "jwt-auth": {"key": "jwt-key", "secret": "a-long-secret"},
        }},
        {"username": "nobody"},
    ]);
    let gateway = with_consumers(
        &upstream,
        consumers,
        [
            ("/a", json!({"jwt-auth": {}})),
            ("/claim", json!({"jwt-auth": {"key_claim_name": "iss"}})),
            ("/nbf", json!({"jwt-auth": {"claims_to_verify": ["nbf"]}})),
            (
                "/any",
                json!({"jwt-auth": {"anonymous_consumer": "nobody"}}),
            ),
        ],
    );
    let with = |path: &str, token: &str| {
        let field = format!("Bearer {token}");
        gateway.get(path).header("Authorization", &field).send()
    };
    assert_eq!(with("/a", TOKEN).status, 200);
    let seen = upstream.last();
    assert_eq!(seen.header("x-consumer-username"), Some("jack"));
    assert_eq!(seen.header("x-credential-identifier"), Some("token"));
    let hits = upstream.hits();
    for (path, token, message) in [
        ("/a", TOKEN_512, "failed to verify jwt"),
        ("/a", TOKEN_OLD, "failed to verify jwt"),
        ("/nbf", TOKEN, "failed to verify jwt"),
        ("/a", TOKEN_NONE, "JWT token invalid"),
        ("/a", "x.y", "JWT token invalid"),
        ("/claim", TOKEN, "missing user key in JWT token"),
    ] {
        let expected = (401, format!("{{\"message\":\"{message}\"}}"));
        let refused = with(path, token);
        assert_eq!(said(&refused), expected, "{path} {token}");
        let challenge = refused.header("www-authenticate");
        assert_eq!(challenge, Some("Bearer realm=\"jwt\""));
    }
    let twice = format!("/a?jwt={TOKEN}&jwt={TOKEN}");
    assert_eq!(gateway.get(&twice).send().status, 401);
    assert_eq!(upstream.hits(), hits);

    assert_eq!(with("/any", TOKEN_512).status, 200);
    assert_eq!(
        upstream.last().header("x-consumer-username"),
        Some("nobody")
    );
}
