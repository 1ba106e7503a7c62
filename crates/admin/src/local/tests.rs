use std::collections::HashSet;

use outrigger_config::store::{Embedded, Store, Write};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::*;
use crate::api::Gateway;
use crate::control::Answer;

/// A gateway on which everything holds but routes that are called `bad`.
struct Picky;

impl Gateway for Picky {
    fn try_out(&self, _: &Inventory, _: &Key) -> Result<(), String> {
        Ok(())
    }

    fn try_out_all(&self, next: &Inventory, _: &HashSet<Key>) -> Result<(), Vec<(Key, String)>> {
        let bad: Key = "routes/bad".parse().unwrap();
        match next.get(&bad) {
            Some(_) => Err(vec![(bad, "it is bad".to_owned())]),
            None => Ok(()),
        }
    }

    fn applied(&self, _: u64) -> Answer<'_, ()> {
        Box::pin(async {})
    }

    fn reload(&self) -> Answer<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

struct Scene {
    store: Arc<Embedded>,
    client: Client,
    folder: TempDir,
}

async fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let store = Arc::new(Embedded::in_memory());
    let listener = UnixListener::bind(&socket).unwrap();
    let kept: Arc<dyn Store> = Arc::clone(&store) as _;
    tokio::spawn(serve(listener, kept, Arc::new(Picky)));
    Scene {
        store,
        client: Client::new(&socket),
        folder,
    }
}

fn put(key: &str, expires: Option<SystemTime>) -> Change {
    Change::Put {
        key: key.parse().unwrap(),
        value: Arc::new(json!({"uri": "/"})),
        expires,
    }
}

#[tokio::test]
async fn resources_are_read_and_written() {
    let scene = scene().await;
    let mortal = SystemTime::now() + Duration::from_secs(3600);
    let changes = vec![put("routes/a", None), put("routes/b", Some(mortal))];
    let write = Write {
        base: 0,
        conditions: vec![],
        changes,
    };
    scene.store.commit(write).await.unwrap();
    let seen = scene.client.inventory().await.unwrap();
    assert_eq!(seen.revision(), 1);
    let key = |text: &str| text.parse::<Key>().unwrap();
    assert!(seen.get(&key("routes/a")).unwrap().expires.is_none());
    assert!(seen.get(&key("routes/b")).unwrap().expires.is_some());

    let changes = [put("routes/c", None), Change::Delete(key("routes/a"))];
    assert_eq!(scene.client.write(1, &changes).await.unwrap(), 2);
    let now = scene.store.inventory();
    let keys: Vec<_> = now.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["routes/b", "routes/c"]);
}

#[tokio::test]
async fn what_does_not_hold_or_comes_too_late_changes_nothing() {
    let scene = scene().await;
    let refused = scene.client.write(0, &[put("routes/bad", None)]).await;
    let said = refused.unwrap_err().to_string();
    assert_eq!(said, "the gateway refuses routes/bad: it is bad");
    scene
        .client
        .write(0, &[put("routes/a", None)])
        .await
        .unwrap();
    let late = scene.client.write(0, &[put("routes/b", None)]).await;
    assert!(matches!(late, Err(AskError::Conflict)), "{late:?}");
    assert_eq!(scene.store.inventory().iter().count(), 1);
}

#[tokio::test]
async fn who_speaks_otherwise_is_told_so_and_the_next_is_served() {
    let scene = scene().await;
    for text in ["", "x", r#"{"version": 2, "request": "read"}"#] {
        let mut stream = UnixStream::connect(scene.folder.path().join("socket"))
            .await
            .unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert!(said.contains("another version"), "{said}");
    }
    assert_eq!(scene.client.inventory().await.unwrap().revision(), 0);
}

#[tokio::test]
async fn nobody_there_is_told_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none");
    let said = Client::new(&socket).inventory().await.unwrap_err();
    let expected = format!("the gateway cannot be asked at {}", socket.display());
    assert!(said.to_string().starts_with(&expected), "{said}");
}
