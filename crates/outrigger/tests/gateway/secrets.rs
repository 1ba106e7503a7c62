//! Secrets: sealed wherever they are kept or shown, and kept elsewhere by reference; and the
//! resources that hold them.

use std::path::Path;

use outrigger_harness::{
    Authority, Certified, Gateway, GatewayBuilder, Response, TlsServer, Upstream,
};
use serde_json::{Value, json};

use crate::support::{gateway, nodes, route, routes, with};

fn call(gateway: &Gateway, method: &str, path: &str, body: &Value) -> Response {
    gateway.admin(method, path).json(body).send()
}

#[track_caller]
fn must_put(gateway: &Gateway, path: &str, body: &Value) -> Value {
    let response = call(gateway, "PUT", path, body);
    assert!(matches!(response.status, 200 | 201), "{path}: {response:?}");
    response.json()
}

/// Why a change is refused.
#[track_caller]
fn refused(gateway: &Gateway, method: &str, path: &str, body: &Value) -> String {
    let response = call(gateway, method, path, body);
    assert_eq!(response.status, 400, "{path}: {response:?}");
    response.json()["error_msg"].as_str().unwrap().to_owned()
}

fn get(gateway: &Gateway, path: &str) -> Value {
    gateway.admin("GET", path).send().json()
}

fn certified() -> Certified {
    Authority::new().certify("a.test")
}

fn consumer(name: &str, plugins: Value) -> Value {
    json!({"username": name, "plugins": plugins})
}

fn keyed(name: &str, key: &str) -> Value {
    consumer(name, json!({"key-auth": {"key": key}}))
}

/// A gateway whose store is in a folder that outlives it.
fn keeping(folder: &Path) -> GatewayBuilder {
    let outrigger = json!({"workers": 1, "runtime_dir": folder, "data_dir": folder});
    gateway()
        .traditional()
        .config(json!({"outrigger": outrigger}))
}

/// A route whose requests have to be a consumer's.
fn for_consumers(upstream: &Upstream) -> Value {
    with(
        route("/*", nodes(&[upstream])),
        json!({"plugins": {"key-auth": {}}}),
    )
}

fn status_with_key(gateway: &Gateway, key: &str) -> u16 {
    gateway.get("/").header("apikey", key).send().status
}

/// Everything in the files of a folder.
fn contents(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else if path.is_file() {
            all.extend(std::fs::read(&path).unwrap());
        }
    }
    all
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

/// A line of a private key that is in no other.
fn line_of(key: &str) -> String {
    key.lines().nth(1).unwrap()[20..60].to_owned()
}

