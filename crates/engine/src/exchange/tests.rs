use super::*;
use http::Request;

pub(crate) fn client() -> Rc<Client> {
    let (peer, local) = (
        "192.0.2.7:5000".parse().unwrap(),
        "127.0.0.1:9080".parse().unwrap(),
    );
    let client = Client::new(peer, local, "http", 3, false);
    client.requests.set(1);
    Rc::new(client)
}

pub(crate) fn try_exchange(request: request::Builder) -> Result<Exchange, Refusal> {
    let (head, ()) = request.body(()).unwrap().into_parts();
    Exchange::new(client(), Worker::new(), head, Body::Empty)
}

pub(crate) fn exchange(request: request::Builder) -> Exchange {
    try_exchange(request).unwrap()
}

fn refused(request: request::Builder) -> u16 {
    try_exchange(request).unwrap_err().status().as_u16()
}

#[test]
fn a_request_needs_exactly_one_host() {
    assert_eq!(refused(Request::get("/")), 400);
    assert_eq!(
        refused(Request::get("/").header("host", "a").header("host", "a")),
        400
    );
    assert_eq!(refused(Request::get("/").header("host", "")), 400);
    assert_eq!(refused(Request::get("/").header("host", "a/b")), 400);
    assert!(try_exchange(Request::get("/").version(Version::HTTP_10)).is_ok());
}

#[test]
fn the_absolute_forms_authority_replaces_the_host_field() {
    let exchange = exchange(Request::get("http://B.test:81/x?y").header("host", "a.test"));
    assert_eq!(exchange.host.as_str(), "b.test");
    assert_eq!(exchange.headers["host"], "B.test:81");
    assert_eq!(exchange.target.original(), "/x?y");
}

#[test]
fn framing_that_could_be_read_in_two_ways_is_refused() {
    let post = || Request::post("/").header("host", "a");
    assert_eq!(
        refused(
            post()
                .header("content-length", "1")
                .header("transfer-encoding", "chunked")
        ),
        400
    );
    assert_eq!(
        refused(
            post()
                .header("content-length", "1")
                .header("content-length", "1")
        ),
        400
    );
    assert_eq!(refused(post().header("content-length", "+1")), 400);
    assert_eq!(
        refused(post().header("transfer-encoding", "gzip, chunked")),
        501
    );
    assert_eq!(refused(post().header("transfer-encoding", "identity")), 501);
    assert!(try_exchange(post().header("transfer-encoding", "Chunked")).is_ok());
}

#[test]
fn methods_for_other_servers_are_refused() {
    assert_eq!(
        refused(
            Request::builder()
                .method("TRACE")
                .uri("/")
                .header("host", "a")
        ),
        405
    );
    assert_eq!(
        refused(
            Request::builder()
                .method("CONNECT")
                .uri("a:1")
                .header("host", "a")
        ),
        405
    );
    assert_eq!(
        refused(
            Request::builder()
                .method("OPTIONS")
                .uri("*")
                .header("host", "a")
        ),
        400
    );
}

#[test]
fn the_upstream_gets_what_the_client_sent_but_for_the_connections_own_fields() {
    let request = Request::get("/")
        .header("host", "A.test:9080")
        .header("connection", "keep-alive, x-mine")
        .header("x-mine", "1")
        .header("expect", "100-continue")
        .header("x-kept", "a")
        .header("x-kept", "b");
    let exchange = exchange(request);
    let mut headers = HeaderMap::new();
    exchange.each_field_for_upstream(|name, value| {
        headers.append(name, value.clone());
    });
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let forwarded = [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
    ];
    assert_eq!(names[..4], forwarded);
    assert_eq!(names[4..], ["x-kept", "x-real-ip"]);
    assert_eq!(exchange.headers["host"], "A.test:9080");
    assert_eq!(headers.get_all("x-kept").iter().count(), 2);
}

#[test]
fn a_new_body_brings_its_length() {
    let mut exchange = exchange(
        Request::post("/")
            .header("host", "a")
            .header("content-length", "10"),
    );
    exchange.set_body("four".into());
    assert_eq!(exchange.headers["content-length"], "4");
}
