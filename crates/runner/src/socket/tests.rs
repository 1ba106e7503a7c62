use std::os::unix::net::UnixListener as StdListener;

use tempfile::TempDir;

use super::*;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

async fn error(path: &Path) -> ServeError {
    listen(path, 0o600).await.map(|_| ()).unwrap_err()
}

#[tokio::test]
async fn the_socket_has_the_mode_that_was_asked_for_and_accepts() {
    let folder = folder();
    for mode in [0o600, 0o700, 0o666] {
        let path = folder.path().join(format!("{mode:o}.sock"));
        let (listener, _file) = listen(&path, mode).await.unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            mode
        );
        let _host = UnixStream::connect(&path).await.unwrap();
        listener.accept().await.unwrap();
    }
}

#[tokio::test]
async fn the_file_goes_with_its_owner() {
    let folder = folder();
    let (_listener, file) = listen(&folder.path().join("a.sock"), 0o600).await.unwrap();
    assert_eq!(names(&folder), ["a.sock"]);
    drop(file);
    assert!(names(&folder).is_empty());
}

#[tokio::test]
async fn a_file_that_is_gone_already_is_no_trouble() {
    let folder = folder();
    let path = folder.path().join("a.sock");
    let (_listener, file) = listen(&path, 0o600).await.unwrap();
    fs::remove_file(&path).unwrap();
    drop(file);
}

#[tokio::test]
async fn a_successors_file_stays() {
    let folder = folder();
    let path = folder.path().join("a.sock");
    let (listener, file) = listen(&path, 0o600).await.unwrap();
    fs::remove_file(&path).unwrap();
    let (_successor, _successors_file) = listen(&path, 0o600).await.unwrap();
    drop(listener);
    drop(file);
    assert_eq!(names(&folder), ["a.sock"]);
    UnixStream::connect(&path)
        .await
        .expect("the successor still answers");
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced() {
    let folder = folder();
    let path = folder.path().join("a.sock");
    drop(StdListener::bind(&path).unwrap());
    let (_listener, _file) = listen(&path, 0o600).await.unwrap();
    UnixStream::connect(&path).await.unwrap();
}

#[tokio::test]
async fn a_socket_in_use_is_an_error_and_stays_in_use() {
    let folder = folder();
    let path = folder.path().join("a.sock");
    let (_listener, _file) = listen(&path, 0o600).await.unwrap();
    let error = error(&path).await;
    assert!(
        matches!(&error, ServeError::InUse(at) if *at == path),
        "{error}"
    );
    assert!(error.to_string().contains("a.sock"));
    UnixStream::connect(&path).await.unwrap();
}

#[tokio::test]
async fn a_socket_whose_backlog_is_full_is_in_use_and_not_waited_for() {
    let folder = folder();
    let path = folder.path().join("a.sock");
    let socket = UnixSocket::new_stream().unwrap();
    socket.bind(&path).unwrap();
    let _listener = socket.listen(0).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = UnixStream::connect(&path).await {
        waiting.push(stream);
    }
    assert!(matches!(error(&path).await, ServeError::InUse(_)));
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let folder = folder();
    let path = folder.path().join("precious");
    fs::write(&path, "data").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    for path in [&path, &link] {
        assert!(matches!(error(path).await, ServeError::NotASocket(_)));
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
}

#[tokio::test]
async fn a_folder_that_is_missing_is_named() {
    let folder = folder();
    let path = folder.path().join("missing/a.sock");
    let error = error(&path).await;
    assert!(matches!(error, ServeError::Listen { .. }));
    assert!(error.to_string().contains("missing/a.sock"), "{error}");
}

#[tokio::test]
async fn a_path_that_is_too_long_is_named() {
    let folder = folder();
    let path = folder.path().join("x".repeat(120));
    assert!(error(&path).await.to_string().contains("xxx"));
}