#[test]
fn no_secret_is_seen_in_any_answer_log_or_file() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = keeping(folder.path()).log("debug").start();
    let pairs: Vec<Certified> = (0..4).map(|_| certified()).collect();
    let tls = |pair: &Certified| json!({"client_cert": pair.certificate, "client_key": pair.key});
    let upstream = |pair: &Certified| json!({"nodes": {"127.0.0.1:1": 1}, "tls": tls(pair)});
    let mut secrets: Vec<String> = pairs.iter().map(|pair| line_of(&pair.key)).collect();
    secrets.extend(
        [
            "of-key-auth",
            "of-basic-auth",
            "of-jwt-auth",
            "of-credential",
            "of-vault",
            "of-patch",
        ]
        .map(|what| format!("secret-{what}-71c2")),
    );
    let secret = |what: &str| format!("secret-{what}-71c2");

    let plugins = json!({
        "key-auth": {"key": secret("of-key-auth")},
        "basic-auth": {"username": "jack", "password": secret("of-basic-auth")},
        "jwt-auth": {"key": "jack", "secret": secret("of-jwt-auth")},
    });
    let credential = json!({"plugins": {"key-auth": {"key": secret("of-credential")}}});
    let ssl = json!({
        "sni": "a.test", "cert": pairs[2].certificate, "key": pairs[2].key,
        "certs": [pairs[3].certificate], "keys": [pairs[3].key],
    });
    let vault = json!({"uri": "http://127.0.0.1:1", "prefix": "kv", "token": secret("of-vault")});
    let with_upstream = json!({"uri": "/x", "upstream": upstream(&pairs[0])});
    let mut answers = Vec::new();
    for (path, body) in [
        ("consumers/jack", consumer("jack", plugins)),
        ("consumers/jack/credentials/c", credential),
        ("ssls/s", ssl),
        ("secrets/vault/v", vault),
        ("routes/r", with_upstream),
        ("services/s", json!({"upstream": upstream(&pairs[0])})),
        ("upstreams/u", upstream(&pairs[1])),
    ] {
        let response = call(&gateway, "PUT", path, &body);
        assert_eq!(response.status, 201, "{path}: {response:?}");
        answers.push(response);
        answers.push(gateway.admin("GET", path).send());
        let collection = path.rsplit_once('/').unwrap().0.replace("/vault", "");
        answers.push(gateway.admin("GET", &collection).send());
    }
    let patch = json!({"plugins": {"key-auth": {"key": secret("of-patch")}}});
    answers.push(call(
        &gateway,
        "PUT",
        "consumers/jack",
        &with(json!({"username": "jack"}), patch),
    ));
    answers.push(call(
        &gateway,
        "PATCH",
        "upstreams/u",
        &json!({"desc": "d"}),
    ));
    // What is refused must not tell either.
    let foreign = json!({
        "sni": "a.test", "cert": pairs[0].certificate, "key": pairs[1].key,
    });
    for (path, body) in [
        ("ssls/f", foreign),
        ("consumers/joe", keyed("joe", &secret("of-patch"))),
        (
            "consumers/joe",
            consumer("joe", json!({"key-auth": {"kee": secret("of-patch")}})),
        ),
        (
            "upstreams/f",
            json!({"nodes": {}, "tls": {"client_key": pairs[0].key}}),
        ),
    ] {
        let response = call(&gateway, "PUT", path, &body);
        assert_eq!(response.status, 400, "{path}: {response:?}");
        answers.push(response);
    }
    let control = gateway.control();
    for path in [
        "/v1/routes",
        "/v1/route/r",
        "/v1/services",
        "/v1/upstreams",
        "/v1/upstream/u",
    ] {
        let response = control.get(path).send();
        assert_eq!(response.status, 200, "{path}");
        answers.push(response);
    }
    for answer in &answers {
        for secret in &secrets {
            assert!(!has(&answer.body, secret), "{secret} is in {answer:?}");
        }
    }
    let metrics = gateway.metrics();
    gateway.stop();
    let log = gateway.log().text();
    let files = contents(folder.path());
    assert!(has(&files, "a.test"), "the store is there");
    for secret in &secrets {
        assert!(!metrics.contains(secret), "{secret} is in the metrics");
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        assert!(!has(&files, secret), "{secret} is in a file");
    }
}

#[test]
fn what_was_shown_can_be_changed_and_handed_in() {
    let upstream = Upstream::echo();
    let gateway = gateway().traditional().start();
    must_put(&gateway, "routes/1", &for_consumers(&upstream));
    must_put(&gateway, "consumers/jack", &keyed("jack", "jacks-key"));
    let mut jack = get(&gateway, "consumers/jack")["value"].take();
    for time in ["create_time", "update_time"] {
        jack.as_object_mut().unwrap().remove(time);
    }
    jack["desc"] = "changed".into();
    let made = must_put(&gateway, "consumers/jack", &jack);
    assert_eq!(made["value"]["desc"], "changed");
    let sealed = made.pointer("/value/plugins/key-auth/key").unwrap();
    assert_ne!(sealed, "jacks-key");
    assert_eq!(status_with_key(&gateway, "jacks-key"), 200);
    assert_eq!(status_with_key(&gateway, sealed.as_str().unwrap()), 401);

    // Parts of a resource, too.
    let pair = certified();
    let tls = json!({"client_cert": pair.certificate, "client_key": pair.key});
    let body = json!({"nodes": {"127.0.0.1:1": 1}, "tls": tls});
    let shown = must_put(&gateway, "upstreams/u", &body);
    let tls = shown.pointer("/value/tls").unwrap();
    let sealed = &tls["client_key"];
    for (path, body) in [
        ("upstreams/u", json!({"tls": tls})),
        ("upstreams/u/tls", tls.clone()),
        ("upstreams/u/tls/client_key", sealed.clone()),
    ] {
        let response = call(&gateway, "PATCH", path, &body);
        assert_eq!(response.status, 200, "{path}: {response:?}");
        assert_eq!(response.json().pointer("/value/tls"), Some(tls), "{path}");
    }
}

