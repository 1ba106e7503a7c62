//! Plugins of several runners in one entry of a route: what each sees, when the
//! chain ends, and which calls are not made at all.

use outrigger_a6::error::Code;
use outrigger_a6::http_req_call::{Action, Rewrite, Stop};
use outrigger_a6::{Entry, RpcType, http_req_call, http_resp_call, prepare_conf};
use outrigger_harness::{Gateway, Upstream, eventually};
use outrigger_testkit::{Answer, Fields, frame};
use serde_json::{Value, json};

use crate::runners::{Scripted, decision, entry};
use crate::support::{external, gateway, nodes, plugin, route, routes, with};

/// Two runners, and a gateway that has the second under the name `second` and
/// sends every request through `plugins`.
fn two_runners(upstream: &Upstream, plugins: Value) -> (Scripted, Scripted, Gateway) {
    let (first, second) = (Scripted::start(), Scripted::start());
    let config = json!({"ext-plugin": {
        "path_for_test": first.path(),
        "runners": {"second": {"path": second.path()}},
    }});
    let route = with(
        route("/*", nodes(&[upstream])),
        json!({ "plugins": plugins }),
    );
    let gateway = gateway().config(config).routes(routes([route])).start();
    (first, second, gateway)
}

/// A plugin in this runner.
fn plugin_in(runner: &str, name: &str) -> Value {
    with(plugin(name, json!({})), json!({"runner": runner}))
}

/// A plugin that runs where the variable `arg_on` is `name`.
fn plugin_when(name: &str) -> Value {
    let when = json!({"when": [["arg_on", "==", name]]});
    with(plugin(name, json!({})), when)
}

/// The names of the plugins that each prepared configuration has, sorted.
fn prepared(runner: &Scripted) -> Vec<Vec<String>> {
    let requests = runner.received_of(RpcType::PrepareConf);
    let names = requests.iter().map(|request| {
        let request: prepare_conf::Request<'_> = request.decode().unwrap();
        let name = |entry: Entry<'_>| String::from_utf8_lossy(entry.name).into_owned();
        request.conf.iter().map(name).collect()
    });
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

/// The headers of the request calls that came.
fn seen(runner: &Scripted) -> Vec<Fields> {
    let calls = runner.received_of(RpcType::HttpReqCall);
    let headers = calls.iter().map(|call| {
        let call: http_req_call::Request<'_> = call.decode().unwrap();
        Fields::from(call.headers)
    });
    headers.collect()
}

/// The answer that gives a header of the request this value.
fn setting(name: &'static str, value: &'static [u8]) -> Answer {
    let headers: &'static [Entry<'static>] = vec![entry(name, value)].leak();
    decision(Action::Rewrite(Rewrite {
        headers: headers.into(),
        ..Rewrite::default()
    }))
}

#[test]
fn runners_are_called_in_order_and_each_sees_what_those_before_it_changed() {
    let upstream = Upstream::echo();
    let chain = external([
        plugin("a", json!({})),
        plugin("b", json!({})),
        plugin_in("second", "c"),
        plugin_in("default", "d"),
    ]);
    let (first, second, gateway) = two_runners(&upstream, json!({"ext-plugin-pre-req": chain}));
    first
        .next(RpcType::HttpReqCall, setting("X-Way", b"1"))
        .next(RpcType::HttpReqCall, setting("X-Way", b"3"));
    second.next(RpcType::HttpReqCall, setting("X-Way", b"2"));
    assert_eq!(gateway.get("/").send().status, 200);
    assert_eq!(prepared(&first), [vec!["a", "b"], vec!["d"]]);
    assert_eq!(prepared(&second), [["c"]]);
    let way = |runner: &Scripted| {
        let seen = seen(runner);
        let way = seen
            .iter()
            .map(|headers| headers.get("x-way").map(str::to_owned));
        way.collect::<Vec<_>>()
    };
    assert_eq!(way(&first), [None, Some("2".to_owned())]);
    assert_eq!(way(&second), [Some("1".to_owned())]);
    assert_eq!(upstream.last().header("x-way"), Some("3"));
}

#[test]
fn an_answer_to_the_client_ends_the_chain() {
    let upstream = Upstream::echo();
    let chain = external([plugin("a", json!({})), plugin_in("second", "b")]);
    let (first, second, gateway) = two_runners(&upstream, json!({"ext-plugin-post-req": chain}));
    let stop = Stop {
        status: 418,
        ..Stop::default()
    };
    first.always(RpcType::HttpReqCall, decision(Action::Stop(stop)));
    assert_eq!(gateway.get("/").send().status, 418);
    let calls = second.received_of(RpcType::HttpReqCall).len();
    assert_eq!((calls, upstream.hits()), (0, 0));
}

#[test]
fn a_chain_goes_on_without_a_call_that_failed_and_keeps_what_went_before() {
    let upstream = Upstream::echo();
    let chain = external([
        plugin("a", json!({})),
        plugin_in("second", "b"),
        plugin("c", json!({})),
    ]);
    let lenient = with(chain, json!({"allow_degradation": true}));
    let (first, second, gateway) = two_runners(&upstream, json!({"ext-plugin-pre-req": lenient}));
    first
        .next(RpcType::HttpReqCall, setting("X-A", b"1"))
        .next(RpcType::HttpReqCall, setting("X-C", b"1"));
    second.always(
        RpcType::HttpReqCall,
        Answer::error(Code::ServiceUnavailable),
    );
    assert_eq!(gateway.get("/").send().status, 200);
    assert_eq!(second.received_of(RpcType::HttpReqCall).len(), 1);
    let sent = upstream.last();
    assert_eq!(
        (sent.header("x-a"), sent.header("x-c")),
        (Some("1"), Some("1"))
    );
}

