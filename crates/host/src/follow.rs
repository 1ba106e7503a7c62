//! Runners that somebody else starts: notices when they come, go and are
//! replaced, without a call that has to fail first.
//!
//! One connection is held open. When it ends, or the socket's file is replaced,
//! the next one tells who listens now.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use crate::connection::dial;
use crate::limits::{
    CONNECT_TIMEOUT, FOLLOW_INTERVAL, FOLLOW_PATIENCE, FOLLOW_RETRY_FIRST, FOLLOW_RETRY_MAX,
};
use crate::process::{Process, SocketFile};
use crate::{Absence, CallError, Runner, Stage};

impl Runner {
    /// Calls whoever listens on `socket` as `instance`, for as long as somebody
    /// does. While nobody does, calls wait; after 30 s they fail at once, until
    /// somebody listens again. To be run by the control thread; ends some time
    /// after the runner was dropped.
    pub fn follow(
        self: &Arc<Self>,
        instance: usize,
        socket: PathBuf,
    ) -> impl Future<Output = ()> + Send + use<> {
        let follower = Follower {
            runner: Arc::downgrade(self),
            instance,
            socket,
            called: None,
            missing_since: None,
            told: None,
        };
        follower.run()
    }
}

struct Follower {
    runner: Weak<Runner>,
    instance: usize,
    socket: PathBuf,
    /// Who is called now.
    called: Option<Process>,
    /// Since when nobody listens.
    missing_since: Option<Instant>,
    /// What calls were told of that.
    told: Option<Absence>,
}

impl Follower {
    async fn run(mut self) {
        let mut pause = FOLLOW_RETRY_FIRST;
        while let Some(runner) = self.runner.upgrade() {
            let file = SocketFile::of(&self.socket);
            let settings = runner.settings();
            let dialled = dial(&self.socket, |uid| settings.allowed_uids.contains(&uid));
            let dialled = timeout(CONNECT_TIMEOUT, dialled).await;
            let dialled = dialled.unwrap_or(Err(CallError::Timeout {
                stage: Stage::Connect,
                after: CONNECT_TIMEOUT,
            }));
            let begun = Instant::now();
            match dialled {
                Ok((stream, process)) => {
                    self.here(&runner, process);
                    drop(runner);
                    self.hold(stream, file).await;
                }
                // Too busy to accept is busy, not gone.
                Err(error) if error.is_queue_full() && self.called.is_some() => {}
                Err(error) => self.missing(&runner, &error),
            }
            if begun.elapsed() >= FOLLOW_INTERVAL {
                pause = FOLLOW_RETRY_FIRST;
                continue;
            }
            sleep(pause).await;
            pause = (pause * 2).min(FOLLOW_RETRY_MAX);
        }
    }

    fn here(&mut self, runner: &Runner, process: Process) {
        (self.missing_since, self.told) = (None, None);
        if self.called != Some(process) {
            self.called = Some(process);
            runner.listening_as(self.instance, self.socket.clone(), Some(process));
        }
    }

    fn missing(&mut self, runner: &Runner, error: &CallError) {
        let since = *self.missing_since.get_or_insert_with(Instant::now);
        // Waiting does not turn somebody else's process into the runner's.
        let hope = !matches!(error, CallError::WrongUser { .. });
        let absence = if hope && since.elapsed() < FOLLOW_PATIENCE {
            Absence::Passing
        } else {
            Absence::Failing
        };
        self.called = None;
        if self.told != Some(absence) {
            self.told = Some(absence);
            runner.unavailable(self.instance, absence, error.to_string());
        }
    }

    /// Until the connection ends, something comes that nobody asked for, or
    /// the socket is replaced.
    async fn hold(&self, stream: UnixStream, file: SocketFile) {
        while self.runner.strong_count() > 0 && SocketFile::of(&self.socket) == file {
            if timeout(FOLLOW_INTERVAL, stream.readable()).await.is_ok() {
                return;
            }
        }
    }
}
