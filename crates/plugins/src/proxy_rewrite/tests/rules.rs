//! What the recordings do not show.

use http::{Method, Request, header};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::headers::HeaderEdit;
use serde_json::{Value, json};

use super::{Gateway, get, receive, sent_headers, sent_target};

fn headers(conf: Value, target: &str, sent: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut request = get(target);
    for (name, value) in sent {
        request = request.header(*name, *value);
    }
    sent_headers(&Gateway::new(conf).pass(request, "").unwrap())
}

fn fields(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn an_untouched_target_stays_byte_for_byte() {
    for conf in [
        json!({"host": "a.test", "method": "PUT", "headers": {"X-A": "$uri"}}),
        json!({"regex_uri": ["^/none", "/x"]}),
    ] {
        let gateway = Gateway::new(conf);
        for target in ["/a%2Fb/../c%20d?x=%41", "//a//b?", "/x?a=%&&="] {
            assert_eq!(gateway.get(target), target);
        }
    }
}

#[test]
fn a_path_that_means_the_same_is_written_as_configured() {
    let gateway = Gateway::new(json!({"uri": "/fixed"}));
    assert_eq!(gateway.get("/x/%2e%2e/%66ixed"), "/fixed");
    let gateway = Gateway::new(json!({"regex_uri": ["^/a/(.*)$", "/a/$1"]}));
    assert_eq!(gateway.get("/a//%62?c"), "/a/b?c");
}

#[test]
fn later_plugins_see_the_new_path() {
    let pass = |conf| Gateway::new(conf).pass(get("/a?x=1"), "").unwrap();
    let path = |exchange: &Exchange| exchange.target.path().to_vec();
    let fixed = pass(json!({"uri": "/new path?y=2"}));
    assert_eq!(path(&fixed), b"/new path");
    assert_eq!(fixed.target.original(), "/a?x=1");
    let real = pass(json!({"uri": "/new%20path", "use_real_request_uri_unsafe": true}));
    assert_eq!(path(&real), b"/new path");
}

#[test]
fn texts_are_encoded_once() {
    for (uri, target, sent) in [
        ("/a b%20c", "/", "/a%20b%2520c"),
        ("/x?q=a b%20c#d", "/", "/x?q=a%20b%20c%23d"),
        ("/x?q=$arg_q", "/?q=a%3Fb", "/x?q=a%3Fb&q=a%3Fb"),
        ("/x?q=$arg_q", "/?q=a?b", "/x?q=a%3Fb&q=a?b"),
        ("/x?path=$uri", "/a%20%23", "/x?path=/a%20%23"),
        ("/x$request_uri", "/a?b", "/x/a%3Fb?b"),
        ("/x?", "/", "/x?"),
        ("/x?", "/?a", "/x?a"),
        ("/x?a?b", "/", "/x?a?b"),
    ] {
        assert_eq!(
            Gateway::new(json!({"uri": uri})).get(target),
            sent,
            "{uri} {target}"
        );
    }
}

#[test]
fn what_stands_around_the_match_stays() {
    for (pair, target, sent) in [
        (["/old", "/new"], "/a/old/b", "/a/new/b"),
        (["/old", "/$0"], "/a/old", "/a//old"),
        (["^/(.*)$", "$1"], "/a%20b", "/a%20b"),
        (["^.*$", ""], "/a", "/"),
        (["^/a", "/costs$$5"], "/a", "/costs$5"),
        (["^/(a)(b)?", "/$2$1$9"], "/a", "/a"),
        (["^/(?<name>.)", "/x$1"], "/a", "/xa"),
        (["^/.(.)", "/$1"], "/%C3%BC", "/%BC"),
        (["(?i)^/A", "/x"], "/a", "/x"),
    ] {
        let gateway = Gateway::new(json!({"regex_uri": pair}));
        assert_eq!(gateway.get(target), sent, "{pair:?} {target}");
    }
}

#[test]
fn what_a_group_matched_stays_what_it_is_in_a_query() {
    let gateway = Gateway::new(json!({"regex_uri": ["^/find/([^/]*)", "/f?q=$1&all"]}));
    for (target, sent) in [
        ("/find/a", "/f?q=a&all"),
        ("/find/a?x=1", "/f?q=a&all&x=1"),
        ("/find/a%3Fb%20c%2541", "/f?q=a%3Fb%20c%2541&all"),
        ("/find/a/rest", "/f?q=a&all/rest"),
    ] {
        assert_eq!(gateway.get(target), sent, "{target}");
    }
}

#[test]
fn the_real_request_uri_is_taken_as_it_is() {
    let real = |mut conf: Value| {
        conf["use_real_request_uri_unsafe"] = true.into();
        Gateway::new(conf)
    };
    let pairs = real(json!({"regex_uri": ["^/a(.*)$", "/b$1"]}));
    assert_eq!(
        pairs.get("/a%2Fc/../d?x=%41&y=a{}"),
        "/b%2Fc/../d?x=%41&y=a{}"
    );
    assert_eq!(pairs.get("/z/%61//?"), "/z/%61//?");
    let query = real(json!({"regex_uri": ["x=([0-9]+)", "id=$1"]}));
    assert_eq!(query.get("/a?x=5&y"), "/a?id=5&y");
    // As in APISIX, the client's query is part of the real target, which uri replaces.
    let uri = real(json!({"uri": "/x%2Fy/$arg_p?q=$arg_q"}));
    assert_eq!(uri.get("/a?p=b%2F&q=1"), "/x%2Fy/b%2F?q=1");
    let bad = real(json!({"uri": "/$http_x"}));
    let refusal = bad.pass(get("/").header("x", "../../a"), "").unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "400 Bad Request: proxy-rewrite: the path leads above the root"
    );
}

