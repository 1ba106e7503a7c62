//! What only a store that misbehaves shows.

use std::collections::VecDeque;
use std::sync::Mutex;

use outrigger_config::store::seal::{Keyring, SecretFields};
use outrigger_config::store::{Embedded, Later, StoreError, Write};

use super::*;
use crate::PluginInfo;

/// A store that fails as it is told, and then works.
struct Failing {
    store: Embedded,
    failures: Mutex<VecDeque<StoreError>>,
}

impl Store for Failing {
    fn inventory(&self) -> Arc<Inventory> {
        self.store.inventory()
    }

    fn commit(&self, write: Write) -> Later<'_, Result<u64, StoreError>> {
        match self.failures.lock().unwrap().pop_front() {
            Some(failure) => Box::pin(std::future::ready(Err(failure))),
            None => self.store.commit(write),
        }
    }

    fn changed(&self, seen: u64) -> Later<'_, Arc<Inventory>> {
        self.store.changed(seen)
    }
}

struct Idle;

impl Gateway for Idle {
    fn try_out(&self, _: &Inventory, _: &ResourceKey) -> Result<(), String> {
        Ok(())
    }

    fn try_out_all(
        &self,
        _: &Inventory,
        _: &HashSet<ResourceKey>,
    ) -> Result<(), Vec<(ResourceKey, String)>> {
        Ok(())
    }

