//! What a runner's process was last seen doing.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use outrigger_admin::control::{RunnerState, RunnerStatus};
use outrigger_supervisor::{Event, Generation};

/// Follows a runner's events.
#[derive(Debug)]
pub(super) struct Seen(Mutex<RunnerStatus>);

impl Seen {
    pub(super) fn new(name: &str) -> Self {
        Seen(Mutex::new(RunnerStatus {
            name: name.to_owned(),
            instance: 1,
            state: RunnerState::Absent,
            pid: None,
            generation: None,
            restarts: 0,
            since: None,
            socket: None,
            in_flight: 0,
            queued: 0,
            breaker: None,
            trouble: None,
        }))
    }

    /// Somebody else starts it.
    pub(super) fn external(&self, socket: PathBuf) {
        let mut status = self.status();
        status.state = RunnerState::External;
        status.socket = Some(socket);
    }

    pub(super) fn get(&self) -> RunnerStatus {
        self.status().clone()
    }

    pub(super) fn event(&self, event: &Event<'_>) {
        let mut status = self.status();
        let before = status.state;
        let of_shown = |generation: &Generation| status.generation == Some(generation.get());
        match event {
            Event::Spawned {
                generation,
                pid,
                socket,
            } => {
                status.restarts += u64::from(status.since.is_some());
                // While a predecessor serves, that one is shown.
                if before != RunnerState::Running {
                    status.state = RunnerState::Starting;
                    status.generation = Some(generation.get());
                    status.pid = Some(*pid);
                    status.socket = Some(socket.to_path_buf());
                }
            }
            Event::Ready {
                generation,
                pid,
                socket,
                ..
            } => {
                status.state = RunnerState::Running;
                status.generation = Some(generation.get());
                status.pid = Some(*pid);
                status.socket = Some(socket.to_path_buf());
                status.trouble = None;
                status.since = Some(SystemTime::now());
            }
            Event::SpawnFailed { .. } => {
                status.state = RunnerState::Failing;
                status.trouble = Some(event.to_string());
            }
            Event::NotListening { generation, .. } if of_shown(generation) => {
                status.trouble = Some(event.to_string());
            }
            Event::Exited {
                generation,
                requested: false,
                ..
            } if of_shown(generation) => {
                status.state = RunnerState::Failing;
                status.pid = None;
                status.trouble = Some(event.to_string());
            }
            Event::Stopped => {
                status.state = RunnerState::Stopped;
                status.pid = None;
                status.trouble = None;
            }
            _ => {}
        }
        if status.state != before {
            status.since = Some(SystemTime::now());
        }
    }

    fn status(&self) -> MutexGuard<'_, RunnerStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
