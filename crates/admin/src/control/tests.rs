//! Through a socket, as a client meets the API.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Mutex;

use outrigger_config::store::Key;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::limits;
use crate::server::{Bound, Serving};

#[derive(Default)]
struct Fake {
    done: Mutex<Vec<(String, Command)>>,
    broken: bool,
}

impl Control for Fake {
    fn runners(&self) -> Answer<'_, Vec<RunnerStatus>> {
        let status = RunnerStatus {
            name: "java".to_owned(),
            instance: 1,
            state: RunnerState::Running,
            pid: Some(42),
            generation: Some(3),
            restarts: 2,
            since: Some(std::time::UNIX_EPOCH + std::time::Duration::from_secs(7)),
            socket: Some(PathBuf::from("/run/java.3.sock")),
            in_flight: 1,
            queued: 0,
            breaker: None,
            trouble: None,
        };
        Box::pin(std::future::ready(vec![status]))
    }

    fn command(&self, name: String, command: Command) -> Answer<'_, Result<(), CommandError>> {
        let known = vec!["java".to_owned()];
        let result = match name.as_str() {
            "java" => Ok(()),
            "go" => Err(CommandError::External {
                name: name.clone(),
                socket: PathBuf::from("/run/go.sock"),
            }),
            _ => Err(CommandError::Unknown {
                name: name.clone(),
                known,
            }),
        };
        self.done.lock().unwrap().push((name, command));
        Box::pin(std::future::ready(result))
    }

    fn reload(&self) -> Answer<'_, Result<(), String>> {
        let result = if self.broken {
            Err("config.yaml:1:1: cmnd: unknown property".to_owned())
        } else {
            Ok(())
        };
        Box::pin(std::future::ready(result))
    }

    fn etcd(&self) -> Option<EtcdStatus> {
        None
    }

    fn health(&self) -> Vec<CheckedUpstream> {
        let checked = |name: &str| CheckedUpstream {
            name: name.to_owned(),
            r#type: "http",
            nodes: vec![CheckedNode {
                ip: "127.0.0.1".to_owned(),
                port: 80,
                hostname: "a.test".to_owned(),
                status: "mostly_healthy",
                counter: Counter {
                    http_failure: 1,
                    ..Counter::default()
                },
            }],
        };
        ["/apisix/upstreams/5", "/apisix/routes/2"]
            .map(checked)
            .into()
    }

    fn resources(&self) -> Arc<Inventory> {
        let key = Key::new("routes", "1").unwrap();
        let value = json!({"id": "1", "uri": "/a"});
        Arc::new(Inventory::of_revision(5, [(key, Arc::new(value))]))
    }
}

fn catalogue() -> Arc<ArcSwap<Catalogue>> {
    let plugin = crate::PluginInfo {
        name: "say".to_owned(),
        priority: 1,
        is_auth: true,
        schema: json!({"type": "object"}),
        consumer_schema: None,
        metadata_schema: None,
    };
    let catalogue = Catalogue::new(vec![plugin], |_, _, _, _| Ok(())).unwrap();
    Arc::new(ArcSwap::new(catalogue))
}

async fn start(gateway: Arc<Fake>) -> (SocketAddr, Serving) {
    let bound = Bound::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = bound.address();
    (
        address,
        bound.serve(
            router(gateway, catalogue(), Arc::default(), address.ip()),
            None,
        ),
    )
}

/// What is answered to `head` on a connection of its own: status and body.
async fn ask(address: SocketAddr, head: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{head}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

async fn request(address: SocketAddr, method: &str, path: &str) -> (u16, Value) {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost");
    let (status, body) = ask(address, &head).await;
    let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
    (status, body)
}

#[tokio::test]
async fn runners_are_shown_and_take_commands() {
    let gateway = Arc::new(Fake::default());
    let (address, _serving) = start(Arc::clone(&gateway)).await;
    let (status, body) = request(address, "GET", "/v1/runners").await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!([{
            "name": "java", "instance": 1, "state": "running", "pid": 42, "generation": 3,
            "restarts": 2, "since": 7, "socket": "/run/java.3.sock", "in_flight": 1, "queued": 0,
            "breaker": null, "trouble": null,
        }])
    );
    for (path, expected, said) in [
        ("/v1/runners/java/restart", 200, "java"),
        ("/v1/runners/java/stop", 200, "java"),
        ("/v1/runners/java/start", 200, "java"),
        ("/v1/runners/java/explode", 404, "restart, stop, start"),
        ("/v1/runners/rust/stop", 404, "there are: java"),
        ("/v1/runners/go/stop", 409, "/run/go.sock"),
    ] {
        let (status, body) = request(address, "POST", path).await;
        assert_eq!(status, expected, "{path}");
        assert!(body.to_string().contains(said), "{body}");
    }
    let done = gateway.done.lock().unwrap().clone();
    assert_eq!(done.len(), 5, "an unknown command reaches nobody: {done:?}");
    assert_eq!(done[1], ("java".to_owned(), Command::Stop));
}

