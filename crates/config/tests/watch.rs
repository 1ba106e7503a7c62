//! Watching real files. The time that passes between two looks is simulated.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use outrigger_config::{Change, Format, Watch};
use outrigger_model::Kind;
use tempfile::TempDir;
use tokio::time::timeout;

/// A folder with an `apisix.yaml` under watch.
struct Scene {
    folder: TempDir,
    watch: Watch,
}

impl Scene {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let watch = Watch::new(folder.path().join("apisix.yaml"), Format::Yaml, |_| None);
        Self { folder, watch }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    /// A configuration with one route of this id.
    fn write_route(&self, name: &str, id: &str) {
        self.write(name, &text(id));
    }

    /// The ids of the routes that the next change brings, or what is wrong with it.
    async fn next(&mut self) -> String {
        let change = timeout(Duration::from_secs(60), self.watch.next()).await;
        self.shown(change.expect("a change"))
    }

    fn shown(&self, change: Change) -> String {
        match change {
            Ok((_, resources)) => {
                let ids = resources.ids(Kind::Route);
                let ids: Vec<_> = ids.into_iter().map(ToString::to_string).collect();
                format!("routes {}", ids.join(" "))
            }
            Err(report) => {
                let file = report.file().display().to_string();
                report.to_string().replace(&file, "FILE")
            }
        }
    }

    async fn stays_quiet(&mut self) {
        let change = timeout(Duration::from_secs(60), self.watch.next()).await;
        assert!(change.is_err(), "{}", self.shown(change.expect("a change")));
    }
}

fn text(id: &str) -> String {
    format!("routes:\n- {{id: {id}, uri: /a, plugins: {{}}}}\n#END\n")
}

#[tokio::test(start_paused = true)]
async fn the_file_comes_at_once_and_then_when_it_changes() {
    let mut scene = Scene::new();
    scene.write_route("apisix.yaml", "one");
    assert_eq!(scene.next().await, "routes one");
    scene.stays_quiet().await;
    scene.write_route("apisix.yaml", "two");
    assert_eq!(scene.next().await, "routes two");
    scene.stays_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_leaves_time_and_size_as_they_were_is_seen() {
    let mut scene = Scene::new();
    scene.write_route("apisix.yaml", "aaa");
    scene.next().await;
    let path = scene.path("apisix.yaml");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    scene.write_route("apisix.yaml", "bbb");
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(modified).unwrap();
    assert_eq!(scene.next().await, "routes bbb");
}

#[tokio::test(start_paused = true)]
async fn a_touched_file_with_the_same_text_is_no_change() {
    let mut scene = Scene::new();
    scene.write_route("apisix.yaml", "one");
    scene.next().await;
    scene.write_route("new", "one");
    fs::rename(scene.path("new"), scene.path("apisix.yaml")).unwrap();
    scene.stays_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_renamed_over_it_is_seen() {
    let mut scene = Scene::new();
    scene.write_route("apisix.yaml", "one");
    scene.next().await;
    scene.write_route("new", "two");
    fs::rename(scene.path("new"), scene.path("apisix.yaml")).unwrap();
    assert_eq!(scene.next().await, "routes two");
}

#[tokio::test(start_paused = true)]
async fn a_symbolic_link_that_is_turned_is_seen() {
    let mut scene = Scene::new();
    scene.write_route("one.yaml", "one");
    scene.write_route("two.yaml", "two");
    symlink(scene.path("one.yaml"), scene.path("apisix.yaml")).unwrap();
    assert_eq!(scene.next().await, "routes one");
    symlink(scene.path("two.yaml"), scene.path("new")).unwrap();
    fs::rename(scene.path("new"), scene.path("apisix.yaml")).unwrap();
    assert_eq!(scene.next().await, "routes two");
}

#[tokio::test(start_paused = true)]
async fn a_broken_file_is_told_of_once() {
    let mut scene = Scene::new();
    scene.write_route("apisix.yaml", "one");
    scene.next().await;
    scene.write("apisix.yaml", "routes:\n- uri: 5\n  plugins: {}\n#END\n");
    let expected = "FILE:2:3: routes[0].uri: wrong type: expected string, got number";
    assert_eq!(scene.next().await, expected);
    scene.stays_quiet().await;
    scene.write_route("apisix.yaml", "one");
    assert_eq!(scene.next().await, "routes one");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_gone_is_told_of_once_and_may_come_back() {
    let mut scene = Scene::new();
    scene.write_route("apisix.yaml", "one");
    scene.next().await;
    fs::remove_file(scene.path("apisix.yaml")).unwrap();
    let expected = "FILE: cannot be read: No such file or directory (os error 2)";
    assert_eq!(scene.next().await, expected);
    scene.stays_quiet().await;
    scene.write_route("apisix.yaml", "one");
    assert_eq!(scene.next().await, "routes one");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_there_at_first_is_told_of_at_once() {
    let mut scene = Scene::new();
    let soon = timeout(Duration::from_millis(10), scene.next()).await;
    let expected = "FILE: cannot be read: No such file or directory (os error 2)";
    assert_eq!(soon.expect("at once"), expected);
    scene.write_route("apisix.yaml", "one");
    assert_eq!(scene.next().await, "routes one");
}

#[tokio::test(start_paused = true)]
async fn whoever_replaces_the_file_slowly_is_given_time() {
    let mut scene = Scene::new();
    scene.write_route("apisix.yaml", "one");
    scene.next().await;
    let whole = text("two");
    for len in (0..whole.len() - 1).step_by(7) {
        scene.write("apisix.yaml", &whole[..len]);
        let soon = timeout(Duration::from_millis(500), scene.watch.next()).await;
        assert!(soon.is_err(), "told after {len} bytes");
    }
    scene.write("apisix.yaml", &whole);
    assert_eq!(scene.next().await, "routes two");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_stays_unfinished_is_told_of() {
    let mut scene = Scene::new();
    scene.write_route("apisix.yaml", "one");
    scene.next().await;
    scene.write("apisix.yaml", "routes: []\n");
    let expected = "FILE: there is no line #END: the file is not complete";
    assert_eq!(scene.next().await, expected);
    scene.stays_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_file_is_not_waited_for() {
    let mut scene = Scene::new();
    fs::create_dir(scene.path("apisix.yaml")).unwrap();
    assert_eq!(scene.next().await, "FILE: cannot be read: it is not a file");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_text_is_reported() {
    let mut scene = Scene::new();
    fs::write(scene.path("apisix.yaml"), b"\xff\n#END\n").unwrap();
    assert_eq!(
        scene.next().await,
        "FILE: cannot be read: stream did not contain valid UTF-8"
    );
}

#[tokio::test(start_paused = true)]
async fn a_json_file_is_told_of_when_it_is_whole() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("apisix.json");
    fs::write(
        &path,
        r#"{"routes": [{"id": "a", "uri": "/a", "plugins": {}}]}"#,
    )
    .expect("written");
    let watch = Watch::new(&path, Format::Json, |_| None);
    let mut scene = Scene { folder, watch };
    assert_eq!(scene.next().await, "routes a");
    scene.write("apisix.json", r#"{"routes": [{"id": "b", "uri""#);
    assert!(
        scene.watch.look_now().is_none(),
        "it may be written further"
    );
    scene.write(
        "apisix.json",
        r#"{"routes": [{"id": "b", "uri": "/", "plugins": {}}]}"#,
    );
    assert_eq!(scene.next().await, "routes b");
}