#[test]
fn keys_are_configured_and_changed() {
    let upstream = Upstream::echo();
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = ("0123456789abcdef", "fedcba9876543210");
    let start = |encryption: Value| {
        keeping(folder.path())
            .config(json!({"apisix": {"data_encryption": encryption}}))
            .start()
    };
    let shown = |gateway: &Gateway| {
        let jack = get(gateway, "consumers/jack");
        let key = jack.pointer("/value/plugins/key-auth/key").unwrap();
        key.as_str().unwrap().to_owned()
    };
    let gateway = start(json!({"keyring": [old]}));
    must_put(&gateway, "routes/1", &for_consumers(&upstream));
    must_put(&gateway, "consumers/jack", &keyed("jack", "jacks-key"));
    let by_old = shown(&gateway);
    gateway.stop();

    let gateway = start(json!({"keyring": [new, old]}));
    assert_eq!(status_with_key(&gateway, "jacks-key"), 200);
    let by_new = shown(&gateway);
    assert_ne!(by_new, by_old);
    must_put(&gateway, "consumers/jack", &keyed("jack", &by_old));
    assert_eq!(status_with_key(&gateway, "jacks-key"), 200);
    gateway.stop();

    let gateway = start(json!({"enable_encrypt_fields": false, "keyring": new}));
    assert_eq!(shown(&gateway), "jacks-key");
    assert_eq!(status_with_key(&gateway, "jacks-key"), 200);
    must_put(&gateway, "consumers/jack", &keyed("jack", &by_new));
    assert_eq!(status_with_key(&gateway, &by_new), 200, "it means itself");
}

