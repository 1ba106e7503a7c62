//! Calls to a runner that hangs, dies, talks rubbish, or asks for what must
//! not be.

use std::time::{Duration, Instant};

use outrigger_a6::error::Code;
use outrigger_a6::extra_info::Info;
use outrigger_a6::http_req_call::{Action, Rewrite, Stop};
use outrigger_a6::{Entry, RpcType, http_req_call, prepare_conf};
use outrigger_harness::{Gateway, Traffic, Upstream, together};
use outrigger_testkit::{Answer, Gate, frame};
use serde_json::json;

use crate::policies::{assert_calls_fail, assert_failed, every_policy, every_policy_with};
use crate::runners::{Scripted, answer, decision, demo_runner, entry, gone};
use crate::support::{external, nodes, plugin, route, routes, with};

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
    // From the start: the gateway has configurations prepared ahead.
    runner.always(RpcType::PrepareConf, Answer::error(Code::BadRequest));
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
fn a_request_that_goes_on_without_the_runner_keeps_its_body() {
    let (runner, gateway, upstream) = scripted();
    for asking in [Answer::new(), Answer::new().ask(Info::ReqBody)] {
        runner.always(RpcType::HttpReqCall, asking.close());
        gateway.post("/lenient").body("whole").send();
        assert_eq!(upstream.last().body, b"whole");
        gateway.post("/lenient").chunked(["in ", "chunks"]).send();
        assert_eq!(upstream.last().body, b"in chunks");
    }
}

#[test]
fn a_body_that_does_not_fit_the_protocol_is_too_large_where_it_is_asked_for() {
    let (runner, gateway, upstream) = scripted();
    let body = vec![b'x'; 17 << 20];
    assert_eq!(gateway.post("/pre").body(body.clone()).send().status, 200);
    assert!(upstream.last().body == body, "nobody asked, so it streams");
    runner.always(
        RpcType::HttpReqCall,
        Answer::new().ask(Info::ReqBody).reply(),
    );
    let hits = upstream.hits();
    assert_eq!(gateway.post("/pre").body(body.clone()).send().status, 413);
    assert_eq!(
        gateway
            .post("/pre")
            .chunked(body.chunks(1 << 20))
            .send()
            .status,
        413
    );
    assert_eq!(upstream.hits(), hits);
    assert_eq!(gateway.post("/pre").body("x").send().status, 200);
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
