//! Variables, as a runner is told them when it asks during a request's call
//! and during its response's, and as the access log tells them at the end.

use std::fs;
use std::net::SocketAddr;

use outrigger_a6::extra_info::Info;
use outrigger_a6::{RpcType, extra_info};
use outrigger_harness::{Gateway, Upstream, eventually};
use outrigger_testkit::Answer;
use serde_json::{Value, json};

use crate::runners::Scripted;
use crate::support::{external, nodes, plugin, route, routes, with};

/// A gateway whose runner asks for the same variables in every call.
struct Asking {
    names: Vec<&'static str>,
    runner: Scripted,
    gateway: Gateway,
}

/// What a variable was, each time without a value where there was none. The
/// access log, which is of JSON, tells none and empty alike.
#[derive(Debug)]
struct Seen {
    before: Option<String>,
    after: Option<String>,
    at_end: String,
}

impl Asking {
    /// `route` gets the plugins that call the runner; `config` are settings
    /// besides the access log's.
    fn start<const N: usize>(names: [&'static str; N], route: Value, config: Value) -> Self {
        Self::beside(json!({}), names, route, config)
    }

    /// As [`Asking::start`], with more resources.
    fn beside<const N: usize>(
        more: Value,
        names: [&'static str; N],
        route: Value,
        config: Value,
    ) -> Self {
        let runner = Scripted::start();
        let ask = || {
            let asks = names.iter().map(|name| Info::Var(name.as_bytes()));
            asks.fold(Answer::new(), Answer::ask).reply()
        };
        runner.always(RpcType::HttpReqCall, ask());
        runner.always(RpcType::HttpRespCall, ask());
        let call = || external([plugin("any", json!({}))]);
        let plugins = json!({
            "ext-plugin-pre-req": call(), "ext-plugin-post-resp": call(),
        });
        let plugins = json!({"plugins": match route.get("plugins") {
            Some(own) => with(plugins, own.clone()),
            None => plugins,
        }});
        let fields = names.map(|name| format!("\"{name}\":\"${{{name}}}\""));
        let log = json!({"nginx_config": {"http": {
            "access_log_format": format!("{{{}}}", fields.join(",")),
            "access_log_format_escape": "json",
        }}});
        let gateway = runner
            .gateway()
            .config(log)
            .config(config)
            .routes(with(routes([with(route, plugins)]), more))
            .start();
        Self {
            names: names.to_vec(),
            runner,
            gateway,
        }
    }

    /// What the variables were for the last request.
    #[track_caller]
    fn seen(&self) -> Vec<Seen> {
        let answers = self.runner.received_of(RpcType::ExtraInfo);
        let answers: Vec<Option<String>> = answers
            .iter()
            .map(|answer| {
                let answer: extra_info::Response<'_> = answer.decode().unwrap();
                answer.result.map(shown)
            })
            .collect();
        let requests = answers.len() / (2 * self.names.len());
        let told = &answers[(requests - 1) * 2 * self.names.len()..];
        let (before, after) = told.split_at(self.names.len());
        let line = self.line(requests);
        let each = self.names.iter().enumerate().map(|(at, name)| Seen {
            before: before[at].clone(),
            after: after[at].clone(),
            at_end: line[*name].as_str().unwrap().to_owned(),
        });
        each.collect()
    }

    /// The access log's line of the request of this number, counting from 1.
    #[track_caller]
    fn line(&self, number: usize) -> Value {
        let path = self.gateway.folder().join("logs/access.log");
        let read = || fs::read_to_string(&path).unwrap_or_default();
        eventually("a line of the access log", || {
            read().lines().count() >= number
        });
        serde_json::from_str(read().lines().nth(number - 1).unwrap()).unwrap()
    }

    /// Whether each variable is what is expected of it, in order: the same
    /// before and after and at the end.
    #[track_caller]
    fn check(&self, expected: &[Option<&str>]) {
        for (index, seen) in self.seen().iter().enumerate() {
            let (name, expected) = (self.names[index], expected[index]);
            assert_eq!(seen.before.as_deref(), expected, "${name} before");
            assert_eq!(seen.after.as_deref(), expected, "${name} after");
            assert_eq!(
                seen.at_end,
                expected.unwrap_or_default(),
                "${name} at the end"
            );
        }
    }

    /// As [`Asking::check`], with a value of its own for each phase.
    #[track_caller]
    fn check_phases(&self, expected: &[(Option<&str>, Option<&str>, &str)]) {
        for (index, seen) in self.seen().iter().enumerate() {
            let (name, (before, after, at_end)) = (self.names[index], expected[index]);
            assert_eq!(seen.before.as_deref(), before, "${name} before");
            assert_eq!(seen.after.as_deref(), after, "${name} after");
            assert_eq!(seen.at_end, at_end, "${name} at the end");
        }
    }
}

/// Bytes that are no text as their numbers.
fn shown(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).ok();
    let text = text.filter(|text| !text.contains(|c: char| c.is_control()));
    text.map_or_else(|| format!("{bytes:?}"), str::to_owned)
}

#[test]
fn of_the_target() {
    let names = [
        "uri",
        "document_uri",
        "request_uri",
        "args",
        "query_string",
        "is_args",
        "arg_a",
        "ARG_EMPTY",
        "arg_flag",
        "arg_none",
        "request",
        "request_method",
        "server_protocol",
    ];
    let upstream = Upstream::echo();
    let asking = Asking::start(names, route("/*", nodes(&[&upstream])), json!({}));
    asking
        .gateway
        .request("PUT", "/a%20b/./c?A=%41&a=2&empty=&flag")
        .send();
    let target = Some("/a%20b/./c?A=%41&a=2&empty=&flag");
    let query = Some("A=%41&a=2&empty=&flag");
    asking.check(&[
        Some("/a b/c"),
        Some("/a b/c"),
        target,
        query,
        query,
        Some("?"),
        Some("%41"),
        Some(""),
        None,
        None,
        Some("PUT /a%20b/./c?A=%41&a=2&empty=&flag HTTP/1.1"),
        Some("PUT"),
        Some("HTTP/1.1"),
    ]);
    asking.gateway.get("/?").send();
    let none = [Some("/"), Some("/"), Some("/?"), None, None, Some("")];
    let rest = [None, None, None, None];
    let last = [Some("GET /? HTTP/1.1"), Some("GET"), Some("HTTP/1.1")];
    asking.check(&[&none[..], &rest, &last].concat());
}

#[test]
fn of_the_request_headers() {
    let names = [
        "http_x_one_two",
        "http_X_Empty",
        "http_none",
        "http_cookie",
        "cookie_b",
        "cookie_C",
        "cookie_none",
        "host",
        "http_host",
        "content_type",
        "content_length",
        "remote_user",
    ];
    let upstream = Upstream::echo();
    let asking = Asking::start(names, route("/*", nodes(&[&upstream])), json!({}));
    asking
        .gateway
        .post("/echo")
        .host("A.Test.:81")
        .header("X-One-Two", "1")
        .header("X-One_Two", "2")
        .header("X-Empty", "")
        .header("Cookie", "a=1; b=two words; bb=3")
        .header("Cookie", "c=4=5")
        .header("Content-Type", "text/x-odd")
        .header("Authorization", "basic am9lOmE6Yg==")
        .body("four")
        .send();
    let seen = asking.seen();
    let values = seen[0].before.clone().unwrap();
    assert!(["1, 2", "2, 1"].contains(&&*values), "{values}");
    asking.check(&[
        Some(&values),
        Some(""),
        None,
        Some("a=1; b=two words; bb=3; c=4=5"),
        Some("two words"),
        Some("4=5"),
        None,
        Some("a.test"),
        Some("A.Test.:81"),
        Some("text/x-odd"),
        Some("4"),
        Some("joe"),
    ]);
    for authorization in ["Basic !", "Basic am9l", "Basic OmE=", "Bearer am9lOmE6Yg=="] {
        asking
            .gateway
            .get("/")
            .header("Authorization", authorization)
            .send();
        assert_eq!(asking.seen()[11].before, None, "{authorization}");
    }
    let mut connection = asking.gateway.client().connection();
    connection.write(b"GET /hello HTTP/1.0\r\n\r\n");
    connection.read_to_end();
    let seen = asking.seen();
    assert_eq!(
        (seen[7].before.as_deref(), &*seen[7].at_end),
        (Some("_"), "_")
    );
    assert_eq!(seen[8].before, None);
}

#[test]
fn of_the_request_body() {
    let names = [
        "post_arg_a",
        "post_arg_none",
        "request_body",
        "request_length",
    ];
    let upstream = Upstream::echo();
    let asking = Asking::start(names, route("/*", nodes(&[&upstream])), json!({}));
    let form = "a=one+%26%20two&a=2&b";
    let send = |kind: &str| {
        let head = format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            form.len()
        );
        let mut connection = asking.gateway.client().connection();
        connection.write(format!("{head}{form}").as_bytes());
        assert_eq!(connection.read_response("POST").text(), form);
        (head.len() + form.len()).to_string()
    };
    let length = send("application/x-www-form-urlencoded; charset=utf-8");
    asking.check(&[Some("one & two"), None, Some(form), Some(&length)]);
    let length = send("text/plain");
    let seen = asking.seen();
    assert_eq!((&seen[0].before, &seen[0].after), (&None, &None));
    assert_eq!(seen[2].before, None, "nobody had it read");
    assert_eq!(
        (&seen[3].after, &seen[3].at_end),
        (&Some(length.clone()), &length)
    );
}

