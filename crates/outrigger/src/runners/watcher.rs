//! Hears what happens to one process of a runner, or the place where one is to
//! be: tells the runner's handle where to call, and the log what a person should
//! know.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use host::Absence;
use outrigger_host as host;
use outrigger_supervisor as supervisor;
use supervisor::{Drainer, Event, Generation};
use tokio::task::AbortHandle;

use super::output::{Output, Source};

/// Told to calls that come while a runner is stopped.
const STOPPED: &str = "it was stopped; `outrigger runner start` starts it";

pub(super) struct Watcher {
    /// Counts from 0.
    instance: usize,
    runner: Weak<host::Runner>,
    output: Arc<Output>,
    state: Mutex<State>,
}

/// Ends with this.
struct Follower(Option<AbortHandle>);

impl Follower {
    fn end(&mut self) {
        if let Some(follower) = self.0.take() {
            follower.abort();
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.end();
    }
}

struct State {
    /// The runner's name, with the instance where there are several.
    name: Arc<str>,
    calls_go: Calls,
    follower: Follower,
    /// Whether it was told to stop until it is started.
    halted: bool,
    /// Whether it was told that the runner does not come up.
    failing: bool,
    /// Why no process serves, or the last replacement came to nothing.
    trouble: Option<String>,
    drainer: Option<Drainer>,
    source: Source,
}

/// Where calls go that are meant for this instance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calls {
    Nowhere,
    /// To a runner that somebody else started, until a process of ours listens.
    Elsewhere,
    To(Generation),
    /// Not ours to say any more.
    Forgotten,
}

impl Watcher {
    /// Where there is a `follower`, a runner that somebody else started is called
    /// as this instance as yet; it ends when a process of ours listens.
    pub(super) fn new(
        instance: usize,
        name: Arc<str>,
        runner: &Arc<host::Runner>,
        output: &Arc<Output>,
        follower: Option<AbortHandle>,
    ) -> Arc<Self> {
        let state = State {
            name,
            calls_go: match &follower {
                Some(_) => Calls::Elsewhere,
                None => Calls::Nowhere,
            },
            follower: Follower(follower),
            halted: false,
            failing: false,
            trouble: None,
            drainer: None,
            source: Source::default(),
        };
        Arc::new(Watcher {
            instance,
            runner: Arc::downgrade(runner),
            output: Arc::clone(output),
            state: Mutex::new(state),
        })
    }

    /// Whom to tell when a process has no calls any more.
    pub(super) fn attach(&self, drainer: Drainer) {
        self.state().drainer = Some(drainer);
    }

    /// From now on it is called so in the log.
    pub(super) fn rename(&self, name: Arc<str>) {
        self.state().name = name;
    }

    /// Why no process serves, in words.
    pub(super) fn trouble(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    /// It is about to be stopped until it is started: calls fail at once.
    pub(super) fn halt(&self) {
        let mut state = self.state();
        state.halted = true;
        state.trouble = None;
        if state.calls_go == Calls::Elsewhere {
            state.follower.end();
            state.calls_go = Calls::Nowhere;
        }
        // A process that serves is left to end its calls when it is retired.
        if state.calls_go == Calls::Nowhere {
            self.tell_absence(&state, STOPPED);
        }
    }

    /// It is about to be started, if it was stopped: calls wait for it.
    pub(super) fn resume(&self) {
        let mut state = self.state();
        if std::mem::take(&mut state.halted) && state.calls_go == Calls::Nowhere {
            self.tell_absence(&state, "it is being started");
        }
    }

    /// From now on nothing that happens here changes where calls go.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        state.follower.end();
        state.calls_go = Calls::Forgotten;
    }

    fn steer(&self, event: &Event<'_>) {
        let mut state = self.state();
        if state.calls_go == Calls::Forgotten {
            return;
        }
        match event {
            Event::Ready {
                generation, socket, ..
            } => {
                let before = std::mem::replace(&mut state.calls_go, Calls::To(*generation));
                state.failing = false;
                state.trouble = None;
                state.follower.end();
                if let Some(runner) = self.runner.upgrade() {
                    let retired = runner.listening(self.instance, socket.to_path_buf());
                    when_drained(&state, before, retired);
                }
            }
            // It makes way, or was told to stop: no successor listens.
            Event::Retired { generation, .. } if state.serves(*generation) => {
                let before = std::mem::replace(&mut state.calls_go, Calls::Nowhere);
                let why = if state.halted {
                    STOPPED.to_owned()
                } else {
                    event.to_string()
                };
                if let Some(retired) = self.tell_absence(&state, &why) {
                    when_drained(&state, before, retired);
                }
            }
            Event::Exited { generation, .. } if state.serves(*generation) => {
                state.calls_go = Calls::Nowhere;
                self.is_missing(&mut state, event);
            }
            // Why there is none yet, for whoever waits.
            Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::Exited { .. }
            | Event::NotListening { .. }
                if state.calls_go == Calls::Nowhere && !state.halted =>
            {
                self.is_missing(&mut state, event);
            }
            Event::Failing { .. } => {
                state.failing = true;
                if state.calls_go == Calls::Nowhere {
                    let why = match &state.trouble {
                        Some(trouble) => format!("{event} ({trouble})"),
                        None => event.to_string(),
                    };
                    self.tell_absence(&state, &why);
                    state.trouble = Some(why);
                }
            }
            Event::FellBack { .. } => state.trouble = Some(event.to_string()),
            Event::Halted | Event::Stopped if state.calls_go == Calls::Nowhere => {
                self.tell_absence(&state, STOPPED);
            }
            _ => {}
        }
    }

    fn is_missing(&self, state: &mut State, event: &Event<'_>) {
        let why = event.to_string();
        self.tell_absence(state, &why);
        let as_meant = matches!(
            event,
            Event::Spawned { .. }
                | Event::Exited {
                    requested: true,
                    ..
                }
        );
        if !as_meant {
            state.trouble = Some(why);
        }
    }

    /// No process is to be called as this instance.
    fn tell_absence(&self, state: &State, why: &str) -> Option<host::Retired> {
        let absence = match state {
            State { halted: true, .. } => Absence::Lasting,
            State { failing: true, .. } => Absence::Failing,
            _ => Absence::Passing,
        };
        let runner = self.runner.upgrade()?;
        Some(runner.unavailable(self.instance, absence, why.to_owned()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn serves(&self, generation: Generation) -> bool {
        self.calls_go == Calls::To(generation)
    }
}

/// Tells the supervisor when the last call has ended on the process that calls
/// went to before.
fn when_drained(state: &State, before: Calls, retired: host::Retired) {
    if let (Calls::To(generation), Some(drainer)) = (before, state.drainer.clone()) {
        tokio::spawn(async move {
            retired.drained().await;
            drainer.drained(generation);
        });
    }
}

impl supervisor::Observer for Watcher {
    fn event(&self, _: &str, event: &Event<'_>) {
        if let Event::Output { stream, line, .. } = event {
            return self.output.line(&mut self.state().source, *stream, line);
        }
        self.steer(event);
        let name = Arc::clone(&self.state().name);
        let runner = &*name;
        match event {
            Event::SpawnFailed { .. }
            | Event::Failing { .. }
            | Event::FellBack { .. }
            | Event::Exited {
                requested: false, ..
            } => tracing::error!(runner, "{event}"),
            Event::NotListening { .. } | Event::Killed { .. } | Event::Outgrown { .. } => {
                tracing::warn!(runner, "{event}");
            }
            _ => tracing::info!(runner, "{event}"),
        }
        if let Event::Exited { .. } = event {
            self.output.pause();
        }
    }
}
