//! How a runner is, at a glance.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::spec::Generation;

/// How a runner is at the moment of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What it is about.
    pub state: State,
    /// Since when it is about that; for one that runs, since when its process does.
    pub since: SystemTime,
    /// The process that calls go to, or else the one that starts.
    pub generation: Option<Generation>,
    /// That process's id.
    pub pid: Option<u32>,
    /// Where it listens or was told to.
    pub socket: Option<PathBuf>,
    /// How many processes were spawned after the first.
    pub restarts: u64,
    /// How many ended without being told to.
    pub crashes: u64,
}

/// What a runner is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// A process is about to listen.
    Starting,
    /// A process listens.
    Running,
    /// It does not come up, but is tried again.
    Failing,
    /// It was told to end, and processes of it are left.
    Stopping,
    /// It was told to end, and no process is left.
    Stopped,
}

impl State {
    /// Its name: one lower-case word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Failing => "failing",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
