//! Plugins in a runner that is not there, does not listen, hangs, dies, talks
//! rubbish, or asks for what must not be.

use std::time::{Duration, Instant};

use outrigger_a6::error::Code;
use outrigger_a6::extra_info::Info;
use outrigger_a6::http_req_call::{Action, Rewrite, Stop};
use outrigger_a6::{Entry, RpcType, http_req_call, prepare_conf};
use outrigger_harness::{Gateway, Response, Traffic, Upstream, together};
use outrigger_testkit::{Answer, Gate, frame};
use serde_json::{Value, json};

use crate::runners::{Scripted, answer, decision, demo_runner, entry, gone};
use crate::support::{OUTRIGGER, error_msg, external, gateway, nodes, plugin, route, routes, with};

/// Routes to `upstream`: `/pre` and `/post` call the runner before and after
/// the gateway's own plugins, `/lenient` does without it where it fails, and
/// `/plain` has no plugin.
fn every_policy(upstream: &Upstream) -> Value {
    every_policy_with(upstream, plugin("any", json!({})))
}

fn every_policy_with(upstream: &Upstream, plugin: Value) -> Value {
    let to = |uri: &str, plugins: Value| {
        with(route(uri, nodes(&[upstream])), json!({"plugins": plugins}))
    };
    let call = external([plugin]);
    let lenient = with(call.clone(), json!({"allow_degradation": true}));
    routes([
        to("/pre", json!({"ext-plugin-pre-req": call})),
        to("/post", json!({"ext-plugin-post-req": call})),
        to("/lenient", json!({"ext-plugin-pre-req": lenient})),
        to("/plain", json!({})),
    ])
}

#[track_caller]
fn assert_failed(response: &Response, phase: &str, kind: &str) {
    let expected = format!("503 Service Unavailable: {phase}: {kind}");
    assert_eq!((response.status, error_msg(response)), (503, expected));
}

/// Makes sure that calls fail with this kind, that the upstream is not asked
/// then, and that whoever does not insist on the call is served.
#[track_caller]
fn assert_calls_fail(gateway: &Gateway, upstream: &Upstream, kind: &str) {
    let hits = upstream.hits();
    assert_failed(&gateway.get("/pre").send(), "ext-plugin-pre-req", kind);
    assert_failed(
        &gateway.post("/post").body("x").send(),
        "ext-plugin-post-req",
        kind,
    );
    assert_eq!(upstream.hits(), hits, "the upstream was asked");
    assert_eq!(gateway.get("/plain").send().status, 200);
    assert_eq!(gateway.get("/lenient").send().status, 200);
}

/// A gateway whose runner is started by these words, with a short time to
/// connect.
fn started_by(cmd: &Value, upstream: &Upstream) -> Gateway {
    let runner = json!({"cmd": cmd, "timeout": {"connect": 200}});
    gateway()
        .config(json!({"ext-plugin": runner}))
        .routes(every_policy(upstream))
        .start()
}

#[test]
fn a_runner_that_cannot_be_started_is_named_with_the_error_and_the_remedy() {
    let upstream = Upstream::echo();
    for (cmd, error, remedy) in [
        (
            json!(["./no-such-runner", "run"]),
            "no-such-runner\": there is no such file",
            "correct `cmd`",
        ),
        (
            json!(["no-such-runner"]),
            "\"no-such-runner\": there is no such file in",
            "install it",
        ),
        (
            json!(["./config.yaml"]),
            "config.yaml\": it is not executable",
            "chmod +x",
        ),
        (
            json!(["/"]),
            "\"/\": it is not a regular file",
            "let `cmd` name the program itself",
        ),
    ] {
        let gateway = started_by(&cmd, &upstream);
        let line = gateway.wait_log("cannot start");
        assert!(line.contains("ERROR"), "{line}");
        assert!(line.contains(error), "{line}");
        assert!(line.contains(remedy), "{line}");
        assert!(line.contains("runner=\"default\""), "{line}");
        assert_calls_fail(&gateway, &upstream, "unavailable");
        assert!(gateway.runners().is_empty());
    }
}

