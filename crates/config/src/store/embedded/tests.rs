use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::super::{Condition, Key};
use super::*;

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn put(text: &str, uri: &str) -> Change {
    Change::Put {
        key: key(text),
        value: Arc::new(json!({"uri": uri})),
        expires: None,
    }
}

fn write(base: u64, conditions: Vec<Condition>, changes: Vec<Change>) -> Write {
    Write {
        base,
        conditions,
        changes,
    }
}

/// Commits changes that depend on nothing.
async fn make(store: &Embedded, changes: Vec<Change>) -> u64 {
    store.commit(write(0, vec![], changes)).await.unwrap()
}

fn uris(store: &Embedded) -> Vec<(String, String)> {
    let inventory = store.inventory();
    let rows = inventory.iter();
    rows.map(|(key, entry)| {
        (
            key.to_string(),
            entry.value["uri"].as_str().unwrap().to_owned(),
        )
    })
    .collect()
}

fn reopened(store: Embedded, folder: &TempDir) -> Embedded {
    drop(store);
    Embedded::open(folder.path(), Seal::default()).unwrap()
}

#[tokio::test]
async fn a_revision_is_counted_for_each_write_and_kept_with_what_it_wrote() {
    let store = Embedded::in_memory();
    assert_eq!(make(&store, vec![put("routes/a", "/1")]).await, 1);
    assert_eq!(make(&store, vec![put("routes/b", "/2")]).await, 2);
    assert_eq!(make(&store, vec![put("routes/a", "/3")]).await, 3);
    let inventory = store.inventory();
    let entry = inventory.get(&key("routes/a")).unwrap();
    assert_eq!((entry.created, entry.modified), (1, 3));
    make(&store, vec![Change::Delete(key("routes/a"))]).await;
    assert_eq!(make(&store, vec![put("routes/a", "/5")]).await, 5);
    let inventory = store.inventory();
    assert_eq!(inventory.get(&key("routes/a")).unwrap().created, 5);
}

#[tokio::test]
async fn a_write_whose_conditions_do_not_hold_changes_nothing() {
    let store = Embedded::in_memory();
    let base = make(&store, vec![put("routes/a", "/1"), put("services/s", "/s")]).await;
    make(&store, vec![put("routes/b", "/2")]).await;
    for (condition, holds) in [
        (Condition::Same(key("routes/a")), true),
        (Condition::Same(key("routes/b")), false),
        (Condition::Same(key("routes/none")), false),
        (Condition::Absent(key("routes/none")), true),
        (Condition::Absent(key("routes/a")), false),
        (Condition::NothingNewer("routes/".to_owned()), false),
        (Condition::NothingNewer("services/".to_owned()), true),
    ] {
        let before = uris(&store);
        let result = store
            .commit(write(
                base,
                vec![condition.clone()],
                vec![put("upstreams/u", "/")],
            ))
            .await;
        assert_eq!(result.is_ok(), holds, "{condition:?}");
        if holds {
            make(&store, vec![Change::Delete(key("upstreams/u"))]).await;
        } else {
            assert!(matches!(result, Err(StoreError::Conflict)));
        }
        assert_eq!(uris(&store), before);
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(folder.path(), Seal::default()).unwrap();
    make(&store, vec![put("routes/a", "/1"), put("routes/b", "/2")]).await;
    make(
        &store,
        vec![put("routes/a", "/3"), Change::Delete(key("routes/b"))],
    )
    .await;
    let store = reopened(store, &folder);
    assert_eq!(uris(&store), [("routes/a".to_owned(), "/3".to_owned())]);
    let inventory = store.inventory();
    let entry = inventory.get(&key("routes/a")).unwrap();
    assert_eq!((entry.created, entry.modified), (1, 2));
    assert_eq!(make(&store, vec![put("routes/c", "/4")]).await, 3);
}

#[tokio::test]
async fn the_file_is_for_its_user_alone_and_for_one_gateway() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("new/data");
    let _store = Embedded::open(&data, Seal::default()).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("resources.redb")), 0o600);
    let second = Embedded::open(&data, Seal::default()).unwrap_err();
    assert!(matches!(second, OpenError::InUse { .. }), "{second}");
}

