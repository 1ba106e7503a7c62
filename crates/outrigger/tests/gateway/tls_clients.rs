//! Clients over TLS: which certificate they are shown, and what they have to show.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use outrigger_harness::{Authority, Certified, Gateway, GatewayBuilder, Upstream, limits};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CipherSuite, ProtocolVersion};
use serde_json::{Value, json};

use crate::support::{gateway, nodes, route, with};
use crate::tls_client::{Session, TlsClient, run};

/// A key of RSA, which takes long to make.
const RSA_KEY: &str = include_str!("rsa_key.pem");

/// What an ssl says of a certificate.
fn ssl(id: &str, names: Value, certified: &Certified) -> Value {
    json!({"id": id, "snis": names, "cert": certified.certificate, "key": certified.key})
}

/// These certificates, and one route of everything to `upstream`.
fn resources(upstream: &Upstream, ssls: &[Value]) -> Value {
    json!({"routes": [route("/*", nodes(&[upstream]))], "ssls": ssls})
}

/// A gateway to configure that listens with TLS; `more` is in the section `ssl`.
fn secure(more: Value) -> GatewayBuilder {
    let listen = json!([{"ip": "127.0.0.1", "port": 0}]);
    let ssl = with(json!({"listen": listen}), more);
    gateway()
        .listeners(2)
        .config(json!({"apisix": {"node_listen": listen, "ssl": ssl}}))
}

fn address(gateway: &Gateway) -> SocketAddr {
    gateway.addresses()[1]
}

fn der(certified: &Certified) -> Vec<u8> {
    let der = CertificateDer::from_pem_slice(certified.certificate.as_bytes());
    der.unwrap().to_vec()
}

/// What a client is shown that asks for `name`; the error otherwise.
fn shown(gateway: &Gateway, client: &TlsClient, name: &str) -> Result<Vec<u8>, String> {
    let session = run(client.connect(address(gateway), name));
    let session = session.map_err(|error| error.to_string())?;
    Ok(session.agreed().certificate.clone())
}

#[test]
fn a_client_is_shown_the_certificate_of_the_name_that_it_asks_for() {
    let upstream = Upstream::echo();
    let authority = Authority::new();
    let exact = authority.certify("a.test");
    let below = authority.certify("*.b.test");
    let off = authority.certify("off.test");
    let gateway = secure(json!({"fallback_sni": "x.b.test"}))
        .routes(resources(
            &upstream,
            &[
                ssl("1", json!(["a.test"]), &exact),
                ssl("2", json!(["*.b.test"]), &below),
                with(ssl("3", json!(["off.test"]), &off), json!({"status": 0})),
            ],
        ))
        .start();
    let client = TlsClient::http2(&authority);
    assert_eq!(shown(&gateway, &client, "a.test"), Ok(der(&exact)));
    assert_eq!(shown(&gateway, &client, "A.Test"), Ok(der(&exact)));
    assert_eq!(shown(&gateway, &client, "x.b.test"), Ok(der(&below)));
    let nameless = client.without_name();
    assert_eq!(shown(&gateway, &nameless, "x.b.test"), Ok(der(&below)));
    for name in ["off.test", "b.test", "y.x.b.test", "other.test"] {
        let error = shown(&gateway, &client, name).unwrap_err();
        assert!(error.contains("UnrecognisedName"), "{name}: {error}");
    }
    gateway.wait_log("there is no certificate for \"off.test\"");
}

/// A gateway with a certificate for `a.test` and nothing else.
fn of_a_test(upstream: &Upstream, authority: &Authority) -> Gateway {
    let certificate = ssl("1", json!(["a.test"]), &authority.certify("a.test"));
    let resources = resources(upstream, &[certificate]);
    secure(json!({})).routes(resources).start()
}

#[test]
fn a_client_that_names_no_host_needs_a_fallback() {
    let upstream = Upstream::echo();
    let authority = Authority::new();
    let gateway = of_a_test(&upstream, &authority);
    let nameless = TlsClient::http2(&authority).without_name();
    let error = shown(&gateway, &nameless, "a.test").unwrap_err();
    assert!(error.contains("UnrecognisedName"), "{error}");
    gateway.wait_log("set apisix.ssl.fallback_sni");
}

