//! What to run and how: the input of this crate.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::EmptyCommand;

/// One runner: its command and the terms on which it runs.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The runner's name, as events and socket files carry it.
    pub name: String,
    /// The command. A program name without a slash is looked for in
    /// `working_dir` first, then in the `PATH` of `env`; one with a slash is
    /// relative to `working_dir`.
    pub cmd: Argv,
    /// The folder the child runs in.
    pub working_dir: PathBuf,
    /// The child's whole environment, but for `APISIX_LISTEN_ADDRESS` and
    /// `APISIX_CONF_EXPIRE_TIME`, which are added and win over entries here.
    pub env: Vec<(OsString, OsString)>,
    /// Where the runner is told to listen.
    pub socket: SocketPath,
    /// Lifetime of a configuration, told to the runner in whole seconds as
    /// `APISIX_CONF_EXPIRE_TIME`.
    pub conf_expire_time: Duration,
    /// Time from spawn to listening. A process that replaces another is given up
    /// after it; the only one there is is not, but the runner counts as
    /// [failing](crate::Event::Failing).
    pub start_limit: Duration,
    /// Time that a process which gets no new calls has to end those it has,
    /// unless [`drained`](crate::Handle::drained) says earlier that it has none.
    pub drain: Duration,
    /// Time between SIGTERM and SIGKILL.
    pub stop_grace: Duration,
    /// Resident memory of a process and its group, in bytes, beyond which it is
    /// replaced.
    pub max_rss: Option<u64>,
    /// Delays before a process that exited or could not be spawned is replaced.
    pub backoff: Backoff,
}

/// A command: a program and its arguments.
///
/// Invariant: there is a program, and its name is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argv(Vec<OsString>);

impl Argv {
    /// The program as it was written in the configuration.
    #[must_use]
    pub fn program(&self) -> &OsStr {
        &self.0[0]
    }

    /// The arguments after the program.
    #[must_use]
    pub fn args(&self) -> &[OsString] {
        &self.0[1..]
    }
}

impl TryFrom<Vec<OsString>> for Argv {
    type Error = EmptyCommand;

    /// # Errors
    /// [`EmptyCommand`] if there is no first element or it is empty.
    fn try_from(argv: Vec<OsString>) -> Result<Self, EmptyCommand> {
        match argv.first() {
            Some(program) if !program.is_empty() => Ok(Self(argv)),
            _ => Err(EmptyCommand),
        }
    }
}

/// Where a runner is told to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketPath {
    /// A path of its own for every process, `NAME.GENERATION.sock` in `dir`.
    /// It is never used twice, because runners delete their path on exit, even
    /// if a successor has bound it by then.
    Fresh {
        /// An existing folder; relative to the working directory of the runner.
        dir: PathBuf,
    },
    /// The same path for every process (`path_for_test`), so that two never
    /// overlap: a restart stops the old process first. A relative path is
    /// relative to the working directory of the runner.
    Fixed(PathBuf),
}

/// Delays before a respawn: the first, then twice as long each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the first respawn.
    pub first: Duration,
    /// Before any respawn at most.
    pub max: Duration,
}

impl Backoff {
    /// The delay after `failures` failures before this one.
    pub(crate) fn delay(self, failures: u32) -> Duration {
        let factor = 2u32.saturating_pow(failures);
        self.first.saturating_mul(factor).min(self.max)
    }
}

impl Default for Backoff {
    /// 50 ms to 3 s: a runner that dies is started again within 100 ms, and one
    /// that cannot live costs next to nothing. 3 s is the reference's delay.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(50),
            max: Duration::from_secs(3),
        }
    }
}

/// One process of a runner.
///
/// Invariant: unique in this process, across all supervisors; a later one is
/// greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// The number behind it.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// One that was never handed out. The counter is shared by all supervisors:
    /// when a runner is configured anew under its old name, the paths of the old
    /// processes must not come again.
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_a_program() {
        assert_eq!(Argv::try_from(vec![]), Err(EmptyCommand));
        assert_eq!(
            Argv::try_from(vec!["".into(), "run".into()]),
            Err(EmptyCommand)
        );
        let argv = Argv::try_from(vec!["r".into(), "run".into()]).unwrap();
        assert_eq!(argv.program(), "r");
        assert_eq!(argv.args(), ["run"]);
    }

    #[test]
    fn delays_double_up_to_the_greatest() {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            max: Duration::from_millis(3000),
        };
        let delays: Vec<_> = (0..8).map(|n| backoff.delay(n).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3000, 3000, 3000]);
        assert_eq!(backoff.delay(u32::MAX), backoff.max);
    }

    #[test]
    fn generations_only_grow() {
        let (a, b) = (Generation::next(), Generation::next());
        assert!(a < b);
    }
}
