use super::*;
use crate::ext_plugin::decision::Stop as Stopping;
use http::{Request, request};
use outrigger_engine::body::{Body, BodyMemory};
use outrigger_engine::exchange::Client;
use outrigger_engine::worker::Worker;
use outrigger_host::a6::Entry;
use outrigger_host::a6::http_req_call::{Action, Response as Answer, Rewrite as WireRewrite, Stop};
use std::rc::Rc;

fn exchange(request: request::Builder) -> Exchange {
    let (peer, local) = (
        "127.0.0.1:5000".parse().unwrap(),
        "127.0.0.1:80".parse().unwrap(),
    );
    let (head, ()) = request
        .header("host", "a.test")
        .body(())
        .unwrap()
        .into_parts();
    let client = Rc::new(Client::new(peer, local, "http", 1, false));
    Exchange::new(client, Worker::new(), head, Body::Empty).unwrap()
}

fn entry<'a>(name: &'a str, value: impl Into<Option<&'a str>>) -> Entry<'a> {
    Entry {
        name: name.as_bytes(),
        value: value.into().map(str::as_bytes),
    }
}

fn read(exchange: &Exchange, action: Option<Action<'_>>) -> Result<Decision, BadAnswer> {
    Decision::read(&Answer { id: 1, action }, exchange)
}

fn rewrite(exchange: &mut Exchange, rewrite: WireRewrite<'_>) -> Result<(), BadAnswer> {
    match read(exchange, Some(Action::Rewrite(rewrite)))? {
        Decision::Rewrite(rewrite) => rewrite.apply(exchange),
        other => panic!("{other:?}"),
    }
    Ok(())
}

fn rewrite_headers(exchange: &mut Exchange, headers: &[Entry<'_>]) -> Result<(), BadAnswer> {
    rewrite(
        exchange,
        WireRewrite {
            headers: headers.into(),
            ..WireRewrite::default()
        },
    )
}

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.get_all(name).iter().map(text).collect()
}

fn sent(exchange: &Exchange) -> String {
    exchange.target.for_upstream().unwrap().to_string()
}

#[test]
fn an_answer_without_action_goes_on() {
    let exchange = exchange(Request::get("/"));
    assert!(matches!(read(&exchange, None), Ok(Decision::Continue)));
}

#[tokio::test]
async fn stop_answers_the_client() {
    let exchange = exchange(Request::get("/"));
    let headers = [
        entry("set-cookie", "a=1"),
        entry("Set-Cookie", "b=2"),
        entry("x-y", "\u{fc}"),
    ];
    let stop = Stop {
        status: 418,
        headers: (&headers[..]).into(),
        body: b"teapot",
    };
    let Ok(Decision::Stop(Stopping { mut response, .. })) =
        read(&exchange, Some(Action::Stop(stop)))
    else {
        panic!()
    };
    assert_eq!(response.status, 418);
    assert_eq!(values(&response.headers, "set-cookie"), ["a=1", "b=2"]);
    assert_eq!(
        response
            .body
            .buffer(10, &BodyMemory::new(10))
            .await
            .unwrap(),
        "teapot"
    );
}

#[test]
fn stop_with_status_0_is_200_and_an_empty_body_is_empty() {
    let exchange = exchange(Request::get("/"));
    let Ok(Decision::Stop(Stopping { response, .. })) =
        read(&exchange, Some(Action::Stop(Stop::default())))
    else {
        panic!()
    };
    assert_eq!(response.status, 200);
    assert!(response.body.is_empty());
}

#[test]
fn a_status_that_ends_no_request_is_bad() {
    let exchange = exchange(Request::get("/"));
    for status in [1, 99, 100, 101, 1000, u16::MAX] {
        let stop = Stop {
            status,
            ..Stop::default()
        };
        let answer = read(&exchange, Some(Action::Stop(stop)));
        assert_eq!(answer.unwrap_err(), BadAnswer::Status(status));
    }
}

#[test]
fn no_value_deletes_the_first_replaces_and_further_ones_append() {
    let request = Request::get("/")
        .header("x-a", "0")
        .header("x-b", "0")
        .header("x-b", "1");
    let mut exchange = exchange(request);
    let edits = [
        entry("X-B", "new"),
        entry("x-a", None),
        entry("x-b", "two"),
        entry("x-c", "c"),
    ];
    rewrite_headers(&mut exchange, &edits).unwrap();
    assert_eq!(values(&exchange.headers, "x-a"), [""; 0]);
    assert_eq!(values(&exchange.headers, "x-b"), ["new", "two"]);
    assert_eq!(values(&exchange.headers, "x-c"), ["c"]);
}