#[test]
fn a_runner_that_can_be_started_later_is() {
    let upstream = Upstream::echo();
    let gateway = started_by(&json!(["sh", "./later.sh"]), &upstream);
    gateway.wait_log("exited");
    assert_calls_fail(&gateway, &upstream, "unavailable");
    let script = format!("exec '{OUTRIGGER}' demo-runner\n");
    std::fs::write(gateway.folder().join("later.sh"), script).unwrap();
    gateway.wait_log("listens on");
    let response = gateway.get("/pre").send();
    assert_failed(&response, "ext-plugin-pre-req", "refused");
}

#[test]
fn a_runner_that_does_not_listen_is_unavailable() {
    let upstream = Upstream::echo();
    let gateway = started_by(&json!(["sleep", "600"]), &upstream);
    assert_calls_fail(&gateway, &upstream, "unavailable");
    let line = gateway.wait_log("does not listen after");
    assert!(line.contains("APISIX_LISTEN_ADDRESS=unix:/"), "{line}");
}

#[test]
fn a_runner_that_exits_at_once_is_unavailable() {
    let upstream = Upstream::echo();
    let gateway = started_by(
        &json!(["sh", "-c", "echo no licence >&2; exit 7"]),
        &upstream,
    );
    assert_calls_fail(&gateway, &upstream, "unavailable");
    gateway.wait_log("no licence");
    gateway.wait_log("status 7");
    gateway.wait_log("a new process follows in");
}

#[test]
fn without_a_runner_calls_are_unavailable() {
    let upstream = Upstream::echo();
    let gateway = gateway().routes(every_policy(&upstream)).start();
    assert_calls_fail(&gateway, &upstream, "unavailable");
    gateway.wait_log("set ext-plugin.cmd or ext-plugin.path_for_test in config.yaml");
}

#[test]
fn nobody_at_path_for_test_is_unavailable_until_there_is_somebody() {
    let upstream = Upstream::echo();
    let runner = Scripted::start();
    let elsewhere = runner.path().with_extension("later");
    let settings = json!({"path_for_test": elsewhere, "timeout": {"connect": 200}});
    let gateway = gateway()
        .config(json!({"ext-plugin": settings}))
        .routes(every_policy(&upstream))
        .start();
    assert_calls_fail(&gateway, &upstream, "unavailable");
    std::fs::hard_link(runner.path(), &elsewhere).unwrap();
    assert_eq!(gateway.get("/pre").send().status, 200);
}

/// A scripted runner, a gateway that calls it, and their upstream, after a
/// first request that went well.
fn scripted() -> (Scripted, Gateway, Upstream) {
    let (runner, upstream) = (Scripted::start(), Upstream::echo());
    let gateway = runner.gateway().routes(every_policy(&upstream)).start();
    for path in ["/pre", "/post", "/lenient", "/plain"] {
        assert_eq!(gateway.get(path).send().status, 200, "{path}");
    }
    (runner, gateway, upstream)
}

