//! What the machine wants done, and what it makes of what happened.

use std::time::Duration;

#[cfg(doc)]
use super::Machine;
use crate::event::Trouble;
use crate::group::Signal;
use crate::spec::Generation;

/// What the driver is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Spawn a process, then call [`Machine::spawned`] or
    /// [`Machine::spawn_failed`].
    Spawn,
    /// See whether it accepts connections; if so call [`Machine::connected`].
    Probe(Generation),
    /// See how much memory it takes; if too much call [`Machine::outgrown`].
    Measure(Generation),
    /// Send its group this signal.
    Signal(Generation, Signal),
    /// Tell the observer about a process.
    Report(Generation, Notice),
    /// Tell the observer that a new process comes.
    ReportRespawn(Duration),
    /// Tell the observer that the runner does not come up.
    ReportFailing(Trouble),
    /// The replacement did not come up. From now on spawn what worked before,
    /// and tell the observer.
    FallBack(Trouble),
    /// Tell the observer that no process is left until a start.
    ReportHalted,
    /// Tell the observer that all is over; nothing follows.
    ReportStopped,
}

/// What is to be told about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    Ready { after: Duration },
    NotListening { waited: Duration },
    Retired { drain: Duration },
    Stopping { grace: Duration },
    Killed,
}

/// How a process went, as [`Machine::exited`] saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Departure {
    /// From spawn to exit.
    pub(crate) uptime: Duration,
    /// It had been sent a signal of ours.
    pub(crate) requested: bool,
}