#[test]
fn requests_and_responses_pass_as_without_tls() {
    let upstream = Upstream::echo();
    let authority = Authority::new();
    let gateway = of_a_test(&upstream, &authority);
    run(async {
        let client = TlsClient::new(&authority);
        let mut session = client.connect(address(&gateway), "a.test").await.unwrap();
        assert!(!session.is_http2());
        for _ in 0..2 {
            let answer = session.get("a.test", "/hello").await.unwrap();
            assert_eq!(
                (answer.status.as_u16(), answer.text()),
                (200, "hello world\n")
            );
        }
        let large = vec![b'x'; 3 << 20];
        let request = http::Request::post("/echo").header("host", "a.test");
        let request = request.body(large.clone().into()).unwrap();
        assert!(session.send(request).await.unwrap().body == large);
    });
    let seen = upstream.last();
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    let port = address(&gateway).port().to_string();
    assert_eq!(seen.header("x-forwarded-port"), Some(&*port));
}

#[test]
fn variables_tell_of_the_connection() {
    let upstream = Upstream::echo();
    let authority = Authority::new();
    let certified = authority.certify("a.test");
    let own = authority.certify("client.test");
    let names = [
        "ssl_protocol",
        "ssl_cipher",
        "ssl_server_name",
        "ssl_session_reused",
        "ssl_client_verify",
        "scheme",
        "https",
        "server_protocol",
    ];
    let format = names.map(|name| format!("${name}")).join("|");
    let verified = json!({"client": {"ca": authority.certificate()}});
    let gateway = secure(json!({}))
        .config(json!({"nginx_config": {"http": {
            "access_log": "access.log",
            "access_log_format": format!("{format}|$ssl_client_s_dn|$ssl_client_fingerprint"),
        }}}))
        .routes(resources(
            &upstream,
            &[with(ssl("1", json!(["a.test"]), &certified), verified)],
        ))
        .start();
    let client = TlsClient::certified(&authority, &own);
    run(async {
        let mut session = client.connect(address(&gateway), "a.test").await.unwrap();
        assert!(session.is_http2());
        session.get("a.test", "/hello").await.unwrap();
    });
    gateway.get("/hello").send();
    let lines = crate::access_log::wait_lines_of(&gateway, "access.log", 2);
    let over_tls = "TLSv1.3|TLS_AES_256_GCM_SHA384|a.test|.|SUCCESS|https|on|HTTP/2.0|\
                    CN=rcgen self signed cert|";
    assert!(lines[0].starts_with(over_tls), "{lines:?}");
    let fingerprint = lines[0].rsplit('|').next().unwrap();
    assert_eq!(fingerprint.len(), 40, "{lines:?}");
    assert_eq!(lines[1], "-|-|-|-|-|http||HTTP/1.1|-|-");
}

#[test]
fn of_two_keys_the_one_that_the_client_can_use_is_shown() {
    let upstream = Upstream::echo();
    let authority = Authority::new();
    let rsa = authority.certify_pem("a.test", RSA_KEY);
    let ecdsa = authority.certify("a.test");
    let both = json!({"certs": [ecdsa.certificate], "keys": [ecdsa.key]});
    let gateway = secure(json!({}))
        .routes(resources(
            &upstream,
            &[with(ssl("1", json!(["a.test"]), &rsa), both)],
        ))
        .start();
    for (suite, certified) in [
        (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, &rsa),
        (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, &ecdsa),
    ] {
        let client = TlsClient::of_tls12(&authority, suite);
        assert_eq!(
            shown(&gateway, &client, "a.test"),
            Ok(der(certified)),
            "{suite:?}"
        );
    }
    let client = TlsClient::http2(&authority);
    assert_eq!(shown(&gateway, &client, "a.test"), Ok(der(&ecdsa)));
}

#[test]
fn versions_and_suites_are_those_of_the_listener_or_the_certificate() {
    let upstream = Upstream::echo();
    let authority = Authority::new();
    let (a, b) = (authority.certify("a.test"), authority.certify("b.test"));
    let newest = json!({"ssl_protocols": ["TLSv1.3"]});
    let gateway = secure(json!({"ssl_ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256:HIGH"}))
        .routes(resources(
            &upstream,
            &[
                ssl("1", json!(["a.test"]), &a),
                with(ssl("2", json!(["b.test"]), &b), newest),
            ],
        ))
        .start();
    let client = |suite| TlsClient::of_tls12(&authority, suite);
    let chosen = client(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256);
    let other = client(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384);
    assert_eq!(shown(&gateway, &chosen, "a.test"), Ok(der(&a)));
    let error = shown(&gateway, &other, "a.test").unwrap_err();
    assert!(error.contains("HandshakeFailure"), "{error}");
    let error = shown(&gateway, &chosen, "b.test").unwrap_err();
    assert!(error.contains("ProtocolVersion"), "{error}");
    let newer = TlsClient::http2(&authority);
    let session = run(newer.connect(address(&gateway), "b.test")).unwrap();
    assert_eq!(session.agreed().version, ProtocolVersion::TLSv1_3);
}

