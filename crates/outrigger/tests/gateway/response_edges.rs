//! Responses that plugins see and that are not plain: in chunks with trailers, coded,
//! without a body, with several fields of one name.

use outrigger_a6::extra_info::{self, Info};
use outrigger_a6::{Entry, RpcType, http_resp_call};
use outrigger_harness::{Gateway, Upstream};
use outrigger_testkit::{Answer, Fields, frame};
use serde_json::json;

use crate::runners::{Scripted, entry, gone};
use crate::support::{external, nodes, plugin, route, routes, with};

/// An upstream that answers every request with these bytes.
fn answering(bytes: impl Into<Vec<u8>>) -> Upstream {
    let bytes = bytes.into();
    Upstream::raw(move |connection| {
        while connection.read_request().is_some() {
            if connection.try_write(&bytes).is_err() {
                return;
            }
        }
    })
}

/// A runner that asks this of every response, and a gateway to `upstream`.
fn through(upstream: &Upstream, ask: Answer) -> (Scripted, Gateway) {
    through_changing(upstream, ask, http_resp_call::Response::default())
}

/// One that changes it besides.
fn through_changing(
    upstream: &Upstream,
    ask: Answer,
    change: http_resp_call::Response<'static>,
) -> (Scripted, Gateway) {
    let runner = Scripted::start();
    let changing = ask.reply_with(move |call| {
        let call: http_resp_call::Request<'_> = call.decode().unwrap();
        frame(&http_resp_call::Response {
            id: call.id,
            ..change
        })
    });
    runner.always(RpcType::HttpRespCall, changing);
    let plugins =
        json!({"plugins": {"ext-plugin-post-resp": external([plugin("any", json!({}))])}});
    let route = with(route("/*", nodes(&[upstream])), plugins);
    let gateway = runner.gateway().routes(routes([route])).start();
    (runner, gateway)
}

fn answers(runner: &Scripted) -> Vec<Option<Vec<u8>>> {
    let answers = runner.received_of(RpcType::ExtraInfo);
    let answers = answers.iter().map(|answer| {
        let answer: extra_info::Response<'_> = answer.decode().unwrap();
        answer.result.map(<[u8]>::to_vec)
    });
    answers.collect()
}

const WITH_TRAILERS: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\
    ETag: \"v1\"\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 7\r\n\r\n";

/// gzip's bytes for `hello\n`.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xe7, 2, 0, 0x20, 0x30, 0x3a,
    0x36, 6, 0, 0, 0,
];

#[test]
fn chunks_and_trailers_pass_whether_the_body_is_asked_for_or_not() {
    let upstream = answering(WITH_TRAILERS);
    for (ask, told) in [
        (Answer::new(), vec![]),
        (
            Answer::new().ask(Info::RespBody),
            vec![Some(b"hello world".to_vec())],
        ),
    ] {
        let (runner, gateway) = through(&upstream, ask);
        let response = gateway.get("/").header("TE", "trailers").send();
        assert_eq!((response.status, response.text()), (200, "hello world"));
        assert_eq!(response.headers.all("transfer-encoding"), ["chunked"]);
        assert_eq!(response.trailers.get("x-sum"), Some("7"));
        assert_eq!(answers(&runner), told);
    }
}

#[test]
fn a_new_body_brings_its_length_and_no_trailers_of_the_old_one() {
    let upstream = answering(WITH_TRAILERS);
    let change = http_resp_call::Response {
        body: Some(b"another"),
        ..http_resp_call::Response::default()
    };
    for ask in [Answer::new(), Answer::new().ask(Info::RespBody)] {
        let (_runner, gateway) = through_changing(&upstream, ask, change);
        let response = gateway.get("/").header("TE", "trailers").send();
        assert_eq!(response.text(), "another");
        assert_eq!(response.headers.all("content-length"), ["7"]);
        for name in ["transfer-encoding", "trailer", "etag"] {
            assert_eq!(response.header(name), None, "{name}");
        }
        assert!(response.trailers.is_empty());
    }
}

