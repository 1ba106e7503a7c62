//! A gateway that is process 1, or a subreaper, inherits what its runners leave.
//!
//! By itself, because being a subreaper is a property of the whole process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use outrigger_supervisor::{Argv, Backoff, Event, Observer, SocketPath, Spec, Supervisor};
use rustix::io::Errno;
use rustix::process::{WaitOptions, getpid, set_child_subreaper, wait};
use tokio::sync::Notify;

/// Tells when the runner has written its first line.
#[derive(Default)]
struct FirstLine(Notify);

impl Observer for FirstLine {
    fn event(&self, _: &str, event: &Event<'_>) {
        if matches!(event, Event::Output { .. }) {
            self.0.notify_one();
        }
    }
}

fn spec(dir: &Path, script: &str) -> Spec {
    let argv = ["/bin/sh", "-c", script].map(Into::into).to_vec();
    Spec {
        name: "test".to_owned(),
        cmd: Argv::try_from(argv).unwrap(),
        working_dir: dir.to_owned(),
        env: Vec::new(),
        socket: SocketPath::Fresh {
            dir: dir.to_owned(),
        },
        conf_expire_time: Duration::from_secs(3600),
        start_limit: Duration::from_secs(60),
        drain: Duration::from_secs(10),
        max_rss: None,
        stop_grace: Duration::from_secs(300),
        backoff: Backoff::default(),
    }
}

#[tokio::test]
async fn descendants_that_outlive_their_leader_leave_no_zombies() {
    set_child_subreaper(Some(getpid())).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let line = Arc::new(FirstLine::default());
    let script = "sleep 300 & sleep 301 & echo ready; exec sleep 302";
    let handle = Supervisor::start(spec(dir.path(), script), line.clone());
    line.0.notified().await;
    handle.stop().await;
    assert_eq!(
        wait(WaitOptions::NOHANG).unwrap_err(),
        Errno::CHILD,
        "a child is left"
    );
}
