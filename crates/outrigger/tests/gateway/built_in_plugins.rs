//! The built-in plugins, sets of plugins, and what `_meta` says of them.

use std::time::{Duration, Instant};

use outrigger_harness::{Gateway, Response, Upstream};
use serde_json::{Value, json};

use crate::support::{gateway, nodes, with};

/// A gateway whose routes, each by its path, have these plugins.
fn with_plugins<const N: usize>(
    upstream: &Upstream,
    routes: [(&str, Value); N],
    more: Value,
) -> Gateway {
    let routes: Vec<Value> = routes
        .into_iter()
        .map(|(uri, plugins)| {
            json!({"uri": uri, "upstream": nodes(&[upstream]), "plugins": plugins})
        })
        .collect();
    gateway()
        .routes(with(json!({ "routes": routes }), more))
        .start()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.header(name).unwrap_or("-")
}

#[test]
fn ip_restriction_lets_in_whom_its_lists_say() {
    let upstream = Upstream::echo();
    let gateway = with_plugins(
        &upstream,
        [
            (
                "/in",
                json!({"ip-restriction": {"whitelist": ["::1", "127.0.0.0/8"]}}),
            ),
            (
                "/out",
                json!({"ip-restriction": {"blacklist": ["127.0.0.1"]}}),
            ),
            (
                "/own",
                json!({"ip-restriction": {
                    "whitelist": ["10.0.0.0/8"], "message": "go away", "response_code": 404,
                }}),
            ),
        ],
        json!({}),
    );
    assert_eq!(gateway.get("/in").send().status, 200);
    let refused = gateway.get("/out").send();
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.text(),
        "{\"message\":\"Your IP address is not allowed\"}\n"
    );
    let refused = gateway.get("/own").send();
    assert_eq!(
        (refused.status, refused.text()),
        (404, "{\"message\":\"go away\"}\n")
    );
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn redirect_sends_the_client_where_its_conf_says() {
    let upstream = Upstream::echo();
    let gateway = with_plugins(
        &upstream,
        [
            ("/1", json!({"redirect": {"uri": "/moved"}})),
            (
                "/2",
                json!({"redirect": {"uri": "/moved", "ret_code": 308}}),
            ),
            (
                "/q",
                json!({"redirect": {"uri": "/to?a=1", "append_query_string": true}}),
            ),
            ("/e/*", json!({"redirect": {"uri": "/to$uri"}})),
            (
                "/r/*",
                json!({"redirect": {"regex_uri": ["^/r/(.*)/(.*)$", "/new/${2}/$1?z=ü"]}}),
            ),
            ("/s/*", json!({"redirect": {"http_to_https": true}})),
            (
                "/p/*",
                json!({"redirect": {"http_to_https": true, "https_port": 9443}}),
            ),
        ],
        json!({}),
    );
    for (target, status, location) in [
        ("/1?x=1", 302, "/moved"),
        ("/2", 308, "/moved"),
        ("/q?b=2", 302, "/to?a=1&b=2"),
        ("/e/a%20b%3Fc", 302, "/to/e/a%20b%3Fc"),
        ("/e/%0d%0aX:y", 302, "/to/e/%0D%0AX:y"),
        ("/r/x%20y/z", 302, "/new/z/x%20y?z=%C3%BC"),
        ("/s/a?b=%20c", 301, "https://gateway.test/s/a?b=%20c"),
        ("/p/a", 301, "https://gateway.test:9443/p/a"),
    ] {
        let response = gateway.get(target).host("gateway.test:8080").send();
        assert_eq!(
            (response.status, header(&response, "location")),
            (status, location),
            "{target}"
        );
    }
    assert_eq!(gateway.get("/r/fresh").send().status, 200);
}