#[test]
fn of_the_connection() {
    let names = [
        "remote_addr",
        "remote_port",
        "realip_remote_addr",
        "realip_remote_port",
        "binary_remote_addr",
        "server_addr",
        "server_port",
        "server_name",
        "scheme",
        "https",
        "connection",
        "connection_requests",
    ];
    let upstream = Upstream::echo();
    let asking = Asking::start(names, route("/*", nodes(&[&upstream])), json!({}));
    let mut connection = asking.gateway.client().connection();
    let client: SocketAddr = connection.local_addr();
    let (from, to) = (client.port(), asking.gateway.addresses()[0].port());
    let (from, to) = (from.to_string(), to.to_string());
    for count in ["1", "2"] {
        connection.get("/hello").send();
        let number = asking.seen()[10].before.clone().unwrap();
        assert!(number.parse::<u64>().is_ok_and(|number| number > 0));
        let seen = asking.seen();
        assert_eq!(seen[4].before.as_deref(), Some("[127, 0, 0, 1]"));
        assert_eq!(seen[4].after, seen[4].before);
        asking_without(&asking, 4).check(&[
            Some("127.0.0.1"),
            Some(&from),
            Some("127.0.0.1"),
            Some(&from),
            Some("127.0.0.1"),
            Some(&to),
            Some("_"),
            Some("http"),
            Some(""),
            Some(&number),
            Some(count),
        ]);
    }
}