#[test]
fn a_response_passes_through_the_runners_in_order() {
    let upstream = Upstream::echo();
    let chain = external([plugin("a", json!({})), plugin_in("second", "b")]);
    let (first, second, gateway) = two_runners(&upstream, json!({"ext-plugin-post-resp": chain}));
    let changing = |status: u16, body: &'static [u8]| {
        Answer::new().reply_with(move |call| {
            let call: http_resp_call::Request<'_> = call.decode().unwrap();
            frame(&http_resp_call::Response {
                id: call.id,
                status,
                body: Some(body),
                ..http_resp_call::Response::default()
            })
        })
    };
    first.always(RpcType::HttpRespCall, changing(201, b"first"));
    second.always(RpcType::HttpRespCall, changing(202, b"second"));
    let response = gateway.get("/hello").send();
    assert_eq!((response.status, response.text()), (202, "second"));
    let calls = second.received_of(RpcType::HttpRespCall);
    let call: http_resp_call::Request<'_> = calls[0].decode().unwrap();
    assert_eq!(call.status, 201);
    assert_eq!(Fields::from(call.headers).get("content-length"), Some("5"));
}

#[test]
fn a_call_whose_condition_does_not_hold_is_not_made() {
    let upstream = Upstream::echo();
    let chain = external([plugin("a", json!({})), plugin_when("b"), plugin_when("c")]);
    let (runner, _second, gateway) = two_runners(&upstream, json!({"ext-plugin-pre-req": chain}));
    for (query, calls) in [("", 1), ("?on=b", 2), ("?on=c", 2), ("?on=d", 1)] {
        let before = runner.received_of(RpcType::HttpReqCall).len();
        assert_eq!(gateway.get(&format!("/{query}")).send().status, 200);
        let made = runner.received_of(RpcType::HttpReqCall).len() - before;
        assert_eq!(made, calls, "{query}");
    }
    assert_eq!(prepared(&runner), [["a"], ["b"], ["c"]]);
}

#[test]
fn a_condition_sees_what_earlier_calls_changed() {
    let upstream = Upstream::echo();
    let on_vip = json!({"when": [["http_x_tier", "==", "vip"]]});
    let chain = external([plugin("a", json!({})), with(plugin("b", json!({})), on_vip)]);
    let (runner, _second, gateway) = two_runners(&upstream, json!({"ext-plugin-pre-req": chain}));
    assert_eq!(gateway.get("/").send().status, 200);
    assert_eq!(runner.received_of(RpcType::HttpReqCall).len(), 1);
    runner.next(RpcType::HttpReqCall, setting("X-Tier", b"vip"));
    assert_eq!(gateway.get("/").send().status, 200);
    assert_eq!(runner.received_of(RpcType::HttpReqCall).len(), 3);
}

#[test]
fn a_plugin_whose_condition_does_not_hold_is_absent() {
    let upstream = Upstream::echo();
    let only = |when: Value| with(external([plugin("a", json!({}))]), json!({ "when": when }));
    let plugins = json!({
        "ext-plugin-pre-req": only(json!([["request_method", "==", "POST"]])),
        "ext-plugin-post-resp": only(json!([["status", ">=", "400"], ["sent_http_x_a", "==", "b"]])),
    });
    let (runner, _second, gateway) = two_runners(&upstream, plugins);
    for (method, path, header, calls) in [
        ("GET", "/hello", "b", (0, 0)),
        ("POST", "/hello", "b", (1, 0)),
        ("GET", "/status/404", "b", (0, 1)),
        ("GET", "/status/404", "c", (0, 0)),
    ] {
        let count = || {
            let of = |ty| runner.received_of(ty).len();
            (of(RpcType::HttpReqCall), of(RpcType::HttpRespCall))
        };
        let before = count();
        let request = gateway.request(method, path);
        request.header("resp-X-A", header).send();
        let after = count();
        let made = (after.0 - before.0, after.1 - before.1);
        assert_eq!(made, calls, "{method} {path} {header}");
    }
}

#[test]
fn each_phase_of_a_route_has_a_configuration_and_a_token_of_its_own() {
    let upstream = Upstream::echo();
    let call = external([plugin("a", json!({}))]);
    let names = [
        "ext-plugin-log",
        "ext-plugin-post-req",
        "ext-plugin-post-resp",
        "ext-plugin-pre-req",
    ];
    let plugins = names.map(|name| (name.to_owned(), call.clone()));
    let plugins = Value::Object(plugins.into_iter().collect());
    let (runner, _second, gateway) = two_runners(&upstream, plugins);
    assert_eq!(gateway.get("/hello").send().status, 200);
    eventually("the response was told twice", || {
        runner.received_of(RpcType::HttpRespCall).len() == 2
    });
    let keys = runner.received_of(RpcType::PrepareConf);
    let keys = keys.iter().map(|request| {
        let request: prepare_conf::Request<'_> = request.decode().unwrap();
        let key = String::from_utf8_lossy(request.key).into_owned();
        key.rsplit('#').nth(1).unwrap().to_owned()
    });
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    assert_eq!(keys, names);
    let requests = runner.received_of(RpcType::HttpReqCall);
    let requests = requests.iter().map(|call| {
        let call: http_req_call::Request<'_> = call.decode().unwrap();
        call.conf_token.0
    });
    let responses = runner.received_of(RpcType::HttpRespCall);
    let responses = responses.iter().map(|call| {
        let call: http_resp_call::Request<'_> = call.decode().unwrap();
        call.conf_token.0
    });
    let tokens: std::collections::BTreeSet<_> = requests.chain(responses).collect();
    assert_eq!(tokens.len(), 4);
}