#[test]
fn a_call_that_is_answered_badly_fails_and_the_next_one_works() {
    let (runner, gateway, upstream) = scripted();
    let stop = || Action::Stop(Stop::default());
    let other_id = Answer::new().reply_with(move |_| {
        frame(&http_req_call::Response {
            id: 0xffff_fff0,
            action: Some(stop()),
        })
    });
    let half = Answer::new().reply_with(move |call| {
        let mut frame = answer(call, stop());
        frame.truncate(frame.len() - 1);
        frame
    });
    let garbled = Answer::new().reply_with(move |call| {
        let mut frame = answer(call, stop());
        frame[4..].fill(0xff);
        frame
    });
    for (what, answer, kind) in [
        ("closes", Answer::new().close(), "closed"),
        ("says half of it", half.close(), "closed"),
        (
            "says half a header",
            Answer::new().send_bytes([2, 0]).close(),
            "closed",
        ),
        (
            "refuses",
            Answer::error(Code::ServiceUnavailable),
            "refused",
        ),
        ("finds fault", Answer::error(Code::BadRequest), "refused"),
        (
            "says rubbish",
            Answer::new().send_bytes(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
            "malformed",
        ),
        (
            "says nothing in a frame",
            Answer::new().send_bytes([2, 0, 0, 0]),
            "malformed",
        ),
        ("says a frame of rubbish", garbled, "malformed"),
        ("says another type", Answer::token(7), "malformed"),
        ("answers another call", other_id, "malformed"),
        (
            "loses every token",
            Answer::error(Code::ConfTokenNotFound),
            "token-lost",
        ),
    ] {
        runner.always(RpcType::HttpReqCall, answer);
        assert_calls_fail(&gateway, &upstream, kind);
        runner.always(RpcType::HttpReqCall, Answer::sane());
        for path in ["/pre", "/post", "/lenient"] {
            let response = gateway.get(path).send();
            assert_eq!(
                response.status, 200,
                "{path} after one that {what}: {response:?}"
            );
        }
    }
}

#[test]
fn a_configuration_that_is_not_taken_fails_the_call() {
    let (runner, upstream) = (Scripted::start(), Upstream::echo());
    let gateway = runner.gateway().routes(every_policy(&upstream)).start();
    for (answer, kind) in [
        (Answer::error(Code::BadRequest), "refused"),
        (Answer::new().close(), "closed"),
        (Answer::new().send_bytes([9, 0, 0, 0]), "malformed"),
        (
            Answer::message(&http_req_call::Response::default()),
            "malformed",
        ),
    ] {
        runner.always(RpcType::PrepareConf, answer);
        assert_calls_fail(&gateway, &upstream, kind);
    }
    runner.always(RpcType::PrepareConf, Answer::sane());
    assert_eq!(gateway.get("/pre").send().status, 200);
}

#[test]
fn what_a_plugin_of_the_demo_runner_refuses_is_refused() {
    let upstream = Upstream::echo();
    for unusable in [
        plugin("no-such-plugin", json!({})),
        plugin("say", json!({"body": 7})),
    ] {
        let gateway = demo_runner()
            .routes(every_policy_with(&upstream, unusable))
            .start();
        assert_calls_fail(&gateway, &upstream, "refused");
    }
}

#[test]
fn an_answer_that_does_not_come_is_a_timeout() {
    let (runner, upstream) = (Scripted::start(), Upstream::echo());
    let mut routes = every_policy(&upstream);
    for route in routes["routes"].as_array_mut().unwrap() {
        for plugin in route["plugins"].as_object_mut().unwrap().values_mut() {
            plugin["timeout"] = json!(150);
        }
    }
    let gateway = runner.gateway().routes(routes).start();
    assert_eq!(gateway.get("/pre").send().status, 200);
    runner.always(RpcType::HttpReqCall, Answer::new().silence());
    assert_calls_fail(&gateway, &upstream, "timeout");
    let asking = Answer::new().ask(Info::Var(b"uri")).silence();
    runner.always(RpcType::HttpReqCall, asking);
    assert_calls_fail(&gateway, &upstream, "timeout");
    runner.always(RpcType::HttpReqCall, Answer::sane());
    assert_eq!(gateway.get("/pre").send().status, 200);
}

#[test]
fn an_answer_that_comes_too_late_is_nobodys() {
    let (runner, upstream) = (Scripted::start(), Upstream::echo());
    let call = with(
        external([plugin("any", json!({}))]),
        json!({"timeout": 150}),
    );
    let route = with(
        route("/pre", nodes(&[&upstream])),
        json!({"plugins": {"ext-plugin-pre-req": call}}),
    );
    let gateway = runner.gateway().routes(routes([route])).start();
    let gate = Gate::new();
    let late = Answer::new().wait_for(&gate).reply_with(|call| {
        answer(
            call,
            Action::Stop(Stop {
                status: 418,
                ..Stop::default()
            }),
        )
    });
    runner.next(RpcType::HttpReqCall, late);
    assert_failed(&gateway.get("/pre").send(), "ext-plugin-pre-req", "timeout");
    gate.open();
    for _ in 0..5 {
        assert_eq!(gateway.get("/pre").send().status, 200);
    }
}

#[test]
fn a_surplus_frame_is_nobodys_answer() {
    let (runner, gateway, _upstream) = scripted();
    let twice = Answer::new().reply().reply_with(|call| {
        answer(
            call,
            Action::Stop(Stop {
                status: 418,
                ..Stop::default()
            }),
        )
    });
    runner.always(RpcType::HttpReqCall, twice);
    for _ in 0..20 {
        let response = gateway.get("/pre").send();
        assert_eq!(response.status, 200, "{response:?}");
    }
}

#[test]
fn a_configuration_answered_twice_is_taken_once() {
    let (runner, upstream) = (Scripted::start(), Upstream::echo());
    runner.always(RpcType::PrepareConf, Answer::new().reply().reply());
    let gateway = runner.gateway().routes(every_policy(&upstream)).start();
    for _ in 0..3 {
        assert_eq!(gateway.get("/pre").send().status, 200);
    }
}

#[test]
fn an_answer_in_crumbs_is_an_answer() {
    let (runner, gateway, _upstream) = scripted();
    runner.always(
        RpcType::HttpReqCall,
        Answer::new().byte_by_byte().ask(Info::ReqBody).reply(),
    );
    assert_eq!(gateway.post("/pre").body("x").send().status, 200);
}

#[test]
fn a_rewrite_that_would_break_the_message_never_reaches_the_wire() {
    const HEADERS: [&[Entry<'_>]; 14] = [
        &[entry("X-A", b"b\r\nX-Evil: 1")],
        &[entry("X-A", b"b\nX-Evil: 1")],
        &[entry("X-A", b"b\0c")],
        &[entry("X A", b"b")],
        &[entry("X-A:", b"b")],
        &[entry("X-A\r\nX-Evil", b"b")],
        &[entry("", b"b")],
        &[entry("Content-Length", b"0")],
        &[entry("Transfer-Encoding", b"chunked")],
        &[entry("Connection", b"close")],
        &[entry("Upgrade", b"websocket")],
        &[entry("TE", b"trailers")],
        &[entry("host", b"a b")],
        &[gone("host")],
    ];
    const PATHS: [&[u8]; 4] = [b"/a\r\nX-Evil: 1", b"/a\nb", b"/a\0", b"a"];
    let headers = HEADERS.map(|headers| Rewrite {
        headers: headers.into(),
        ..Rewrite::default()
    });
    let paths = PATHS.map(|path| Rewrite {
        path: Some(path),
        ..Rewrite::default()
    });
    let (runner, gateway, upstream) = scripted();
    for rewrite in headers.into_iter().chain(paths) {
        runner.always(RpcType::HttpReqCall, decision(Action::Rewrite(rewrite)));
        assert_calls_fail(&gateway, &upstream, "malformed");
    }
}

#[test]
fn an_answer_that_would_break_the_message_never_reaches_the_client() {
    const HEADERS: [&[Entry<'_>]; 5] = [
        &[entry("X-A", b"b\r\nX-Evil: 1")],
        &[entry("X A", b"b")],
        &[entry("Content-Length", b"0")],
        &[entry("Transfer-Encoding", b"chunked")],
        &[entry("Connection", b"close")],
    ];
    let headers = HEADERS.map(|headers| Stop {
        headers: headers.into(),
        ..Stop::default()
    });
    let statuses = [1, 99, 100, 101, 1000].map(|status| Stop {
        status,
        ..Stop::default()
    });
    let (runner, gateway, upstream) = scripted();
    for stop in headers.into_iter().chain(statuses) {
        runner.always(RpcType::HttpReqCall, decision(Action::Stop(stop)));
        assert_calls_fail(&gateway, &upstream, "malformed");
    }
}

#[test]
fn a_method_that_the_protocol_lacks_is_a_failed_call() {
    let (runner, gateway, upstream) = scripted();
    let (calls, hits) = (
        runner.received_of(RpcType::HttpReqCall).len(),
        upstream.hits(),
    );
    let response = gateway.request("PURGE", "/pre").send();
    let kind = "method not supported by the protocol";
    assert_failed(&response, "ext-plugin-pre-req", kind);
    assert_eq!(upstream.hits(), hits);
    assert_eq!(gateway.request("PURGE", "/lenient").send().status, 200);
    assert_eq!(upstream.last().method, "PURGE");
    assert_eq!(runner.received_of(RpcType::HttpReqCall).len(), calls);
}

#[test]
fn a_clients_fault_is_not_made_good_by_leniency() {
    let (runner, upstream) = (Scripted::start(), Upstream::echo());
    runner.always(
        RpcType::HttpReqCall,
        Answer::new().ask(Info::ReqBody).reply(),
    );
    let gateway = runner
        .gateway()
        .config("nginx_config: {http: {client_max_body_size: 1k, client_body_timeout: 300ms}}")
        .routes(every_policy(&upstream))
        .start();
    let chunks = [&[b'x'; 700][..], &[b'x'; 700]];
    for path in ["/pre", "/lenient"] {
        assert_eq!(
            gateway.post(path).chunked(chunks).send().status,
            413,
            "{path}"
        );
        for (rest, status) in [
            ("Content-Length: 10\r\n\r\nhalf", 408),
            ("Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        ] {
            let mut connection = gateway.client().connection();
            connection.write(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{rest}").as_bytes());
            assert_eq!(
                connection.read_response("POST").status,
                status,
                "{path} {rest}"
            );
        }
    }
    assert_eq!(upstream.hits(), 0);
}

#[test]
fn a_hanging_runner_does_not_hold_up_other_routes() {
    let (runner, gateway, _upstream) = scripted();
    let gate = Gate::new();
    runner.always(RpcType::HttpReqCall, Answer::new().wait_for(&gate).reply());
    std::thread::scope(|scope| {
        let stuck = scope.spawn(|| {
            let client = gateway.client();
            together(50, |_| client.get("/pre").send().status)
        });
        let traffic = Traffic::start(gateway.client(), "/plain", 2);
        let begun = Instant::now();
        traffic.wait_more(100);
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
        assert!(!stuck.is_finished());
        let tally = traffic.stop();
        assert!(tally.only(200), "{tally:?}");
        gate.open();
        assert_eq!(stuck.join().unwrap(), [200; 50]);
    });
}

#[test]
fn a_failed_call_is_told_with_route_and_reason_but_without_secrets() {
    const SECRET: &str = "s3cr3t-value";
    let (runner, upstream) = (Scripted::start(), Upstream::echo());
    let call = external([plugin("any", json!({"password": SECRET}))]);
    let route = with(
        route("/*", nodes(&[&upstream])),
        json!({"id": "r7", "plugins": {"ext-plugin-pre-req": call}}),
    );
    let gateway = runner.gateway().routes(routes([route])).start();
    runner.next(
        RpcType::HttpReqCall,
        Answer::error(Code::ServiceUnavailable),
    );
    gateway.get("/").header("Authorization", SECRET).send();
    let line = gateway.wait_log("a call to the runner failed");
    for part in [
        "WARN",
        "ext-plugin-pre-req",
        "runner=\"default\"",
        "route r7",
        "SERVICE_UNAVAILABLE",
    ] {
        assert!(line.contains(part), "{part} is missing in: {line}");
    }
    let prepared = runner.received_of(RpcType::PrepareConf);
    let prepared: prepare_conf::Request<'_> = prepared[0].decode().unwrap();
    let sent = prepared.conf.iter().next().unwrap().value.unwrap();
    assert!(
        String::from_utf8_lossy(sent).contains(SECRET),
        "the runner is told"
    );
    assert_eq!(gateway.log().containing(SECRET), Vec::<String>::new());
}