#[tokio::test]
async fn resources_have_apisix_s_shape() {
    let (address, _serving) = start(Arc::default()).await;
    let route = json!({
        "key": "/routes/1", "value": {"id": "1", "uri": "/a"}, "createdIndex": 5,
        "modifiedIndex": 5, "orig_modifiedIndex": 5, "has_domain": false, "clean_handlers": {},
    });
    let (_, body) = request(address, "GET", "/v1/routes").await;
    assert_eq!(body, json!([route]));
    let (_, body) = request(address, "GET", "/v1/route/1").await;
    assert_eq!(body, route);
    let (status, _) = request(address, "GET", "/v1/route/2").await;
    assert_eq!(status, 404);
    let (_, body) = request(address, "GET", "/v1/upstreams").await;
    assert_eq!(body, json!([]));
}

#[tokio::test]
async fn schemas_of_resources_and_plugins_are_shown() {
    let (address, _serving) = start(Arc::default()).await;
    let (status, body) = request(address, "GET", "/v1/schema").await;
    assert_eq!(status, 200);
    assert_eq!(body["main"]["consumer"]["required"], json!(["username"]));
    assert_eq!(body["main"]["plugin_config"]["type"], "object");
    let plugin =
        json!({"priority": 1, "version": 0.1, "schema": {"type": "object"}, "type": "auth"});
    assert_eq!(body["plugins"], json!({"say": plugin}));
}

#[tokio::test]
async fn a_reload_says_what_is_wrong() {
    let (address, _serving) = start(Arc::default()).await;
    assert_eq!(request(address, "POST", "/v1/reload").await.0, 200);
    let reloaded = request(address, "PUT", "/v1/plugins/reload").await;
    assert_eq!(reloaded, (200, json!("done")));
    assert_eq!(request(address, "GET", "/v1/reload").await.0, 405);

    let broken = Fake {
        broken: true,
        ..Fake::default()
    };
    let (address, _serving) = start(Arc::new(broken)).await;
    let (status, body) = request(address, "POST", "/v1/reload").await;
    assert_eq!(status, 400);
    assert!(
        body["error_msg"].as_str().unwrap().contains("cmnd"),
        "{body}"
    );
}

#[tokio::test]
async fn a_web_page_changes_nothing() {
    let gateway = Arc::new(Fake::default());
    let (address, _serving) = start(Arc::clone(&gateway)).await;
    let path = "POST /v1/runners/java/stop HTTP/1.1\r\n";
    for headers in [
        "Host: evil.test",
        "Host: localhost\r\nOrigin: https://evil.test",
    ] {
        assert_eq!(ask(address, &format!("{path}{headers}")).await.0, 403);
    }
    assert_eq!(*gateway.done.lock().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_stays_silent_is_closed() {
    let (address, _serving) = start(Arc::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /v1/runners HT").await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut rest = Vec::new();
    // How it is closed depends on what was sent; that it is, is what counts.
    let _ = stream.read_to_end(&mut rest).await;
    let waited = begun.elapsed();
    assert!(
        waited >= limits::IDLE && waited < 2 * limits::IDLE,
        "{waited:?}"
    );
}

#[tokio::test]
async fn more_connections_than_there_is_room_for_wait() {
    let (address, serving) = start(Arc::default()).await;
    let mut silent = Vec::new();
    for _ in 0..limits::CONNECTIONS {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let head = "GET /v1/runners HTTP/1.1\r\nHost: localhost";
    let mut waiting = Box::pin(ask(address, head));
    for stream in &mut silent {
        // Each of them is served, so all the room is taken.
        stream
            .write_all(format!("{head}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut byte = [0];
        tokio::select! {
            read = stream.read_exact(&mut byte) => { read.unwrap(); }
            _ = &mut waiting => panic!("it was served beside the others"),
        }
    }
    silent.pop();
    assert_eq!(waiting.await.0, 200);
    serving.stop().await;
}

#[tokio::test]
async fn health_is_shown_as_apisix_does() {
    let (address, _serving) = start(Arc::default()).await;
    let of = |name: &str| {
        json!({"name": name, "type": "http", "nodes": [{
            "ip": "127.0.0.1", "port": 80, "hostname": "a.test", "status": "mostly_healthy",
            "counter": {
                "success": 0, "http_failure": 1, "tcp_failure": 0, "timeout_failure": 0,
            },
        }]})
    };
    let (route, upstream) = (of("/apisix/routes/2"), of("/apisix/upstreams/5"));
    let why = |why: &str| json!({"error_msg": why});
    for (path, expected) in [
        ("", (200, json!([route, upstream]))),
        ("/upstreams/5", (200, upstream.clone())),
        ("/routes/1", (404, why("no checker for routes[1]"))),
        ("/routes/7", (404, why("routes[7] not found"))),
        ("/routes", (404, why("missing src id for src type routes"))),
        ("/consumers/5", (400, why("invalid src type consumers"))),
    ] {
        let path = format!("/v1/healthcheck{path}");
        assert_eq!(request(address, "GET", &path).await, expected, "{path}");
    }
}
