//! Failed calls in the gateway's log: not all of them, for a runner that is gone
//! fails every request.

use outrigger_engine::plugin::Owner;
use outrigger_host::Runner;
use outrigger_telemetry::repeats::Repeats;

use super::Phase;
use super::failure::Failure;
use super::limits::WARNINGS_PER_SECOND;

/// What is said of one route's plugin when its calls fail.
#[derive(Debug)]
pub(super) struct FailureLog {
    phase: Phase,
    owner: Owner,
    degraded: bool,
    warnings: Repeats,
}

impl FailureLog {
    /// `degraded` says whether requests go on all the same.
    pub(super) fn new(phase: Phase, owner: Owner, degraded: bool) -> Self {
        FailureLog {
            phase,
            owner,
            degraded,
            warnings: Repeats::new(WARNINGS_PER_SECOND),
        }
    }

    /// Logs a failure, unless there were too many in this second.
    pub(super) fn warn(&self, runner: &Runner, failure: &Failure) {
        let Some(held_back) = self.warnings.pass() else {
            return;
        };
        tracing::warn!(
            plugin = self.phase.plugin_name(),
            runner = runner.name(),
            of = format_args!("{} {}", self.owner.kind, self.owner.id),
            degraded = self.degraded,
            held_back,
            "a call to the runner failed: {failure}"
        );
    }
}