#[test]
fn a_reference_is_what_the_environment_says() {
    let upstream = Upstream::echo();
    let gateway = gateway()
        .traditional()
        .env("JACKS_KEY", "jacks-key")
        .env("HEADERS", r#"{"mark": "from-json"}"#)
        .start();
    let rewrite = json!({"headers": {"set": {"X-Mark": "$ENV://HEADERS/mark"}}});
    let plugins = json!({"key-auth": {}, "proxy-rewrite": rewrite});
    let route = with(
        route("/*", nodes(&[&upstream])),
        json!({"plugins": plugins}),
    );
    must_put(&gateway, "routes/1", &route);
    let jack = keyed("jack", "$env://JACKS_KEY");
    let made = must_put(&gateway, "consumers/jack", &jack);
    let key = "/value/plugins/key-auth/key";
    assert_eq!(made.pointer(key), Some(&"$env://JACKS_KEY".into()));
    assert_eq!(status_with_key(&gateway, "jacks-key"), 200);
    assert_eq!(upstream.last().header("x-mark"), Some("from-json"));
    assert_eq!(status_with_key(&gateway, "$env://JACKS_KEY"), 401);

    let said = refused(
        &gateway,
        "PUT",
        "consumers/joe",
        &keyed("joe", "$env://NOBODYS"),
    );
    assert!(
        said.contains("property \"key\" validation failed")
            && said.contains("has no variable \"NOBODYS\""),
        "{said}"
    );
    let said = refused(
        &gateway,
        "PUT",
        "consumers/joe",
        &keyed("joe", "$secret://vault/1/a/b"),
    );
    assert!(said.contains("use $env://NAME"), "{said}");
}

#[test]
fn what_is_wrong_with_what_is_referred_to_is_told_without_it() {
    let upstream = Upstream::echo();
    let folder = tempfile::tempdir().unwrap();
    let rewrite = json!({"proxy-rewrite": {"uri": "$env://TARGET"}});
    let route = with(
        route("/*", nodes(&[&upstream])),
        json!({"plugins": rewrite}),
    );
    let good = keeping(folder.path()).env("TARGET", "/target").start();
    must_put(&good, "routes/1", &route);
    assert_eq!(good.get("/").send().status, 200);
    assert_eq!(upstream.last().uri, "/target");
    good.stop();

    let bad = keeping(folder.path())
        .env("TARGET", "hush \"hush\"")
        .start();
    let said = refused(&bad, "PUT", "routes/2", &route);
    assert!(
        said.contains("$env://TARGET") && !said.contains("hush"),
        "{said}"
    );
    let left_out = bad.wait_log("routes/1 is left out");
    assert!(left_out.contains("$env://TARGET"), "{left_out}");
    bad.stop();
    assert!(!bad.log().text().contains("hush"), "{}", bad.log().text());

    let exit = gateway()
        .env("TARGET", "hush \"hush\"")
        .routes(routes([route]))
        .run();
    assert!(
        exit.stderr.contains("$env://TARGET") && !exit.stderr.contains("hush"),
        "{}",
        exit.stderr
    );
}

#[test]
fn references_stand_in_files_too() {
    let upstream = Upstream::echo();
    let pair = certified();
    let document = json!({
        "routes": [for_consumers(&upstream)],
        "consumers": [keyed("jack", "$env://JACKS_KEY")],
        "ssls": [{"id": "s", "sni": "a.test", "cert": "$env://CERT", "key": "$env://CERT_KEY"}],
    });
    let with_all = || {
        gateway()
            .env("JACKS_KEY", "jacks-key")
            .env("CERT", &pair.certificate)
            .env("CERT_KEY", &pair.key)
    };
    let running = with_all().routes(document.clone()).start();
    assert_eq!(status_with_key(&running, "jacks-key"), 200);
    let exit = with_all().without_env("CERT_KEY").routes(document).run();
    let said = "ssls[0].key: the gateway's environment has no variable \"CERT_KEY\"";
    assert!(exit.stderr.contains(said), "{}", exit.stderr);
}

#[test]
fn an_upstream_is_shown_the_certificate_that_it_names() {
    let clients = Authority::new();
    let server = TlsServer::for_clients_of(&certified(), &clients);
    let upstream = Upstream::tls_echo(&server);
    let gateway = gateway().traditional().start();
    let ssl = |kind: &str, pair: &Certified| json!({"type": kind, "sni": "a.test", "cert": pair.certificate, "key": pair.key});
    let known = clients.certify("gateway.test");
    must_put(&gateway, "ssls/c", &ssl("client", &known));
    must_put(&gateway, "ssls/s", &ssl("server", &known));
    let route = |id: &str| {
        let more = json!({"scheme": "https", "tls": {"client_cert_id": id}});
        route("/*", with(nodes(&[&upstream]), more))
    };
    must_put(&gateway, "routes/1", &route("c"));
    assert_eq!(gateway.get("/").send().status, 200);
    let seen = upstream.last().tls.expect("it came over TLS");
    assert!(seen.client_certified);

    for (id, why) in [
        (
            "s",
            "failed to fetch ssl info by ssl id [s], wrong ssl type",
        ),
        (
            "x",
            "failed to fetch ssl info by ssl id [x], response code: 404",
        ),
    ] {
        assert_eq!(refused(&gateway, "PUT", "routes/2", &route(id)), why);
    }
    let said = refused(&gateway, "DELETE", "ssls/c", &Value::Null);
    assert_eq!(
        said,
        "can not delete this ssl, route [1] is still using it now"
    );
    let said = refused(&gateway, "PUT", "ssls/c", &ssl("server", &known));
    assert!(said.contains("client_cert_id"), "{said}");

    // Another certificate takes effect without a change of the route.
    must_put(&gateway, "ssls/c", &ssl("client", &certified()));
    assert_eq!(gateway.get("/").send().status, 502);
    must_put(&gateway, "ssls/c", &ssl("client", &known));
    assert_eq!(gateway.get("/").send().status, 200);
}

#[test]
fn a_certificate_and_its_key_are_looked_at_before_they_are_kept() {
    let gateway = gateway().traditional().start();
    let (one, other) = (certified(), certified());
    let ssl = |cert: &str, key: &str| json!({"sni": "a.test", "cert": cert, "key": key});
    let (good, long) = (ssl(&one.certificate, &one.key), "x".repeat(200));
    for (body, expected) in [
        (
            ssl(&one.certificate, &other.key),
            "invalid configuration: key: the private key does not belong to the certificate",
        ),
        (
            ssl(&long, &one.key),
            "failed to parse cert: it is not in PEM format",
        ),
        (
            ssl(&one.certificate, &long),
            "failed to parse key: it is not in PEM format",
        ),
        (
            with(
                good.clone(),
                json!({"certs": [one.certificate], "keys": [long]}),
            ),
            "failed to handle cert-key pair[1]: failed to parse key: it is not in PEM format",
        ),
        (
            with(good.clone(), json!({"client": {"ca": long}})),
            "failed to validate client_cert: failed to parse cert: it is not in PEM format",
        ),
        (
            with(good.clone(), json!({"ssl_protocols": ["TLSv1.1"]})),
            "invalid configuration: property \"ssl_protocols\" validation failed: \
             expected \"TLSv1.2\", \"TLSv1.3\" or both: older versions are not spoken",
        ),
    ] {
        assert_eq!(refused(&gateway, "PUT", "ssls/1", &body), expected);
    }
    must_put(&gateway, "ssls/1", &good);
    let changed = call(
        &gateway,
        "PATCH",
        "ssls/1",
        &json!({"cert": other.certificate}),
    );
    assert_eq!(changed.status, 400, "{changed:?}");
    let both = json!({"cert": other.certificate, "key": other.key});
    assert_eq!(call(&gateway, "PATCH", "ssls/1", &both).status, 200);
}

#[test]
fn what_no_request_needs_is_kept_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = keeping(folder.path()).start();
    let vault = json!({"uri": "http://127.0.0.1:8200", "prefix": "kv", "token": "t"});
    let bodies = [
        ("protos/p", json!({"content": "syntax = \"proto3\";"})),
        ("secrets/vault/v", vault.clone()),
        ("plugin_metadata/cors", json!({"anything": {"at": "all"}})),
    ];
    for (path, body) in &bodies {
        let made = must_put(&gateway, path, body);
        assert_eq!(made["key"], format!("/apisix/{path}"));
    }
    let shown = get(&gateway, "secrets/vault/v");
    assert_eq!(shown["value"]["id"], "v");
    assert_eq!(get(&gateway, "secrets")["total"], 1);
    assert_eq!(
        get(&gateway, "plugin_metadata/cors")["value"]["anything"]["at"],
        "all"
    );
    gateway.stop();

    let gateway = keeping(folder.path()).start();
    assert_eq!(get(&gateway, "secrets/vault/v")["value"]["prefix"], "kv");
    let patch = json!({"prefix": "other", "token": "$env://PATH"});
    let changed = call(&gateway, "PATCH", "secrets/vault/v", &patch);
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(changed.json()["value"]["token"], "$env://PATH");
    for (path, _) in &bodies {
        assert_eq!(gateway.admin("DELETE", path).send().status, 200, "{path}");
        assert_eq!(gateway.admin("GET", path).send().status, 404, "{path}");
    }

    for (path, body, expected) in [
        ("secrets", &vault, "missing secret type"),
        ("secrets/vault", &vault, "missing secret id"),
        ("secrets/azure/1", &vault, "invalid secret manager: azure"),
        (
            "secrets/aws/1",
            &vault,
            "invalid configuration: property \"access_key_id\" is required",
        ),
        ("plugin_metadata/none", &json!({}), "invalid plugin name"),
    ] {
        assert_eq!(refused(&gateway, "PUT", path, body), expected, "{path}");
    }
    let posted = call(&gateway, "POST", "secrets/vault", &vault);
    assert_eq!(posted.status, 405);
}

#[test]
fn files_hold_them_too() {
    let upstream = Upstream::echo();
    let document = with(
        routes([route("/*", nodes(&[&upstream]))]),
        json!({
            "protos": [{"id": "p", "content": "c"}],
            "plugin_metadata": [{"id": "cors", "a": 1}],
            "secrets": [{"id": "vault/v", "uri": "http://v", "prefix": "kv", "token": "t0k3n"}],
        }),
    );
    let gateway = gateway().routes(document).start();
    assert_eq!(gateway.get("/").send().status, 200);
    let shown = gateway.control().get("/v1/plugin_metadatas").send().json();
    assert_eq!(shown[0]["value"]["a"], 1);
    assert!(!gateway.log().text().contains("t0k3n"));
}