/// All variables but one that the access log cannot tell as the runner is told.
fn asking_without(asking: &Asking, index: usize) -> Rest<'_> {
    Rest { asking, index }
}

struct Rest<'a> {
    asking: &'a Asking,
    index: usize,
}

impl Rest<'_> {
    #[track_caller]
    fn check(&self, expected: &[Option<&str>]) {
        let mut seen = self.asking.seen();
        seen.remove(self.index);
        assert_eq!(seen.len(), expected.len());
        for (seen, expected) in seen.iter().zip(expected) {
            assert_eq!(seen.before.as_deref(), *expected);
            assert_eq!(seen.after.as_deref(), *expected);
            assert_eq!(seen.at_end, expected.unwrap_or_default());
        }
    }
}

#[test]
fn of_a_client_behind_a_proxy() {
    let names = [
        "remote_addr",
        "remote_port",
        "realip_remote_addr",
        "server_addr",
    ];
    let upstream = Upstream::echo();
    let to = || route("/*", nodes(&[&upstream]));
    let real_ip = json!({"nginx_config": {"http": {
        "access_log_format": "$remote_addr",
        "real_ip_from": ["127.0.0.0/8"], "real_ip_header": "X-Forwarded-For",
    }}});
    let runner = Scripted::start();
    let asks = names.iter().map(|name| Info::Var(name.as_bytes()));
    let ask = asks.fold(Answer::new(), Answer::ask).reply();
    runner.always(RpcType::HttpReqCall, ask);
    let plugins = json!({"plugins": {"ext-plugin-pre-req": external([plugin("any", json!({}))])}});
    let only =
        json!({"uri": "/only", "remote_addr": "192.0.2.0/24", "upstream": nodes(&[&upstream])});
    let gateway = runner
        .gateway()
        .config(real_ip)
        .routes(routes([with(to(), plugins), only]))
        .start();
    let send = |target: &str, told: &str| {
        gateway.get(target).header("X-Forwarded-For", told).send();
        upstream.last()
    };
    let seen = send("/hello", "1.1.1.1, 192.0.2.7:99");
    assert_eq!(seen.header("x-real-ip"), Some("192.0.2.7"));
    let answers = runner.received_of(RpcType::ExtraInfo);
    let answers = answers.iter().map(|answer| {
        let answer: extra_info::Response<'_> = answer.decode().unwrap();
        shown(answer.result.unwrap())
    });
    let expected = ["192.0.2.7", "99", "127.0.0.1", "127.0.0.1"];
    assert_eq!(answers.collect::<Vec<_>>(), expected);
    let call = &runner.received_of(RpcType::HttpReqCall)[0];
    let call: outrigger_a6::http_req_call::Request<'_> = call.decode().unwrap();
    assert_eq!(call.src_ip, [192, 0, 2, 7]);
    let calls = || runner.received_of(RpcType::HttpReqCall).len();
    send("/only", "192.0.2.7");
    assert_eq!(calls(), 1, "the other route is for this client");
    send("/only", "198.51.100.1");
    assert_eq!(calls(), 2);
    let log = gateway.folder().join("logs/access.log");
    eventually("three lines", || {
        fs::read_to_string(&log).is_ok_and(|text| text == "192.0.2.7\n192.0.2.7\n198.51.100.1\n")
    });
}