#[test]
fn a_coded_body_is_told_and_passed_as_it_is() {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/plain\r\nETag: \"g\"\r\n\
         Digest: sha-256=x\r\nContent-Length: {}\r\n\r\n",
        GZIP.len()
    );
    let upstream = answering([head.as_bytes(), GZIP].concat());
    let (runner, gateway) = through(&upstream, Answer::new().ask(Info::RespBody));
    let response = gateway.get("/").header("Accept-Encoding", "gzip").send();
    assert_eq!(response.body, GZIP);
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert_eq!(response.header("etag"), Some("\"g\""));
    assert_eq!(answers(&runner), [Some(GZIP.to_vec())]);

    let change = http_resp_call::Response {
        body: Some(b"plain"),
        ..http_resp_call::Response::default()
    };
    let (_runner, gateway) = through_changing(&upstream, Answer::new(), change);
    let response = gateway.get("/").send();
    assert_eq!(response.text(), "plain");
    for name in ["content-encoding", "etag", "digest"] {
        assert_eq!(response.header(name), None, "{name}");
    }
    assert_eq!(response.header("content-type"), Some("text/plain"));

    const CODED: &[Entry<'_>] = &[entry("Content-Encoding", b"br"), entry("ETag", b"\"b\"")];
    let change = http_resp_call::Response {
        headers: CODED.into(),
        ..change
    };
    let (_runner, gateway) = through_changing(&upstream, Answer::new(), change);
    let response = gateway.get("/").send();
    assert_eq!(
        response.header("content-encoding"),
        Some("br"),
        "the runner set it"
    );
    assert_eq!(response.header("etag"), Some("\"b\""));
}

#[test]
fn a_304_that_becomes_another_status_has_no_length_that_is_not_there() {
    let upstream =
        answering("HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\nETag: \"v\"\r\n\r\n");
    let (_runner, gateway) = through(&upstream, Answer::new().ask(Info::RespBody));
    let mut connection = gateway.client().connection();
    let passed = connection.get("/").send();
    assert_eq!((passed.status, passed.header("etag")), (304, Some("\"v\"")));
    for body in [None, Some(&b"fresh"[..])] {
        let change = http_resp_call::Response {
            status: 200,
            body,
            ..http_resp_call::Response::default()
        };
        let (_runner, gateway) = through_changing(&upstream, Answer::new(), change);
        let mut connection = gateway.client().connection();
        for _ in 0..2 {
            let response = connection.get("/").send();
            assert_eq!(
                (response.status, &response.body[..]),
                (200, body.unwrap_or_default())
            );
        }
    }
}

#[test]
fn a_204_may_become_a_response_with_a_body_and_the_other_way_round() {
    let upstream = Upstream::echo();
    for (path, status, body, expected) in [
        (
            "/status/204",
            200,
            Some(&b"now there is"[..]),
            "now there is",
        ),
        ("/hello", 204, None, ""),
        ("/chunked", 204, Some(b"lost"), ""),
        ("/hello", 304, None, ""),
    ] {
        let change = http_resp_call::Response {
            status,
            body,
            ..http_resp_call::Response::default()
        };
        let (_runner, gateway) = through_changing(&upstream, Answer::new(), change);
        let mut connection = gateway.client().connection();
        for _ in 0..2 {
            let response = connection.get(path).send();
            assert_eq!(
                (response.status, response.text()),
                (status, expected),
                "{path}"
            );
        }
    }
}

#[test]
fn every_field_of_a_name_is_told_and_may_be_replaced_or_removed_together() {
    const NO_COOKIES: &[Entry<'_>] = &[gone("SET-COOKIE")];
    let upstream = Upstream::echo();
    let (runner, gateway) = through(&upstream, Answer::new());
    let cookies = gateway.get("/multi").send();
    assert_eq!(cookies.headers.all("set-cookie"), ["a=1", "b=2"]);
    let calls = runner.received_of(RpcType::HttpRespCall);
    let call: http_resp_call::Request<'_> = calls[0].decode().unwrap();
    assert_eq!(
        Fields::from(call.headers).get_all("set-cookie"),
        ["a=1", "b=2"]
    );

    let change = http_resp_call::Response {
        headers: NO_COOKIES.into(),
        ..http_resp_call::Response::default()
    };
    let (_runner, gateway) = through_changing(&upstream, Answer::new(), change);
    let without = gateway.get("/multi").send();
    assert!(without.headers.all("set-cookie").is_empty());
    assert_eq!(without.header("etag"), Some("\"v1\""));
}

#[test]
fn what_was_asked_for_is_told_of_the_request_too() {
    let upstream = Upstream::echo();
    let ask = Answer::new()
        .ask(Info::Var(b"http_x_a"))
        .ask(Info::Var(b"request_method"))
        .ask(Info::Var(b"arg_q"))
        .ask(Info::ReqBody);
    let (runner, gateway) = through(&upstream, ask);
    gateway
        .post("/echo?q=7")
        .header("X-A", "b")
        .body("sent")
        .send();
    let told = ["b", "POST", "7", "sent"].map(|text| Some(text.as_bytes().to_vec()));
    assert_eq!(answers(&runner), told);
}

#[test]
fn an_upstream_that_breaks_off_while_its_body_is_asked_for_is_the_upstreams_fault() {
    let broken = Upstream::raw(|connection| {
        connection.read_request();
        connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
    });
    let (_runner, gateway) = through(&broken, Answer::new().ask(Info::RespBody));
    assert_eq!(gateway.get("/").send().status, 502);
}