#[tokio::test]
async fn a_file_that_is_none_of_ours_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("resources.redb");
    let bytes = vec![b'x'; 5000];
    std::fs::write(&file, &bytes).unwrap();
    let error = Embedded::open(folder.path(), Seal::default()).unwrap_err();
    assert!(matches!(error, OpenError::Broken { .. }), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);

    let blocked = file.join("data");
    let error = Embedded::open(&blocked, Seal::default()).unwrap_err();
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
}

#[tokio::test]
async fn whoever_waits_for_a_change_gets_it() {
    let store = Arc::new(Embedded::in_memory());
    let first = make(&store, vec![put("routes/a", "/1")]).await;
    assert_eq!(store.changed(0).await.revision(), first, "it was before");
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.changed(first).await.revision() }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    let second = make(&store, vec![put("routes/a", "/2")]).await;
    assert_eq!(waiting.await.unwrap(), second);
}

#[tokio::test]
async fn what_has_a_time_goes_when_it_is_over_even_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(folder.path(), Seal::default()).unwrap();
    let lasting = Duration::from_secs(3600);
    let brief = Duration::from_millis(100);
    let mortal = |text: &str, life| Change::Put {
        key: key(text),
        value: Arc::new(json!({"uri": "/"})),
        expires: Some(SystemTime::now() + life),
    };
    let changes = vec![
        mortal("routes/brief", brief),
        mortal("routes/lasting", lasting),
        put("routes/eternal", "/"),
    ];
    let base = make(&store, changes).await;
    let store = reopened(store, &folder);
    assert_eq!(uris(&store).len(), 3);
    let after = store.changed(base).await;
    let keys: Vec<_> = after.iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(keys, ["routes/eternal", "routes/lasting"]);
    assert_eq!(uris(&reopened(store, &folder)).len(), 2);
}

#[tokio::test]
async fn secrets_are_sealed_on_the_disk_and_plain_in_memory() {
    use super::super::seal::{Keyring, SecretFields};

    let folder = tempfile::tempdir().unwrap();
    let fields = || SecretFields::default().with("key-auth", &[], &["key"]);
    let seal = || Seal::new(Keyring::default(), fields());
    let jack = |key_of_jack: &str| Change::Put {
        key: key("consumers/jack"),
        value: Arc::new(json!({"plugins": {"key-auth": {"key": key_of_jack}}})),
        expires: None,
    };
    let found = |store: &Embedded| {
        let inventory = store.inventory();
        let value = &inventory.get(&key("consumers/jack")).unwrap().value;
        value["plugins"]["key-auth"]["key"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let has = |text: &str| {
        let file = std::fs::read(folder.path().join("resources.redb")).unwrap();
        file.windows(text.len()).any(|part| part == text.as_bytes())
    };

    let store = Embedded::open(folder.path(), seal()).unwrap();
    make(&store, vec![jack("hush-hush")]).await;
    assert_eq!(found(&store), "hush-hush");
    drop(store);
    assert!(!has("hush-hush"));
    let store = Embedded::open(folder.path(), seal()).unwrap();
    assert_eq!(found(&store), "hush-hush");
    drop(store);

    // Written plain before, or with sealing switched off since.
    let off = Seal::off(Keyring::default(), fields());
    let store = Embedded::open(folder.path(), off).unwrap();
    assert_eq!(found(&store), "hush-hush");
    make(&store, vec![jack("for-all-to-see")]).await;
    drop(store);
    assert!(has("for-all-to-see"));
    let store = Embedded::open(folder.path(), seal()).unwrap();
    assert_eq!(found(&store), "for-all-to-see");
}
