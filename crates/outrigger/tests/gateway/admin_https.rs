//! The Admin API over TLS.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use outrigger_harness::{Authority, Gateway, GatewayBuilder, Signal};
use serde_json::{Value, json};

use crate::support::{gateway, with};
use crate::tls_client::{TlsClient, run};

const KEY: &str = "a-key";

/// What `config.yaml` says of the Admin API, with `more`.
fn config(more: Value) -> Value {
    let admin = json!({"admin_listen": {"port": 0}, "admin_key": [{"key": KEY}]});
    json!({"deployment": {"role": "traditional", "admin": with(admin, more)}})
}

/// TLS with the files of [`builder`]; `more` is of `admin_api_mtls`.
fn tls(more: Value) -> Value {
    let files = json!({"admin_ssl_cert": "cert.pem", "admin_ssl_cert_key": "key.pem"});
    json!({"https_admin": true, "admin_api_mtls": with(files, more)})
}

fn builder(authority: &Authority, clients: &Authority) -> GatewayBuilder {
    let certified = authority.certify("admin.test");
    gateway()
        .file("cert.pem", certified.certificate)
        .file("key.pem", certified.key)
        .file("ca.pem", clients.certificate())
}

fn address(gateway: &Gateway) -> SocketAddr {
    let line = gateway.wait_log("Admin API: https://");
    let url = line.split_once("Admin API: https://").unwrap().1;
    url.split_whitespace().next().unwrap().parse().unwrap()
}

/// Writes a route and reads it; the error of the connection otherwise.
fn write_and_read(gateway: &Gateway, client: &TlsClient) -> Result<Value, String> {
    let address = address(gateway);
    let request = |method: &str, body: &str| {
        let request = Request::builder()
            .method(method)
            .uri("/apisix/admin/routes/1");
        let request = request
            .header("host", "admin.test")
            .header("x-api-key", KEY);
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        request.body(body).unwrap()
    };
    run(async {
        let connection = client.connect(address, "admin.test").await;
        let mut session = connection.map_err(|error| error.to_string())?;
        let route = r#"{"uri": "/a", "upstream": {"nodes": {"127.0.0.1:1": 1}}}"#;
        let written = session.send(request("PUT", route)).await;
        let written = written.map_err(|error| format!("{error:?}"))?;
        assert!(written.status.is_success(), "{written:?}");
        let read = session.send(request("GET", "")).await.unwrap();
        Ok(serde_json::from_str(read.text()).unwrap())
    })
}

#[test]
fn resources_are_changed_over_tls() {
    let authority = Authority::new();
    let gateway = builder(&authority, &authority)
        .config(config(tls(json!({}))))
        .start();
    let client = TlsClient::new(&authority);
    let route = write_and_read(&gateway, &client).unwrap();
    assert_eq!(route["value"]["uri"], "/a");
    let stranger = TlsClient::new(&Authority::new());
    let error = write_and_read(&gateway, &stranger).unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
}

#[test]
fn clients_show_a_certificate_where_one_is_asked_for() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let gateway = builder(&authority, &clients)
        .config(config(tls(json!({"admin_ssl_ca_cert": "ca.pem"}))))
        .start();
    let good = TlsClient::certified_http1(&authority, &clients.certify("client"));
    let route = write_and_read(&gateway, &good).unwrap();
    assert_eq!(route["value"]["uri"], "/a");
    let none = TlsClient::new(&authority);
    let error = none.refusal(address(&gateway), "admin.test");
    assert!(error.contains("CertificateRequired"), "{error}");
    let stranger = TlsClient::certified_http1(&authority, &authority.certify("client"));
    assert!(write_and_read(&gateway, &stranger).is_err());
}

#[test]
fn tls_is_switched_on_and_its_certificate_changed_by_a_reload() {
    let (authority, other) = (Authority::new(), Authority::new());
    let gateway = builder(&authority, &authority)
        .config(config(json!({})))
        .start();
    let plain = gateway.admin_api().get("/apisix/admin/routes");
    assert_eq!(plain.header("X-API-KEY", KEY).send().status, 200);
    gateway.write_config(config(tls(json!({}))));
    gateway.signal(Signal::HUP);
    let client = TlsClient::new(&authority);
    write_and_read(&gateway, &client).unwrap();
    let certified = other.certify("admin.test");
    std::fs::write(gateway.folder().join("cert.pem"), certified.certificate).unwrap();
    std::fs::write(gateway.folder().join("key.pem"), certified.key).unwrap();
    gateway.signal(Signal::HUP);
    let client = TlsClient::new(&other);
    outrigger_harness::eventually("the other certificate is shown", || {
        write_and_read(&gateway, &client).is_ok()
    });
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused() {
    let authority = Authority::new();
    let exit = builder(&authority, &authority)
        .file("key.pem", authority.certify("admin.test").key)
        .config(config(tls(json!({}))))
        .run();
    assert_eq!(exit.status.code(), Some(1), "{exit:?}");
    let said = "deployment.admin.admin_api_mtls: keys may not be consistent";
    assert!(exit.stderr.contains(said), "{}", exit.stderr);
}