#[test]
fn a_session_is_taken_up_again_by_the_certificate_that_began_it() {
    let upstream = Upstream::echo();
    let authority = Authority::new();
    let certified = authority.certify("a.test");
    for tickets in [false, true] {
        let ssls = [ssl("1", json!(["a.test"]), &certified)];
        let gateway = secure(json!({"ssl_session_tickets": tickets}))
            .config(json!({"outrigger": {"workers": 2}}))
            .routes(resources(&upstream, &ssls))
            .start();
        let client = TlsClient::http2(&authority);
        let resumed = || {
            run(async {
                let connection = client.connect(address(&gateway), "a.test").await;
                let mut session = connection.unwrap();
                session.get("a.test", "/hello").await.unwrap();
                session.agreed().resumed
            })
        };
        assert!(!resumed());
        assert!((0..4).all(|_| resumed()), "tickets: {tickets}");
        let again = [with(ssls[0].clone(), json!({"ssl_protocols": ["TLSv1.3"]}))];
        gateway.set_routes(resources(&upstream, &again));
        assert!(!resumed(), "tickets: {tickets}");
    }
}

#[test]
fn a_certificate_changes_without_a_request_that_fails() {
    let upstream = Upstream::echo();
    let authority = Authority::new();
    let certified: Vec<_> = (0..5).map(|_| authority.certify("a.test")).collect();
    let of = |certified| resources(&upstream, &[ssl("1", json!(["a.test"]), certified)]);
    let gateway = secure(json!({}))
        .config(json!({"outrigger": {"workers": 2}}))
        .routes(of(&certified[0]))
        .start();
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = TlsClient::http2(&authority);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                run(async {
                    let address = address(&gateway);
                    let mut kept = client.connect(address, "a.test").await.unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        let mut fresh = client.connect(address, "a.test").await.unwrap();
                        for session in [&mut kept, &mut fresh] {
                            let answer = session.get("a.test", "/hello").await.unwrap();
                            assert_eq!(answer.text(), "hello world\n");
                        }
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                });
            });
        }
        for next in &certified[1..] {
            let before = served.load(Ordering::Relaxed);
            gateway.set_routes(of(next));
            assert_eq!(shown(&gateway, &client, "a.test"), Ok(der(next)));
            outrigger_harness::eventually("requests go on", || {
                served.load(Ordering::Relaxed) > before + 3
            });
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// The status of a request, or why there was no connection.
fn status(
    gateway: &Gateway,
    client: &TlsClient,
    name: &str,
    host: &str,
    path: &str,
) -> Result<u16, String> {
    run(async {
        let connection = client.connect(address(gateway), name).await;
        let mut session = connection.map_err(|error| error.to_string())?;
        let answer = session.get(host, path).await;
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        Ok(answer.status.as_u16())
    })
}

#[test]
fn a_client_shows_a_certificate_where_it_has_to() {
    let upstream = Upstream::echo();
    let (authority, clients) = (Authority::new(), Authority::new());
    let verified = json!({"client": {"ca": clients.certificate()}});
    let open = ssl("1", json!(["open.test"]), &authority.certify("open.test"));
    let closed = ssl("2", json!(["*.m.test"]), &authority.certify("*.m.test"));
    let gateway = secure(json!({}))
        .routes(resources(&upstream, &[open, with(closed, verified)]))
        .start();
    let none = TlsClient::http2(&authority);
    let good = TlsClient::certified(&authority, &clients.certify("client"));
    let stranger = TlsClient::certified(&authority, &Authority::new().certify("client"));
    let status = |client, name, host| status(&gateway, client, name, host, "/hello");
    assert_eq!(status(&good, "a.m.test", "a.m.test"), Ok(200));
    let error = none.refusal(address(&gateway), "a.m.test");
    assert!(error.contains("CertificateRequired"), "{error}");
    let error = stranger.refusal(address(&gateway), "a.m.test");
    assert!(
        error.contains("UnknownCA") || error.contains("UnknownCa"),
        "{error}"
    );
    // Nobody comes in by another name.
    assert_eq!(status(&none, "open.test", "open.test"), Ok(200));
    assert_eq!(status(&none, "open.test", "a.m.test"), Ok(400));
    assert_eq!(status(&good, "b.m.test", "a.m.test"), Ok(400));
    assert_eq!(status(&good, "a.m.test", "open.test"), Ok(200));
}

#[test]
fn some_paths_need_no_certificate() {
    let upstream = Upstream::echo();
    let (authority, clients) = (Authority::new(), Authority::new());
    let skip =
        json!({"client": {"ca": clients.certificate(), "skip_mtls_uri_regex": ["^/hel+o$"]}});
    let closed = ssl("1", json!(["a.test"]), &authority.certify("a.test"));
    let gateway = secure(json!({}))
        .routes(resources(&upstream, &[with(closed, skip)]))
        .start();
    let none = TlsClient::http2(&authority);
    let good = TlsClient::certified(&authority, &clients.certify("client"));
    let stranger = TlsClient::certified(&authority, &Authority::new().certify("client"));
    for (client, path, expected) in [
        (&none, "/hello", 200),
        (&none, "/echo", 400),
        (&none, "/x/../hello", 200),
        (&none, "/hello/../echo", 400),
        (&stranger, "/hello", 200),
        (&stranger, "/echo", 400),
        (&good, "/hello", 200),
        (&good, "/echo", 200),
    ] {
        let status = status(&gateway, client, "a.test", "a.test", path);
        assert_eq!(status, Ok(expected), "{path}");
    }
}

#[test]
fn a_chain_is_as_long_as_it_may_be() {
    let upstream = Upstream::echo();
    let (authority, clients) = (Authority::new(), Authority::new());
    let (near, far) = (clients.delegate("near"), clients.delegate("far"));
    let farther = far.delegate("farther");
    let chained = |certified: Certified, chain: &[&Authority]| Certified {
        certificate: chain
            .iter()
            .fold(certified.certificate, |pem, next| pem + &next.certificate()),
        key: certified.key,
    };
    let one = chained(near.certify("client"), &[&near]);
    let two = chained(farther.certify("client"), &[&farther, &far]);
    for (depth, of_one, of_two) in [(0, false, false), (1, true, false), (2, true, true)] {
        let verified = json!({"client": {"ca": clients.certificate(), "depth": depth}});
        let closed = ssl("1", json!(["a.test"]), &authority.certify("a.test"));
        let gateway = secure(json!({}))
            .routes(resources(&upstream, &[with(closed, verified)]))
            .start();
        for (own, passes) in [(&one, of_one), (&two, of_two)] {
            let client = TlsClient::certified(&authority, own);
            let status = status(&gateway, &client, "a.test", "a.test", "/hello");
            assert_eq!(status == Ok(200), passes, "{depth}: {status:?}");
        }
    }
}

#[test]
fn a_handshake_has_a_time_limit() {
    let upstream = Upstream::echo();
    let authority = Authority::new();
    let certified = authority.certify("a.test");
    let gateway = secure(json!({}))
        .config(json!({"nginx_config": {"http": {"client_header_timeout": "1s"}}}))
        .routes(resources(
            &upstream,
            &[ssl("1", json!(["a.test"]), &certified)],
        ))
        .start();
    // One that says nothing, and one that never comes to the end of what it says.
    for said in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(address(&gateway)).unwrap();
        stream.set_read_timeout(Some(limits::WAIT)).unwrap();
        stream.write_all(said).unwrap();
        let begun = Instant::now();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(begun.elapsed() >= Duration::from_millis(900), "{answer:?}");
        assert!(begun.elapsed() < limits::WAIT, "{answer:?}");
    }
    // What is no TLS is told so at once.
    let mut stream = TcpStream::connect(address(&gateway)).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
    let answer = run(async {
        let client = TlsClient::http2(&authority);
        let mut session: Session = client.connect(address(&gateway), "a.test").await.unwrap();
        session.get("a.test", "/hello").await.unwrap()
    });
    assert_eq!(answer.status, 200);
}

#[test]
fn http2_can_be_switched_off() {
    let upstream = Upstream::echo();
    let authority = Authority::new();
    let certified = authority.certify("a.test");
    let listen = json!([{"ip": "127.0.0.1", "port": 0, "enable_http2": false}]);
    let gateway = secure(json!({"listen": listen}))
        .routes(resources(
            &upstream,
            &[ssl("1", json!(["a.test"]), &certified)],
        ))
        .start();
    let session = run(TlsClient::http2(&authority).connect(address(&gateway), "a.test"));
    assert!(!session.unwrap().is_http2());
}