#[test]
fn request_id_names_requests_that_have_no_name() {
    let upstream = Upstream::echo();
    let gateway = with_plugins(
        &upstream,
        [
            ("/a", json!({"request-id": {}})),
            (
                "/quiet",
                json!({"request-id": {"header_name": "X-Id", "include_in_response": false}}),
            ),
        ],
        json!({}),
    );
    let response = gateway.get("/a").send();
    let id = header(&response, "x-request-id").to_owned();
    assert_eq!(id.len(), 36);
    assert_eq!(upstream.last().header("x-request-id"), Some(&*id));
    let response = gateway.get("/a").header("X-Request-Id", "mine").send();
    assert_eq!(header(&response, "x-request-id"), "mine");
    assert_eq!(upstream.last().header("x-request-id"), Some("mine"));
    let response = gateway.get("/quiet").send();
    assert_eq!(header(&response, "x-id"), "-");
    assert!(upstream.last().header("x-id").is_some());
}

#[test]
fn cors_knows_origins_by_their_names_in_its_metadata() {
    let upstream = Upstream::echo();
    let gateway = with_plugins(
        &upstream,
        [(
            "/named",
            json!({"cors": {
                "allow_origins": "http://a.test", "allow_origins_by_metadata": ["B", "C", "none"],
            }}),
        )],
        json!({"plugin_metadata": [{
            "id": "cors",
            "allow_origins": {"B": "http://b.test,http://c.test", "D": "http://d.test"},
        }]}),
    );
    for (origin, expected) in [
        ("http://a.test", "http://a.test"),
        ("http://b.test", "http://b.test"),
        ("http://c.test", "http://c.test"),
        ("http://d.test", "-"),
    ] {
        let answer = gateway.get("/named").header("Origin", origin).send();
        let allowed = header(&answer, "access-control-allow-origin");
        assert_eq!(allowed, expected, "{origin}");
        assert_eq!(header(&answer, "vary"), "Origin");
    }
}

/// An upstream whose answer is always this body, in this coding.
fn coded(coding: &'static str, body: &'static [u8]) -> Upstream {
    Upstream::raw(move |connection| {
        while connection.read_request().is_some() {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {length}\r\n\r\n"
            );
            connection.write(&[head.as_bytes(), body].concat());
        }
    })
}