#[test]
fn of_the_gateway_and_its_clock() {
    let names = [
        "pid",
        "hostname",
        "nginx_version",
        "request_id",
        "request_time",
        "msec",
        "time_local",
        "time_iso8601",
    ];
    let upstream = Upstream::echo();
    let asking = Asking::start(names, route("/*", nodes(&[&upstream])), json!({}));
    asking.gateway.get("/slow/50").send();
    let seen = asking.seen();
    let pid = asking.gateway.process().pid().to_string();
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let hostname = hostname.trim_end().to_ascii_lowercase();
    for (at, value) in [(0, &*pid), (1, &hostname), (2, "1.27.1")] {
        let told = [seen[at].before.as_deref(), seen[at].after.as_deref()];
        assert_eq!(told, [Some(value); 2], "{}", names[at]);
        assert_eq!(seen[at].at_end, value);
    }
    let id = &seen[3].at_end;
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!([&seen[3].before, &seen[3].after], [&Some(id.clone()); 2]);
    let number = |text: &str| {
        assert_eq!(text.split_once('.').unwrap().1.len(), 3, "{text}");
        text.parse::<f64>().unwrap()
    };
    for (at, least) in [(4, 0.05), (5, 1_600_000_000.05)] {
        let before = number(seen[at].before.as_deref().unwrap());
        let after = number(seen[at].after.as_deref().unwrap());
        let end = number(&seen[at].at_end);
        assert!(
            before + 0.049 < after && after <= end && end > least,
            "{}",
            names[at]
        );
    }
    let (local, iso) = (&seen[6].at_end, &seen[7].at_end);
    // 28/Sep/1970:12:00:00 +0600 and 1970-09-28T12:00:00+06:00.
    assert_eq!((local.len(), iso.len()), (26, 25), "{local} {iso}");
    assert_eq!(
        (&local[..2], &local[7..11], &local[12..20]),
        (&iso[8..10], &iso[..4], &iso[11..19])
    );
    assert_eq!(local[21..].to_owned(), iso[19..].replace(':', ""));
    assert!(seen[6].before.is_some() && seen[7].after.is_some());
}

#[test]
fn of_the_configuration() {
    let names = [
        "route_id",
        "route_name",
        "service_id",
        "service_name",
        "matched_uri",
        "uri_param_name",
        "uri_param_none",
        "consumer_name",
        "consumer_group_id",
        "nonsense",
    ];
    let upstream = Upstream::echo();
    let parameters = || {
        json!({"apisix": {
            "node_listen": [{"ip": "127.0.0.1", "port": 0}],
            "control": {"port": 0},
            "router": {"http": "radixtree_uri_with_parameter"},
        }})
    };
    let named = json!({"id": 7, "name": "the route", "uri": "/of/:name", "service_id": "s"});
    let services = json!([{"id": "s", "name": "the service", "upstream": nodes(&[&upstream])}]);
    let asking = Asking::beside(json!({"services": services}), names, named, parameters());
    asking.gateway.get("/of/a%20b").send();
    asking.check(&[
        Some("7"),
        Some("the route"),
        Some("s"),
        Some("the service"),
        Some("/of/:name"),
        Some("a b"),
        None,
        None,
        None,
        None,
    ]);
    let bare = route("/*", nodes(&[&upstream]));
    let asking = Asking::start(names, bare, parameters());
    asking.gateway.get("/of/a").send();
    let none = None;
    asking.check(&[
        Some("routes#1"),
        none,
        none,
        none,
        Some("/*"),
        none,
        none,
        none,
        none,
        none,
    ]);
}