#[test]
fn the_real_request_uri_is_the_clients_whatever_plugins_did() {
    let gateway = Gateway::new(json!({"use_real_request_uri_unsafe": true}));
    let mut exchange = receive(get("/a//%62?x=1"), "");
    exchange.target.set_path(b"/changed");
    exchange.target.set_query(None);
    gateway.run(&mut exchange).unwrap();
    assert_eq!(sent_target(&exchange), "/a//%62?x=1");
    assert_eq!(exchange.target.path(), b"/a/b");
}

#[test]
fn fields_are_added_then_set_then_removed() {
    let conf = json!({"headers": {
        "remove": ["X-Gone", "x-both"],
        "set": {"X-Set": "new", "X-Both": "set", "X-Seen": "$http_x_more"},
        "add": {"X-More": 2, "X-Set": "lost"},
    }});
    let sent = [
        ("x-gone", "1"),
        ("x-gone", "2"),
        ("x-more", "1"),
        ("x-set", "old"),
    ];
    let expected = [
        ("x-more", "1"),
        ("x-more", "2"),
        ("x-seen", "1, 2"),
        ("x-set", "new"),
    ];
    assert_eq!(headers(conf, "/", &sent), fields(&expected));
}

#[test]
fn the_short_form_sets_and_an_empty_value_removes() {
    let conf = json!({"headers": {"X-A": "a", "X-B": "", "X-C": "$arg_none", "X-N": 1.5}});
    let sent = [("x-a", "1"), ("x-a", "2"), ("x-b", "1"), ("x-c", "1")];
    assert_eq!(
        headers(conf, "/", &sent),
        fields(&[("x-a", "a"), ("x-n", "1.5")])
    );
    let conf = json!({"headers": {"add": {"X-A": "$arg_none", "X-B": ""}}});
    assert_eq!(headers(conf, "/", &[("x-a", "1")]), fields(&[("x-a", "1")]));
}

#[test]
fn a_value_cannot_break_out_of_its_field() {
    let conf =
        json!({"headers": {"X-Path": "$uri", "X-Group": "$1"}, "regex_uri": ["(?s)/(.*)", "/x"]});
    let expected = [
        ("x-group", "a%0D%0AX-Evil: 1"),
        ("x-path", "/a%0D%0AX-Evil: 1"),
    ];
    assert_eq!(headers(conf, "/a%0d%0aX-Evil:%201", &[]), fields(&expected));
}

#[test]
fn what_a_group_matched_is_no_template() {
    let conf = json!({"headers": {"X-A": "$1"}, "regex_uri": ["/(.*)", "/x"]});
    assert_eq!(
        headers(conf, "/$remote_addr", &[]),
        fields(&[("x-a", "$remote_addr")])
    );
}

#[test]
fn templates_see_the_host_and_method_of_the_client() {
    let conf = json!({
        "host": "plugin.test", "method": "POST",
        "headers": {"X-Was": "$request_method $http_host $host"},
    });
    let exchange = Gateway::new(conf).pass(get("/"), "").unwrap();
    assert_eq!(
        sent_headers(&exchange),
        fields(&[("x-was", "GET localhost localhost")])
    );
    assert_eq!(exchange.headers["host"], "plugin.test");
    assert_eq!(exchange.method, Method::POST);
}

#[test]
fn a_client_that_did_not_ask_for_the_head_alone_is_told_of_no_body() {
    let gateway = Gateway::new(json!({"method": "HEAD"}));
    let edits = |request| gateway.pass(request, "").unwrap().response_edits;
    assert_eq!(
        edits(get("/")),
        [HeaderEdit::Remove(header::CONTENT_LENGTH)]
    );
    assert_eq!(edits(Request::head("/").header("host", "a")), []);
}

#[test]
fn what_grows_too_long_is_refused() {
    let long = "x".repeat(60_000);
    for (conf, reason) in [
        (
            json!({"uri": "/$http_x$http_x"}),
            "the text with its variables is longer than 65534 bytes",
        ),
        (
            json!({"uri": "/?$http_x$http_x"}),
            "the text with its variables is longer than 65534 bytes",
        ),
        (
            json!({"uri": "/$http_x?$http_x"}),
            "the request target is too long",
        ),
        (
            json!({"regex_uri": ["^.*$", "$0".repeat(66)]}),
            "the request target is too long",
        ),
        (
            json!({"regex_uri": ["^.*$", format!("/?{}", "$0".repeat(66))]}),
            "the request target is too long",
        ),
        (
            json!({"headers": {"X-Two": "$http_x$http_x"}}),
            "the field x-two: the text with its variables is longer than 65536 bytes",
        ),
    ] {
        let request = get(&format!("/{}", "p".repeat(1000))).header("x", &long);
        let refusal = Gateway::new(conf).pass(request, "").unwrap_err();
        assert_eq!(
            refusal.to_string(),
            format!("400 Bad Request: proxy-rewrite: {reason}")
        );
    }
}
