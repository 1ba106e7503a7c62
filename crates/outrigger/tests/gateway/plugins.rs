//! Plugins in a runner that work: what they are told, and what becomes of
//! their answers.

use std::time::{Duration, Instant};

use outrigger_a6::error::Code;
use outrigger_a6::extra_info::Info;
use outrigger_a6::http_req_call::{Action, Request, Rewrite, Stop};
use outrigger_a6::{Entry, Method, RpcType, extra_info, prepare_conf};
use outrigger_harness::{Header, Upstream, together};
use outrigger_testkit::{Answer, Fields, OwnedFrame};
use serde_json::{Value, json};

use crate::runners::{Scripted, answer, demo_runner, entry, gone};
use crate::support::{external, nodes, plugin, route, routes, with};

/// A route of everything to `upstream`, through these plugins.
fn through(upstream: &Upstream, plugins: Value) -> Value {
    let to = route("/*", nodes(&[upstream]));
    routes([with(to, json!({"plugins": plugins}))])
}

/// `ext-plugin-pre-req` with one plugin of the demo runner.
fn before(name: &str, conf: Value) -> Value {
    json!({"ext-plugin-pre-req": external([plugin(name, conf)])})
}

#[test]
fn a_plugin_may_answer_instead_of_the_upstream() {
    let upstream = Upstream::echo();
    let gateway = demo_runner()
        .routes(through(&upstream, before("say", json!({"body": "said\n"}))))
        .start();
    let response = gateway.post("/").body("not asked for").send();
    assert_eq!((response.status, response.text()), (200, "said\n"));
    assert_eq!(response.header("x-resp-a6-runner"), Some("Rust"));
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(upstream.hits(), 0);
}

#[test]
fn a_plugin_may_answer_with_any_status_fields_and_bytes() {
    const HEADERS: &[Entry<'_>] = &[
        entry("Content-Type", b"application/x-tea"),
        entry("X-Many", b"1"),
        entry("X-Many", b"2\xff"),
    ];
    let runner = Scripted::deciding(Action::Stop(Stop {
        status: 418,
        headers: HEADERS.into(),
        body: b"\0\xff",
    }));
    let upstream = Upstream::echo();
    let gateway = runner
        .gateway()
        .routes(through(&upstream, before("any", json!({}))))
        .start();
    let response = gateway.get("/").send();
    assert_eq!((response.status, response.body), (418, vec![0, 0xff]));
    assert_eq!(response.headers.all("content-type"), ["application/x-tea"]);
    let many = response
        .headers
        .iter()
        .filter(|header| header.name() == "x-many");
    assert_eq!(
        many.map(Header::bytes).collect::<Vec<_>>(),
        [&b"1"[..], b"2\xff"]
    );
}

#[test]
fn an_answer_without_status_is_200_and_one_without_body_has_none() {
    let runner = Scripted::deciding(Action::Stop(Stop::default()));
    let upstream = Upstream::echo();
    let gateway = runner
        .gateway()
        .routes(through(&upstream, before("any", json!({}))))
        .start();
    let response = gateway.get("/").send();
    assert_eq!((response.status, response.text()), (200, ""));
    assert_eq!(upstream.hits(), 0);
}

#[test]
fn a_plugin_may_change_the_request() {
    let upstream = Upstream::echo();
    let headers = json!({"headers": {"X-Old": "new", "X-New": "1"}});
    let gateway = demo_runner()
        .routes(through(&upstream, before("header-rewrite", headers)))
        .start();
    gateway
        .get("/a%2Fb?c=%20")
        .header("X-Old", "old")
        .header("X-Kept", "kept")
        .send();
    let seen = upstream.last();
    assert_eq!(seen.uri, "/a%2Fb?c=%20");
    assert_eq!(seen.headers.all("x-old"), ["new"]);
    assert_eq!(seen.headers.all("x-new"), ["1"]);
    assert_eq!(seen.headers.all("x-kept"), ["kept"]);
}

