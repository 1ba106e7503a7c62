//! One configured runner: where it listens now, and which process that is.
//!
//! The control thread writes, all workers read, both through one atomic
//! pointer. Whoever finds nobody listening waits here.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::connection::Connection;
use crate::limits::{
    CALL_TIMEOUT, CONF_LIFETIME, CONNECT_RETRY_FIRST, CONNECT_RETRY_MAX, CONNECT_TIMEOUT,
    LONGEST_TIME, PREPARE_TIMEOUT,
};
use crate::process::Process;
use crate::{CallError, Event, Observer, Stage};

/// How long a runner may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To listen and to accept a connection, where it does not at once.
    pub connect: Duration,
    /// To prepare a configuration. It does not count towards the call that
    /// needs it.
    pub prepare: Duration,
    /// To answer a call, from its first sending on, repetitions included.
    pub call: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: CONNECT_TIMEOUT,
            prepare: PREPARE_TIMEOUT,
            call: CALL_TIMEOUT,
        }
    }
}

/// What a runner is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long it may take.
    pub timeouts: Timeouts,
    /// What its processes are told in APISIX_CONF_EXPIRE_TIME.
    pub conf_lifetime: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            conf_lifetime: CONF_LIFETIME,
        }
    }
}

impl Settings {
    /// The same with times that can be added to a point in time.
    fn bounded(mut self) -> Self {
        let Timeouts {
            connect,
            prepare,
            call,
        } = &mut self.timeouts;
        for time in [connect, prepare, call, &mut self.conf_lifetime] {
            *time = (*time).min(LONGEST_TIME);
        }
        self
    }
}

/// One configured runner, shared by all workers. When it is dropped, no new
/// call can begin; its workers' idle connections are closed when they are next
/// [swept](crate::Connections::sweep).
#[derive(Debug)]
pub struct Runner(Arc<Shared>);

impl Runner {
    /// A runner that is not available until the control thread says so.
    pub fn new(name: &str, settings: Settings, observer: Arc<dyn Observer>) -> Arc<Self> {
        Arc::new(Self(Arc::new(Shared {
            name: name.into(),
            settings: ArcSwap::from_pointee(settings.bounded()),
            observer,
            target: ArcSwap::from_pointee(Target {
                generation: 0,
                place: Place::Unavailable("it was not started yet".into()),
                process: None,
                before: None,
            }),
            changed: Notify::new(),
        })))
    }

    /// From now on it has these settings. Calls that wait or are under way go on
    /// with those they began with.
    pub fn configure(&self, settings: Settings) {
        self.0.settings.store(Arc::new(settings.bounded()));
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its time limits.
    pub fn timeouts(&self) -> Timeouts {
        self.0.timeouts()
    }

    /// From now on calls go to `socket`: that of a new process, or of one that
    /// somebody else started. Calls under way end where they are.
    pub fn listening(&self, socket: PathBuf) {
        self.0.point_to(&Place::Listening(socket.into()));
    }

    /// From now on there is no process to call. `why` is for the log.
    pub fn unavailable(&self, why: String) {
        self.0.point_to(&Place::Unavailable(why.into()));
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.unavailable("it was removed from the configuration".to_owned());
    }
}

/// What a [`Runner`], its connections and its background tasks share.
pub(crate) struct Shared {
    name: Box<str>,
    settings: ArcSwap<Settings>,
    observer: Arc<dyn Observer>,
    target: ArcSwap<Target>,
    /// Wakes those who wait for another target.
    changed: Notify,
}

/// Where calls go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Counts the words of the control thread.
    generation: u64,
    place: Place,
    /// Who listens there; unknown before the first connection.
    process: Option<Process>,
    /// Who listened last, before the control thread's last word.
    before: Option<Process>,
}

#[derive(Debug, Clone)]
enum Place {
    Listening(Arc<Path>),
    Unavailable(Arc<str>),
}

impl Target {
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn process(&self) -> Option<Process> {
        self.process
    }
}

impl Shared {
    pub(crate) fn timeouts(&self) -> Timeouts {
        self.settings.load().timeouts
    }

    pub(crate) fn conf_lifetime(&self) -> Duration {
        self.settings.load().conf_lifetime
    }

    pub(crate) fn target(&self) -> Guard<Arc<Target>> {
        self.target.load()
    }

    pub(crate) fn event(&self, event: Event<'_>) {
        self.observer.event(&self.name, event);
    }

    /// A new connection to whoever listens, waiting until somebody does.
    ///
    /// # Errors
    /// [`CallError::NotRunning`] and [`CallError::Connect`], after the time
    /// limit where waiting could help.
    pub(crate) async fn connect(self: &Arc<Self>) -> Result<Connection, CallError> {
        let give_up = Instant::now() + self.timeouts().connect;
        let mut pause = CONNECT_RETRY_FIRST;
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before looking, or a change in between would be missed.
            changed.as_mut().enable();
            let target = self.target.load_full();
            let (error, again_at) = match &target.place {
                Place::Unavailable(why) => (
                    CallError::NotRunning {
                        why: Arc::clone(why),
                    },
                    give_up,
                ),
                Place::Listening(socket) => {
                    match self.connect_to(socket, target.generation, give_up).await {
                        Err(error) if is_passing(&error) => {
                            (error, give_up.min(Instant::now() + pause))
                        }
                        result => return result,
                    }
                }
            };
            if Instant::now() >= give_up {
                return Err(error);
            }
            pause = (pause * 2).min(CONNECT_RETRY_MAX);
            tokio::select! {
                () = changed => {}
                () = sleep_until(again_at) => {}
            }
        }
    }

    async fn connect_to(
        self: &Arc<Self>,
        socket: &Arc<Path>,
        generation: u64,
        give_up: Instant,
    ) -> Result<Connection, CallError> {
        let after = self.timeouts().connect;
        let opened = timeout_at(give_up, Connection::open(self, socket, generation)).await;
        let opened = opened.map_err(|_| CallError::Timeout {
            stage: Stage::Connect,
            after,
        })?;
        let connection = opened.map_err(|source| CallError::Connect {
            socket: Arc::clone(socket),
            source: Arc::new(source),
        })?;
        self.met(generation, connection.process());
        Ok(connection)
    }

    /// A connection of this generation leads to `process`.
    fn met(&self, generation: u64, process: Process) {
        let mut target = self.target.load();
        loop {
            if target.generation != generation || target.process == Some(process) {
                return;
            }
            let met = Arc::new(Target {
                process: Some(process),
                ..Target::clone(&target)
            });
            let found = self.target.compare_and_swap(&target, met);
            if Arc::ptr_eq(&found, &target) {
                break;
            }
            target = found;
        }
        if let Some(old) = target.process.or(target.before)
            && old != process
        {
            self.event(Event::ProcessChanged {
                old: old.pid(),
                new: process.pid(),
            });
        }
    }

    fn point_to(&self, place: &Place) {
        self.target.rcu(|target| Target {
            generation: target.generation + 1,
            place: place.clone(),
            process: None,
            before: target.process.or(target.before),
        });
        self.changed.notify_waiters();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("name", &self.name)
            .field("settings", &self.settings.load())
            .field("target", &self.target.load())
            .finish_non_exhaustive()
    }
}

/// Whether trying again can help: nobody listens yet or just now, or (EAGAIN)
/// too many wait to be accepted.
fn is_passing(error: &CallError) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotFound, WouldBlock};

    let CallError::Connect { source, .. } = error else {
        return false;
    };
    matches!(source.kind(), NotFound | ConnectionRefused | WouldBlock)
}