#[test]
fn response_rewrite_filters_what_gzip_made_short() {
    // "hello world"
    const HELLO: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xcbH\xcd\xc9\xc9W(\xcf/\xca\
        I\x01\0\x85\x11J\r\x0b\0\0\0";
    let filters = json!([{"regex": "(\\w+) (\\w+)", "replace": "$2 ${1}$$"}]);
    let answer = |upstream: &Upstream, filters: &Value| {
        let plugins = json!({"response-rewrite": {"filters": filters}});
        let gateway = with_plugins(upstream, [("/", plugins)], json!({}));
        let answer = gateway.get("/").send();
        let coding = header(&answer, "content-encoding").to_owned();
        (answer.body.clone(), coding)
    };
    let gzip = coded("gzip", HELLO);
    assert_eq!(
        answer(&gzip, &filters),
        (b"world hello$".into(), "-".to_owned())
    );
    // What is not changed, or not understood, stays as it is.
    let none = json!([{"regex": "nothing", "replace": ""}]);
    assert_eq!(answer(&gzip, &none), (HELLO.into(), "gzip".to_owned()));
    let broken = coded("gzip", b"hello world");
    assert_eq!(
        answer(&broken, &filters),
        (b"hello world".into(), "gzip".to_owned())
    );
    let other = coded("br", b"hello world");
    assert_eq!(
        answer(&other, &filters),
        (b"hello world".into(), "br".to_owned())
    );
}

#[test]
fn redirect_to_https_keeps_the_method_of_requests_with_bodies() {
    let upstream = Upstream::echo();
    let gateway = with_plugins(
        &upstream,
        [("/s", json!({"redirect": {"http_to_https": true}}))],
        json!({}),
    );
    for (method, status) in [("GET", 301), ("HEAD", 301), ("POST", 308), ("DELETE", 308)] {
        let answer = gateway.request(method, "/s").send();
        assert_eq!(answer.status, status, "{method}");
        let location = header(&answer, "location");
        assert!(location.starts_with("https://"), "{location}");
    }
}

#[test]
fn cors_tells_browsers_what_they_may_do() {
    let upstream = Upstream::echo();
    let gateway = with_plugins(
        &upstream,
        [
            ("/any", json!({"cors": {}})),
            (
                "/one",
                json!({"cors": {
                    "allow_origins": "http://a.com,https://b.com:8080", "allow_methods": "GET,POST",
                    "allow_headers": "X-A,X-B", "expose_headers": "X-C", "max_age": 60,
                    "allow_credential": true,
                }}),
            ),
            (
                "/own",
                json!({"cors": {"allow_origins": "**", "allow_headers": "**"}}),
            ),
            (
                "/regex",
                json!({"cors": {"allow_origins_by_regex": [".*\\.test\\.com$"]}}),
            ),
            (
                "/no",
                json!({"cors": {}, "ip-restriction": {"blacklist": ["127.0.0.1"]}}),
            ),
        ],
        json!({}),
    );
    let shown = |path: &str, origin: &str| {
        let response = gateway.get(path).header("Origin", origin).send();
        let names = [
            "allow-origin",
            "allow-methods",
            "allow-headers",
            "expose-headers",
            "max-age",
        ];
        let values = names.map(|name| format!("access-control-{name}"));
        let values: Vec<&str> = values.iter().map(|name| header(&response, name)).collect();
        format!("{} {}", values.join(" "), header(&response, "vary"))
    };
    assert_eq!(shown("/any", "http://a.com"), "* * * - 5 -");
    let one = "https://b.com:8080 GET,POST X-A,X-B X-C 60 Origin";
    assert_eq!(shown("/one", "https://b.com:8080"), one);
    assert_eq!(shown("/one", "http://b.com"), "- - - - - Origin");
    assert_eq!(shown("/own", "http://x"), "http://x * - - 5 Origin");
    assert_eq!(
        shown("/regex", "http://x.test.com"),
        "http://x.test.com * * - 5 Origin"
    );
    assert_eq!(
        shown("/regex", "http://x.test.com.evil"),
        "- - - - - Origin"
    );
    // A refusal can be read by the page that asked.
    assert_eq!(shown("/no", "http://a.com"), "* * * - 5 -");
    let hits = upstream.hits();
    let preflight = gateway
        .request("OPTIONS", "/no")
        .header("Origin", "http://a.com")
        .send();
    assert_eq!(preflight.status, 200);
    assert_eq!(header(&preflight, "access-control-allow-origin"), "*");
    assert_eq!(upstream.hits(), hits);
}

#[test]
fn meta_filters_orders_and_words() {
    let upstream = Upstream::echo();
    let refuse = |meta: Value| json!({"blacklist": ["127.0.0.1"], "_meta": meta});
    let gateway = with_plugins(
        &upstream,
        [
            (
                "/off",
                json!({"ip-restriction": refuse(json!({"disable": true}))}),
            ),
            (
                "/some",
                json!({"ip-restriction": refuse(json!({"filter": [["arg_v", "==", "1"]]}))}),
            ),
            (
                "/json",
                json!({"ip-restriction": refuse(json!({"error_response": {"mine": "yes"}}))}),
            ),
            (
                "/text",
                json!({"ip-restriction": refuse(json!({"error_response": "as text"}))}),
            ),
            (
                "/order",
                json!({"redirect": {"uri": "/elsewhere", "_meta": {"priority": 5000}}, "cors": {}}),
            ),
        ],
        json!({}),
    );
    let said = |target: &str| {
        let response = gateway.get(target).send();
        let text = if response.status == 200 {
            String::new()
        } else {
            response.text().into()
        };
        format!("{} {text}", response.status)
    };
    assert_eq!(said("/off"), "200 ");
    assert_eq!(said("/some"), "200 ");
    assert!(said("/some?v=1").starts_with("403 "));
    assert_eq!(said("/json"), "403 {\"mine\":\"yes\"}\n");
    assert_eq!(said("/text"), "403 as text");
    let moved = gateway.request("OPTIONS", "/order").send();
    assert_eq!(moved.status, 302);
}

#[test]
fn global_rules_run_for_every_request_and_plugin_configs_for_their_routes() {
    let upstream = Upstream::echo();
    let set =
        |name: &str, value: &str| json!({"proxy-rewrite": {"headers": {"set": {(name): value}}}});
    let more = json!({
        "global_rules": [
            {"id": "1", "plugins": {"request-id": {"header_name": "X-Global"}}},
            {"id": "2", "plugins": {"ip-restriction": {
                "blacklist": ["127.0.0.1"], "_meta": {"filter": [["arg_stop", "==", "1"]]},
            }}},
        ],
        "plugin_configs": [{"id": "p", "plugins": set("X-Config", "1")}],
    });
    let gateway = with_plugins(&upstream, [("/none", json!({}))], json!({}));
    let routes = json!({"routes": [
        {"uri": "/none", "upstream": nodes(&[&upstream])},
        {"uri": "/config", "upstream": nodes(&[&upstream]), "plugin_config_id": "p"},
        {"uri": "/own", "upstream": nodes(&[&upstream]), "plugin_config_id": "p",
         "plugins": set("X-Own", "1")},
    ]});
    gateway.set_routes(with(routes, more));
    for (path, config, own) in [
        ("/none", "-", "-"),
        ("/config", "1", "-"),
        ("/own", "-", "1"),
    ] {
        let response = gateway.get(path).send();
        assert_eq!(response.status, 200);
        let id = header(&response, "x-global").to_owned();
        let seen = upstream.last();
        assert_eq!(seen.header("x-global"), Some(&*id));
        assert_eq!(seen.header("x-config").unwrap_or("-"), config, "{path}");
        assert_eq!(seen.header("x-own").unwrap_or("-"), own, "{path}");
    }
    let none = gateway.get("/nowhere").send();
    assert_eq!(none.status, 404);
    assert_eq!(header(&none, "x-global").len(), 36);
    let hits = upstream.hits();
    assert_eq!(gateway.get("/own?stop=1").send().status, 403);
    assert_eq!(gateway.get("/nowhere?stop=1").send().status, 403);
    assert_eq!(upstream.hits(), hits);
}

#[test]
fn conditions_and_parameters_of_routes_decide() {
    let upstream = Upstream::echo();
    let to = |way: &str, asks: Value| {
        let set = json!({"X-Way": way, "X-Name": "$uri_param_name", "X-Rest": "$uri_param_rest"});
        let plugins = json!({"proxy-rewrite": {"headers": {"set": set}}});
        with(
            asks,
            json!({"plugins": plugins, "upstream": nodes(&[&upstream])}),
        )
    };
    let gateway = gateway()
        .config(json!({"apisix": {
            "node_listen": [{"ip": "127.0.0.1", "port": 0}],
            "control": {"port": 0},
            "router": {"http": "radixtree_uri_with_parameter"},
        }}))
        .routes(json!({"routes": [
            to("all", json!({"uri": "/*"})),
            to("beta", json!({"uri": "/v", "vars": [["http_x_user", "==", "beta"], ["arg_v", "~~", "^2"]]})),
            to("far", json!({"uri": "/v", "remote_addrs": ["192.0.2.0/24"], "priority": 1})),
            to("near", json!({"uri": "/n", "remote_addr": "127.0.0.0/8"})),
            to("user", json!({"uri": "/u/:name/*rest"})),
        ]}))
        .start();
    let way = |target: &str, user: &str| {
        gateway.get(target).header("X-User", user).send();
        upstream.last().header("x-way").unwrap_or("-").to_owned()
    };
    assert_eq!(way("/v?v=21", "beta"), "beta");
    assert_eq!(way("/v?v=12", "beta"), "all");
    assert_eq!(way("/v?v=21", "x"), "all");
    assert_eq!(way("/n", ""), "near");
    assert_eq!(way("/u/jack%20b/x/y", ""), "user");
    let seen = upstream.last();
    assert_eq!(seen.header("x-name"), Some("jack b"));
    assert_eq!(seen.header("x-rest"), Some("x/y"));
}

#[test]
fn response_rewrite_changes_status_headers_and_body() {
    let upstream = Upstream::echo();
    let rewrite = |conf: Value| json!({ "response-rewrite": conf });
    let filters = json!({"filters": [
        {"regex": "HELLO (\\w+)", "replace": "$1 you", "options": "i"},
        {"regex": "o", "replace": "0", "scope": "global"},
    ]});
    let gateway = with_plugins(
        &upstream,
        [
            (
                "/body",
                rewrite(json!({"status_code": 202, "body": "bmV3", "body_base64": true})),
            ),
            ("/empty", rewrite(json!({"body": ""}))),
            (
                "/flat",
                rewrite(json!({"headers": {"X-New": "n", "X-Num": 3, "X-Old": ""}})),
            ),
            (
                "/long",
                rewrite(json!({
                    "headers": {
                        "add": ["Set-Cookie: a=$arg_a; Path=/x:y"],
                        "set": {"X-Status": "$status"},
                        "remove": ["X-Old"],
                    },
                    "vars": [["arg_a", "~=", null], ["status", "<", 300]],
                })),
            ),
            ("/filters", rewrite(filters)),
            (
                "/refused",
                json!({
                    "ip-restriction": {"blacklist": ["127.0.0.1"]},
                    "response-rewrite": {"status_code": 299, "headers": {"set": {"X-By": "rr"}}},
                }),
            ),
        ],
        json!({}),
    );
    let old = |path: &str| gateway.get(path).header("resp-X-Old", "1").send();
    let response = old("/body");
    assert_eq!((response.status, response.text()), (202, "new"));
    assert_eq!(header(&response, "content-length"), "3");
    assert_eq!(gateway.get("/empty").send().text(), "");
    let response = old("/flat");
    let shown = ["x-new", "x-num", "x-old"].map(|name| header(&response, name));
    assert_eq!(shown, ["n", "3", "-"]);
    let response = old("/long?a=5");
    let shown = ["set-cookie", "x-status", "x-old"].map(|name| header(&response, name));
    assert_eq!(shown, ["a=5; Path=/x:y", "200", "-"]);
    assert_eq!(header(&old("/long"), "x-old"), "1");
    let response = gateway.post("/filters").body("hello world, o").send();
    assert!(
        response.text().contains("w0rld y0u, 0"),
        "{}",
        response.text()
    );
    let response = gateway.get("/refused").send();
    assert_eq!((response.status, header(&response, "x-by")), (299, "rr"));
}

#[test]
fn fault_injection_answers_and_delays_those_it_concerns() {
    let upstream = Upstream::echo();
    let abort = |more: Value| json!({"fault-injection": {"abort": more}});
    let late = json!({"duration": 0.2, "vars": [[["arg_late", "==", "1"]]]});
    let gateway = with_plugins(
        &upstream,
        [
            (
                "/words",
                abort(json!({
                    "http_status": 418, "body": "no $arg_who", "headers": {"X-N": 7, "X-W": "$arg_who"},
                })),
            ),
            (
                "/vars",
                abort(json!({"http_status": 503, "vars": [
                    [["arg_a", "==", "1"], ["arg_b", "==", "2"]], [["http_x_c", "==", "c"]],
                ]})),
            ),
            (
                "/never",
                abort(json!({"http_status": 500, "percentage": 0})),
            ),
            ("/late", json!({"fault-injection": {"delay": late}})),
        ],
        json!({}),
    );
    let injected = gateway.get("/words?who=you").send();
    assert_eq!((injected.status, injected.text()), (418, "no you"));
    assert_eq!(
        (header(&injected, "x-n"), header(&injected, "x-w")),
        ("7", "you")
    );
    let split = gateway.get("/words?who=you%0d%0aX-Bad:1").send();
    assert_eq!(header(&split, "x-bad"), "-");
    let none = gateway.get("/words").send();
    assert_eq!(header(&none, "x-w"), "-");

    let refused = gateway.get("/vars?a=1&b=2").send();
    assert_eq!((refused.status, refused.text()), (503, ""));
    let concerned = gateway.get("/vars").header("x-c", "c").send();
    assert_eq!(concerned.status, 503);
    assert_eq!(upstream.hits(), 0);
    assert_eq!(gateway.get("/vars?a=1").send().status, 200);
    for _ in 0..20 {
        assert_eq!(gateway.get("/never").send().status, 200);
    }

    let began = Instant::now();
    assert_eq!(gateway.get("/late?late=1").send().status, 200);
    assert!(began.elapsed() >= Duration::from_millis(200));
}