#[test]
fn of_the_consumer() {
    let upstream = Upstream::echo();
    let keyed = json!({"plugins": {"key-auth": {}}, "upstream": nodes(&[&upstream]), "uri": "/*"});
    let people = json!({
        "consumers": [
            {"username": "joe", "group_id": "gold", "plugins": {"key-auth": {"key": "one"}}},
            {"username": "jill", "plugins": {"key-auth": {"key": "two"}}},
        ],
        "consumer_groups": [{"id": "gold", "plugins": {}}],
    });
    let names = ["consumer_name", "consumer_group_id"];
    let asking = Asking::beside(people, names, keyed, json!({}));
    asking.gateway.get("/hello").header("apikey", "one").send();
    // The runner is asked before anybody looks at the key.
    let expected = [(None, Some("joe"), "joe"), (None, Some("gold"), "gold")];
    asking.check_phases(&expected);
    asking.gateway.get("/hello").header("apikey", "two").send();
    asking.check_phases(&[(None, Some("jill"), "jill"), (None, None, "")]);
}

#[test]
fn of_the_upstream() {
    let names = [
        "upstream_scheme",
        "upstream_host",
        "upstream_uri",
        "upstream_addr",
        "upstream_status",
        "balancer_ip",
        "balancer_port",
    ];
    let (gone, upstream) = (Upstream::echo().node(), Upstream::echo());
    let node = upstream.node();
    let port = upstream.address().port().to_string();
    let first_gone = json!({"upstream": {"pass_host": "node", "nodes": [
        {"host": "127.0.0.1", "port": gone[10..].parse::<u16>().unwrap(), "weight": 1, "priority": 1},
        {"host": "127.0.0.1", "port": upstream.address().port(), "weight": 1, "priority": 0},
    ]}});
    let asking = Asking::start(names, with(json!({"uri": "/*"}), first_gone), json!({}));
    asking.gateway.get("/status/201?x").host("a.test").send();
    let (all, statuses) = (format!("{gone}, {node}"), "502, 201");
    let uri = Some("/status/201?x");
    asking.check_phases(&[
        (Some("http"), Some("http"), "http"),
        (Some("a.test"), Some(&node), &node),
        (uri, uri, "/status/201?x"),
        (None, Some(&all), &all),
        (None, Some(statuses), statuses),
        (None, Some("127.0.0.1"), "127.0.0.1"),
        (None, Some(&port), &port),
    ]);
}

#[test]
fn of_how_long_the_upstream_took() {
    let names = [
        "upstream_connect_time",
        "upstream_header_time",
        "upstream_response_time",
    ];
    let upstream = Upstream::raw(|connection| {
        while connection.read_request().is_some() {
            std::thread::sleep(std::time::Duration::from_millis(50));
            connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na");
            std::thread::sleep(std::time::Duration::from_millis(50));
            connection.write(b"b");
        }
    });
    let asking = Asking::start(names, route("/*", nodes(&[&upstream])), json!({}));
    asking.gateway.get("/").send();
    let seen = asking.seen();
    let number = |text: &str| text.parse::<f64>().unwrap_or_else(|_| panic!("{text}"));
    assert!(seen.iter().all(|each| each.before.is_none()), "{seen:?}");
    let [connect, header, response] = &seen[..] else {
        panic!("three variables: {seen:?}")
    };
    assert_eq!(response.after.as_deref(), Some("-"), "it is still to come");
    assert_eq!(connect.after.as_ref(), Some(&connect.at_end));
    assert_eq!(header.after.as_ref(), Some(&header.at_end));
    let [connect, header, response] = [connect, header, response].map(|it| number(&it.at_end));
    assert!(
        connect <= header && header >= 0.05 && response >= 0.1,
        "{seen:?}"
    );
    asking.gateway.get("/").send();
    assert_eq!(asking.seen()[0].at_end, "0.000", "on the same connection");
}

#[test]
fn of_the_response() {
    let names = [
        "status",
        "sent_http_etag",
        "sent_http_set_cookie",
        "sent_http_none",
        "sent_http_connection",
        "bytes_sent",
        "body_bytes_sent",
        "request_completion",
    ];
    let upstream = Upstream::echo();
    let asking = Asking::start(names, route("/*", nodes(&[&upstream])), json!({}));
    let request = b"GET /multi HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = asking.gateway.client().raw(request);
    let etag = asking.gateway.get("/multi").send();
    let etag = etag.header("etag").unwrap().to_owned();
    let line = asking.line(1);
    let length = answer.len().to_string();
    assert_eq!(line["bytes_sent"], length.as_str());
    assert_eq!(line["sent_http_connection"], "close");
    let second = asking.seen();
    let second_length = second[5].at_end.clone();
    asking.check_phases(&[
        (Some("000"), Some("200"), "200"),
        (None, Some(&etag), &etag),
        (None, Some("a=1, b=2"), "a=1, b=2"),
        (None, None, ""),
        (None, None, &second[4].at_end),
        (Some("0"), Some("0"), &second_length),
        (Some("0"), Some("0"), "6"),
        (Some(""), Some(""), "OK"),
    ]);
}