#[test]
fn the_path_is_encoded_and_the_query_stays() {
    let mut exchange = exchange(Request::get("/a?x=%41"));
    rewrite(
        &mut exchange,
        WireRewrite {
            path: Some(b"/b?c d"),
            ..WireRewrite::default()
        },
    )
    .unwrap();
    assert_eq!(sent(&exchange), "/b%3Fc%20d?x=%41");
}

#[test]
fn arguments_change_one_by_one() {
    let mut exchange = exchange(Request::get("/a?x=%41&y=1&z"));
    let args = [
        entry("y", "2"),
        entry("y", "3 4"),
        entry("z", None),
        entry("n", ""),
    ];
    rewrite(
        &mut exchange,
        WireRewrite {
            args: (&args[..]).into(),
            ..WireRewrite::default()
        },
    )
    .unwrap();
    assert_eq!(sent(&exchange), "/a?x=%41&y=2&y=3%204&n=");
}

#[test]
fn a_rewrite_equal_to_the_original_changes_nothing() {
    let request = Request::get("/a%2Fb//c?x=+&&y&z=1&x=%7e&z=2")
        .header("content-length", "0")
        .header("x-a", "1");
    let mut exchange = exchange(request);
    let before = (sent(&exchange), exchange.headers.clone());
    let headers = [
        entry("content-length", "0"),
        entry("x-a", "1"),
        entry("host", "a.test"),
    ];
    let args = [
        entry("x", " "),
        entry("z", "1"),
        entry("x", "~"),
        entry("z", "2"),
        entry("absent", None),
    ];
    let same = WireRewrite {
        path: Some(b"/a/b/c"),
        headers: (&headers[..]).into(),
        args: (&args[..]).into(),
        ..WireRewrite::default()
    };
    rewrite(&mut exchange, same).unwrap();
    assert_eq!((sent(&exchange), exchange.headers), before);
}

#[test]
fn a_new_body_has_its_length() {
    let mut exchange = exchange(Request::post("/").header("content-length", "3"));
    rewrite(
        &mut exchange,
        WireRewrite {
            body: Some(b"longer"),
            ..WireRewrite::default()
        },
    )
    .unwrap();
    assert_eq!(values(&exchange.headers, "content-length"), ["6"]);
    rewrite(
        &mut exchange,
        WireRewrite {
            body: Some(b""),
            ..WireRewrite::default()
        },
    )
    .unwrap();
    assert_eq!(values(&exchange.headers, "content-length"), ["0"]);
}

#[test]
fn response_headers_wait_for_the_response_but_for_those_that_are_not_the_runners() {
    let mut exchange = exchange(Request::get("/"));
    let headers = [
        entry("x-a", "1"),
        entry("x-a", "2"),
        entry("Content-Type", "x"),
        entry("location", "/"),
        entry("server", "x"),
        entry("content-length", "9"),
    ];
    let answer = WireRewrite {
        resp_headers: (&headers[..]).into(),
        ..WireRewrite::default()
    };
    rewrite(&mut exchange, answer).unwrap();
    let mut response = HeaderMap::new();
    response.insert("x-a", HeaderValue::from_static("0"));
    exchange
        .response_edits
        .into_iter()
        .for_each(|edit| edit.apply(&mut response));
    assert_eq!(values(&response, "x-a"), ["1", "2"]);
    assert_eq!(response.len(), 2);
}

#[test]
fn what_would_break_framing_fails_the_call_and_changes_nothing() {
    let mut exchange = exchange(Request::get("/a").header("x-a", "1"));
    let before = exchange.headers.clone();
    for edit in [
        entry("content-length", "5"),
        entry("transfer-encoding", "chunked"),
        entry("connection", "close"),
        entry("upgrade", "websocket"),
        entry("te", "trailers"),
        entry("trailer", "x"),
        entry("keep-alive", "1"),
        entry("proxy-authorization", "x"),
        entry("x y", "1"),
        entry("", "1"),
        entry("x-a", "1\r\nx-b: 2"),
        entry("x-a", "\0"),
        entry("host", None),
        entry("host", "a/b"),
    ] {
        let answer = rewrite_headers(&mut exchange, &[entry("x-new", "1"), edit]);
        assert!(answer.is_err(), "{edit:?}");
    }
    for path in [&b"no-slash"[..], b"", b"/a\r\nb", b"/a\0"] {
        let answer = WireRewrite {
            path: Some(path),
            ..WireRewrite::default()
        };
        assert_eq!(rewrite(&mut exchange, answer), Err(BadAnswer::Path));
    }
    let many = vec![entry("x", "1"); MAX_ENTRIES + 1];
    assert_eq!(
        rewrite_headers(&mut exchange, &many),
        Err(BadAnswer::TooManyEntries)
    );
    assert_eq!(exchange.headers, before);
    assert_eq!(sent(&exchange), "/a");
}