#[test]
fn a_plugin_may_change_path_arguments_fields_and_the_response() {
    const HEADERS: &[Entry<'_>] = &[
        entry("X-Set", b"1"),
        entry("X-Set", b"2"),
        entry("X-Bytes", b"\xff\xe9"),
        entry("host", b"inner.test"),
        gone("X-Gone"),
    ];
    const ARGS: &[Entry<'_>] = &[entry("a", b"1&2"), entry("new", b"\xe9"), gone("gone")];
    const RESPONSE_HEADERS: &[Entry<'_>] = &[
        entry("X-Answered", b"1"),
        entry("X-Answered", b"2"),
        entry("Content-Type", b"text/x-forbidden"),
        entry("Content-Length", b"1"),
    ];
    let runner = Scripted::deciding(Action::Rewrite(Rewrite {
        path: Some(b"/new path?/\xe9"),
        headers: HEADERS.into(),
        args: ARGS.into(),
        resp_headers: RESPONSE_HEADERS.into(),
        body: None,
    }));
    let upstream = Upstream::echo();
    let gateway = runner
        .gateway()
        .routes(through(&upstream, before("any", json!({}))))
        .start();
    let response = gateway
        .get("/hello?a=0&gone=1&kept=%7e")
        .header("X-Set", "old")
        .header("X-Gone", "1")
        .header("resp-X-Answered", "old")
        .header("resp-Content-Type", "text/x-mine")
        .send();
    let seen = upstream.last();
    assert_eq!(seen.uri, "/new%20path%3F/%E9?a=1%262&kept=%7e&new=%E9");
    assert_eq!(seen.headers.all("x-set"), ["1", "2"]);
    assert_eq!(seen.headers.bytes("x-bytes"), Some(&b"\xff\xe9"[..]));
    assert_eq!(seen.headers.all("host"), ["inner.test"]);
    assert_eq!(seen.header("x-gone"), None);
    assert_eq!(response.headers.all("x-answered"), ["1", "2"]);
    assert_eq!(response.headers.all("content-type"), ["text/x-mine"]);
    assert!(!response.body.is_empty());
}

#[test]
fn a_plugin_may_replace_the_body() {
    let upstream = Upstream::echo();
    let new_body = json!({"new_body": "a new one"});
    let gateway = demo_runner()
        .routes(through(&upstream, before("request-body-rewrite", new_body)))
        .start();
    for _ in 0..2 {
        let whole = gateway
            .post("/echo")
            .body("the old one, which is longer")
            .send();
        assert_eq!(whole.text(), "a new one");
        assert_eq!(upstream.last().headers.all("content-length"), ["9"]);
        let chunked = gateway.post("/echo").chunked(["the ", "old one"]).send();
        assert_eq!(chunked.text(), "a new one");
        assert_eq!(upstream.last().header("transfer-encoding"), None);
    }
    assert_eq!(
        gateway.get("/echo").send().text(),
        "a new one",
        "where there was none"
    );
}

#[test]
fn a_plugin_may_read_the_body_which_is_still_sent_on() {
    let upstream = Upstream::echo();
    let runner = Scripted::start();
    runner.always(
        RpcType::HttpReqCall,
        Answer::new().ask(Info::ReqBody).reply(),
    );
    let gateway = runner
        .gateway()
        .routes(through(&upstream, before("any", json!({}))))
        .start();
    let asked = || -> Option<Vec<u8>> {
        let answers = runner.received_of(RpcType::ExtraInfo);
        let answer: extra_info::Response<'_> = answers.last().unwrap().decode().unwrap();
        answer.result.map(<[u8]>::to_vec)
    };
    let large = vec![b'x'; 3 << 20];
    for body in [&b"body"[..], &large] {
        assert!(gateway.post("/echo").body(body).send().body == body);
        assert!(asked().as_deref() == Some(body));
        assert!(
            gateway
                .post("/echo")
                .chunked(body.chunks(70_000))
                .send()
                .body
                == body
        );
        assert!(asked().as_deref() == Some(body));
    }
    assert_eq!(gateway.get("/hello").send().status, 200);
    assert_eq!(asked(), None, "there is none");
}

#[test]
fn plugins_are_told_the_request_as_it_is() {
    let upstream = Upstream::echo();
    let runner = Scripted::start();
    let to = with(nodes(&[&upstream]), json!({"pass_host": "node"}));
    let plugins = before("any", json!({}));
    let gateway = runner
        .gateway()
        .routes(routes([with(route("/*", to), json!({"plugins": plugins}))]))
        .start();
    gateway
        .request("PATCH", "/a%20b/../%E9?x=%E9+1&flag&x=2&&e=")
        .host("Asked.Test")
        .header("X-Many", "one")
        .header("X-MANY", b"tw\xf6")
        .send();
    let calls = runner.received_of(RpcType::HttpReqCall);
    let call: Request<'_> = calls[0].decode().unwrap();
    assert_ne!(call.id, 0);
    assert_eq!(call.method, Method::Patch);
    assert_eq!(call.src_ip, [127, 0, 0, 1]);
    assert_eq!(call.path, b"/\xe9");
    let args = Fields::from_iter([
        (&b"x"[..], Some(&b"\xe9 1"[..])),
        (b"flag", None),
        (b"x", Some(b"2")),
        (b"e", Some(b"")),
    ]);
    assert_eq!(Fields::from(call.args), args);
    let headers = Fields::from(call.headers);
    assert_eq!(headers.get_all("host"), [upstream.node()]);
    let many = headers.0.iter().filter(|(name, _)| name == b"x-many");
    let many: Vec<_> = many.filter_map(|(_, value)| value.as_deref()).collect();
    assert_eq!(many, [&b"one"[..], b"tw\xf6"]);
}

#[test]
fn variables_are_answered() {
    let upstream = Upstream::echo();
    let runner = Scripted::start();
    let names = [
        "remote_addr",
        "request_uri",
        "uri",
        "args",
        "host",
        "http_x_a",
        "arg_b",
        "route_id",
        "nothing",
    ];
    let asking = names.iter().fold(Answer::new(), |answer, name| {
        answer.ask_ahead(Info::Var(name.as_bytes()))
    });
    let asking = names.iter().fold(asking, |answer, _| answer.read_answer());
    runner.always(RpcType::HttpReqCall, asking.reply());
    let route = with(
        route("/*", nodes(&[&upstream])),
        json!({"id": "r1", "plugins": before("any", json!({}))}),
    );
    let gateway = runner.gateway().routes(routes([route])).start();
    gateway
        .get("/a%20b?b=%20")
        .host("H.test:80")
        .header("X-A", b"\xff")
        .send();
    let answers = runner.received_of(RpcType::ExtraInfo);
    let answers = answers.iter().map(|answer| {
        let answer: extra_info::Response<'_> = answer.decode().unwrap();
        answer
            .result
            .map(|result| result.escape_ascii().to_string())
    });
    let expected = [
        "127.0.0.1",
        "/a%20b?b=%20",
        "/a b",
        "b=%20",
        "h.test",
        "\\xff",
        "%20",
        "r1",
    ];
    let expected = expected
        .into_iter()
        .map(|value| Some(value.to_owned()))
        .chain([None]);
    assert_eq!(answers.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn plugins_run_in_their_order_around_the_gateways_own() {
    let upstream = Upstream::echo();
    let set = |name: &str, value: &str| plugin("header-rewrite", json!({"headers": {name: value}}));
    let plugins = json!({
        "ext-plugin-pre-req": external([set("X-Way", "first"), set("X-Way", "second"), set("X-Pre", "1")]),
        "proxy-rewrite": {"uri": "/rewritten", "headers": {"add": {"X-Way": "own"}, "set": {"X-Saw": "$http_x_pre"}}},
        "ext-plugin-post-req": external([set("X-Post", "2")]),
    });
    let gateway = demo_runner().routes(through(&upstream, plugins)).start();
    gateway.get("/a").send();
    let seen = upstream.last();
    assert_eq!(seen.uri, "/rewritten");
    assert_eq!(seen.headers.all("x-way"), ["second", "own"]);
    assert_eq!(seen.header("x-saw"), Some("1"));
    assert_eq!(seen.header("x-post"), Some("2"));
}

#[test]
fn the_later_phase_is_told_what_the_gateways_own_plugins_did() {
    let upstream = Upstream::echo();
    let runner = Scripted::start();
    let plugins = json!({
        "ext-plugin-pre-req": external([plugin("any", json!({}))]),
        "proxy-rewrite": {"uri": "/rewritten", "host": "inner.test", "headers": {"set": {"X-A": "b"}}},
        "ext-plugin-post-req": external([plugin("any", json!({}))]),
    });
    let gateway = runner.gateway().routes(through(&upstream, plugins)).start();
    gateway.get("/a").host("outer.test").send();
    let calls = runner.received_of(RpcType::HttpReqCall);
    let told = |call: &OwnedFrame| {
        let call: Request<'_> = call.decode().unwrap();
        let headers = Fields::from(call.headers);
        let get = |name| headers.get(name).unwrap_or_default().to_owned();
        (
            String::from_utf8(call.path.to_vec()).unwrap(),
            get("host"),
            get("x-a"),
        )
    };
    let expected = [("/a", "outer.test", ""), ("/rewritten", "inner.test", "b")];
    let expected = expected.map(|(path, host, a)| (path.to_owned(), host.to_owned(), a.to_owned()));
    assert_eq!(calls.iter().map(told).collect::<Vec<_>>(), expected);
}

#[test]
fn a_stop_before_keeps_the_later_phases_from_running() {
    let upstream = Upstream::echo();
    let runner = Scripted::deciding(Action::Stop(Stop {
        status: 403,
        ..Stop::default()
    }));
    let plugins = json!({
        "ext-plugin-pre-req": external([plugin("any", json!({}))]),
        "ext-plugin-post-req": external([plugin("any", json!({}))]),
    });
    let gateway = runner.gateway().routes(through(&upstream, plugins)).start();
    assert_eq!(gateway.get("/").send().status, 403);
    assert_eq!(runner.received_of(RpcType::HttpReqCall).len(), 1);
}

#[test]
fn a_configuration_is_prepared_once_and_again_when_it_changes() {
    let upstream = Upstream::echo();
    let runner = Scripted::start();
    let conf = |value: &str| through(&upstream, before("any", json!({"value": value})));
    let gateway = runner.gateway().routes(conf("one")).start();
    let client = gateway.client();
    let prepared = || -> Vec<String> {
        let prepared = runner.received_of(RpcType::PrepareConf);
        let values = prepared.iter().map(|frame| {
            let request: prepare_conf::Request<'_> = frame.decode().unwrap();
            let conf = Fields::from(request.conf);
            conf.get("any").unwrap_or_default().to_owned()
        });
        values.collect()
    };
    assert_eq!(
        together(8, |_| client.get("/hello").send().status),
        [200; 8]
    );
    assert_eq!(prepared(), ["{\"value\":\"one\"}"]);
    gateway.set_routes(conf("two"));
    assert_eq!(
        together(8, |_| client.get("/hello").send().status),
        [200; 8]
    );
    assert_eq!(prepared(), ["{\"value\":\"one\"}", "{\"value\":\"two\"}"]);
    // A change elsewhere is none here.
    let other = json!({"uri": "/other", "upstream": nodes(&[&upstream])});
    let mut routes = conf("two");
    routes["routes"].as_array_mut().unwrap().push(other);
    gateway.set_routes(routes);
    client.get("/hello").send();
    assert_eq!(prepared().len(), 2);
}

#[test]
fn a_lost_token_is_replaced_and_the_request_does_not_notice() {
    let upstream = Upstream::echo();
    let runner = Scripted::start();
    let gateway = runner
        .gateway()
        .routes(through(&upstream, before("any", json!({}))))
        .start();
    assert_eq!(gateway.get("/hello").send().status, 200);
    runner.forget_tokens();
    assert_eq!(gateway.get("/hello").send().status, 200);
    runner.next(RpcType::HttpReqCall, Answer::error(Code::ConfTokenNotFound));
    assert_eq!(gateway.get("/hello").send().status, 200);
    assert_eq!(runner.received_of(RpcType::PrepareConf).len(), 3);
}

#[test]
fn connections_to_the_runner_are_used_again() {
    let upstream = Upstream::echo();
    let runner = Scripted::start();
    let gateway = runner
        .gateway()
        .routes(through(&upstream, before("any", json!({}))))
        .start();
    for _ in 0..20 {
        gateway.get("/hello").send();
    }
    // One for the configuration, one for the calls, one to notice its end.
    assert_eq!(runner.history().connections, 3);
}

#[test]
fn calls_do_not_wait_for_each_other() {
    const CALLS: usize = 200;
    let upstream = Upstream::echo();
    let gateway = demo_runner()
        .routes(through(&upstream, before("wait", json!({"ms": 100}))))
        .start();
    let client = gateway.client();
    assert_eq!(client.get("/hello").send().status, 200);
    let begun = Instant::now();
    let statuses = together(CALLS, |_| client.get("/hello").send().status);
    let took = begun.elapsed();
    assert_eq!(statuses, [200; CALLS]);
    // One after the other they would take 20 s. A second is enough, and is
    // given again for a busy machine.
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_rewrite_that_changes_nothing_leaves_every_byte() {
    // What the Go runner does whose plugin has read the body: it sends it back.
    let upstream = Upstream::echo();
    let runner = Scripted::start();
    let same = |frame: &OwnedFrame| {
        let call: Request<'_> = frame.decode().unwrap();
        let rewrite = Rewrite {
            path: Some(call.path),
            headers: call.headers,
            args: call.args,
            ..Rewrite::default()
        };
        answer(frame, Action::Rewrite(rewrite))
    };
    runner.always(RpcType::HttpReqCall, Answer::new().reply_with(same));
    let gateway = runner
        .gateway()
        .routes(through(&upstream, before("any", json!({}))))
        .start();
    for target in ["/a%2Fb//c?x=%20+&y=", "/%7e?a=%31&b=2&a=3", "/?"] {
        let response = gateway
            .get(target)
            .header("X-Many", "1")
            .header("X-Many", "2")
            .send();
        assert_eq!(response.status, 200, "{target}: {response:?}");
        let seen = upstream.last();
        assert_eq!(seen.uri, target);
        assert_eq!(seen.headers.all("x-many"), ["1", "2"]);
    }
}