    fn applied(&self, _: u64) -> Answer<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn reload(&self) -> Answer<'_, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Knows that `key-auth` is there to know consumers by.
fn catalogue() -> Arc<Catalogue> {
    let known = PluginInfo {
        name: "key-auth".to_owned(),
        priority: 1,
        is_auth: true,
        schema: json!({"type": "object"}),
        consumer_schema: None,
        metadata_schema: None,
    };
    Catalogue::new(vec![known], |_, _, _, _| Ok(())).unwrap()
}

fn api(failures: impl IntoIterator<Item = StoreError>) -> AdminApi {
    let catalogue = catalogue();
    AdminApi {
        access: Access {
            keys: None,
            addresses: Vec::new(),
        },
        store: Arc::new(Failing {
            store: Embedded::in_memory(),
            failures: Mutex::new(failures.into_iter().collect()),
        }),
        catalogue: Arc::new(ArcSwap::new(catalogue)),
        gateway: Arc::new(Idle),
        seal: Arc::new(seal()),
        env: |_| None,
        whole: None,
        prefix: "/apisix".to_owned(),
        cors: false,
    }
}

fn seal() -> Seal {
    let fields = SecretFields::default().with("key-auth", &[], &["key"]);
    Seal::new(Keyring::default(), fields)
}

async fn call(api: &AdminApi, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("{BASE}/{path}"));
    let (head, ()) = request.body(()).unwrap().into_parts();
    let mut call = Call::of(&head, BASE).unwrap();
    call.take_body(body.to_string().as_bytes()).unwrap();
    let response = api.answer(call).await;
    let status = response.status();
    let body = to_bytes(response.into_body(), limits::BODY).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

/// What the store has of a consumer's key.
fn kept(api: &AdminApi) -> String {
    let inventory = api.store.inventory();
    let entry = inventory.get(&"consumers/jack".parse().unwrap()).unwrap();
    let key = &entry.value["plugins"]["key-auth"]["key"];
    key.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_shown_can_be_changed_and_handed_in_again() {
    let api = api([]);
    let sealed = "sGfoff/k5TVaPiyGca5e5w==";
    let jack = json!({"username": "jack", "plugins": {"key-auth": {"key": "k1"}}});
    let (status, made) = call(&api, Method::PUT, "consumers", jack).await;
    assert_eq!(status, StatusCode::CREATED);
    let key = "/value/plugins/key-auth/key";
    assert_eq!(made.pointer(key), Some(&sealed.into()));
    assert_eq!(kept(&api), "k1");

    let (_, mut shown) = call(&api, Method::GET, "consumers/jack", Value::Null).await;
    assert_eq!(shown.pointer(key), Some(&sealed.into()));
    let (_, list) = call(&api, Method::GET, "consumers", Value::Null).await;
    assert_eq!(list["list"][0].pointer(key), Some(&sealed.into()));

    let mut changed = shown["value"].take();
    for time in ["create_time", "update_time"] {
        changed.as_object_mut().unwrap().remove(time);
    }
    changed["desc"] = "other".into();
    let (status, body) = call(&api, Method::PUT, "consumers/jack", changed).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["value"]["desc"], "other");
    assert_eq!(body.pointer(key), Some(&sealed.into()));
    assert_eq!(kept(&api), "k1");
}

#[tokio::test]
async fn a_part_that_was_shown_means_what_it_was() {
    let api = api([]);
    let pem = |what: &str| {
        format!(
            "-----BEGIN {what}-----\n{}\n-----END {what}-----\n",
            "x".repeat(128)
        )
    };
    let (cert, private) = (pem("CERTIFICATE"), pem("PRIVATE KEY"));
    let sealed = Keyring::default().seal(&private);
    let key: ResourceKey = "upstreams/u".parse().unwrap();
    let tls = |key: &str| json!({"client_cert": cert, "client_key": key});
    for (part, handed_in) in [
        ("tls", tls(&sealed)),
        ("tls/client_key", sealed.clone().into()),
        ("tls/client_key", private.clone().into()),
    ] {
        let part: Vec<_> = part.split('/').map(str::to_owned).collect();
        let opened = api.opened_part(&key, &part, &handed_in);
        let expected = if part.len() == 1 {
            tls(&private)
        } else {
            private.clone().into()
        };
        assert_eq!(opened, expected);
    }
    let elsewhere = ["desc".to_owned()];
    let text = Value::from(sealed);
    assert_eq!(api.opened_part(&key, &elsewhere, &text), text);
    assert_eq!(api.opened_part(&key, &elsewhere, &Value::Null), Value::Null);
}

fn route() -> Value {
    json!({"uri": "/a", "plugins": {}})
}

#[tokio::test]
async fn a_change_is_decided_anew_when_the_resources_have_changed_meanwhile() {
    let api = api([StoreError::Conflict, StoreError::Conflict]);
    let (status, _) = call(&api, Method::PUT, "routes/1", route()).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(api.store.inventory().revision(), 1);
}

#[tokio::test]
async fn a_change_that_never_comes_through_is_given_up() {
    let failures = (0..limits::DECISIONS).map(|_| StoreError::Conflict);
    let api = api(failures);
    let (status, body) = call(&api, Method::PUT, "routes/1", route()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    assert_eq!(api.store.inventory().revision(), 0);
}

#[tokio::test]
async fn a_store_that_cannot_write_is_said_to_be() {
    let api = api([StoreError::Unavailable("the disk is full".to_owned())]);
    let (status, body) = call(&api, Method::PUT, "routes/1", route()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        body,
        json!({"error_msg": "the store cannot write: the disk is full"})
    );
    let (status, _) = call(&api, Method::GET, "routes/1", Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_deleted_meanwhile_cannot_be_named() {
    let api = api([]);
    let upstream = json!({"nodes": {"127.0.0.1:1": 1}});
    call(&api, Method::PUT, "upstreams/u", upstream).await;
    // A decision that rests on the upstream, and is carried out after it has gone.
    let segments = ["routes".to_owned(), "1".to_owned()];
    let place = Place::of(&segments).unwrap();
    let now = api.store.inventory();
    let body = json!({"uri": "/a", "upstream_id": "u"});
    let decision = api.put(&place, write::Wanted::Whole, Some(&body), None, &now);
    let write = decision
        .map_err(|_| "refused")
        .unwrap()
        .into_write(now.revision());
    let (status, _) = call(&api, Method::DELETE, "upstreams/u", Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let late = api.store.commit(write).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
}

#[tokio::test]
async fn what_is_named_meanwhile_cannot_be_deleted() {
    let api = api([]);
    let upstream = json!({"nodes": {"127.0.0.1:1": 1}});
    call(&api, Method::PUT, "upstreams/u", upstream).await;
    let segments = ["upstreams".to_owned(), "u".to_owned()];
    let place = Place::of(&segments).unwrap();
    let now = api.store.inventory();
    let decision = api.delete(&place, false, &now).map_err(|_| "refused");
    let write = decision.unwrap().into_write(now.revision());
    let body = json!({"uri": "/a", "upstream_id": "u"});
    let (status, _) = call(&api, Method::PUT, "routes/1", body).await;
    assert_eq!(status, StatusCode::CREATED);
    let late = api.store.commit(write).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
}
