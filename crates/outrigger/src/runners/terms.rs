//! From the configuration's words for a runner to those of the caller and of the
//! supervisor.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use outrigger_config::{BreakerRule, RunnerLimits, RunnerSettings, RunnerTimeout};
use outrigger_host as host;
use outrigger_supervisor as supervisor;

use super::environment;

/// How long a runner is told that a configuration lives (APISIX's value).
const CONF_LIFETIME: Duration = Duration::from_secs(3600);

/// What calls to a runner are held to.
pub(super) fn of_calls(runner: &RunnerSettings) -> host::Settings {
    let RunnerTimeout {
        connect,
        prepare,
        call,
    } = runner.terms.timeout;
    host::Settings {
        timeouts: host::Timeouts {
            connect,
            prepare,
            call,
        },
        conf_lifetime: CONF_LIFETIME,
        limits: limits(runner.terms.limits),
        breaker: breaker(runner.terms.breaker),
        allowed_uids: runner.terms.allowed_uids.clone(),
    }
}

fn limits(said: RunnerLimits) -> host::Limits {
    let usual = host::Limits::default();
    host::Limits {
        in_flight: said.in_flight.map_or(usual.in_flight, Into::into),
        queue: said.queue.unwrap_or(usual.queue),
        max_buffered: said.buffered.unwrap_or(usual.max_buffered),
    }
}

fn breaker(said: BreakerRule) -> Option<host::BreakerSettings> {
    let usual = host::BreakerSettings::default();
    said.enabled.then(|| host::BreakerSettings {
        window: said.window.unwrap_or(usual.window),
        minimum_calls: said.minimum_calls.unwrap_or(usual.minimum_calls),
        error_percent: said.error_percent.unwrap_or(usual.error_percent),
        pause: said.pause.unwrap_or(usual.pause),
    })
}

/// How the processes of a runner with a command are kept. `folder` is that of
/// the configuration, `sockets` the one for sockets.
///
/// # Errors
/// A command without a program, which the configuration lets not through.
pub(super) fn of_process(
    runner: &RunnerSettings,
    folder: &Path,
    sockets: &Path,
) -> Result<supervisor::Spec, supervisor::EmptyCommand> {
    let cmd: Vec<OsString> = runner.cmd.iter().map(OsString::from).collect();
    Ok(supervisor::Spec {
        name: runner.name.clone(),
        cmd: supervisor::Argv::try_from(cmd)?,
        working_dir: folder.to_owned(),
        env: environment::of_runner(&runner.envs, |name| std::env::var_os(name)),
        socket: match &runner.path {
            Some(path) => supervisor::SocketPath::Fixed(path.clone()),
            None => supervisor::SocketPath::Fresh {
                dir: sockets.to_owned(),
            },
        },
        conf_expire_time: CONF_LIFETIME,
        start_limit: runner.terms.start_timeout,
        // A call may take so long, so whoever has one gets as long to end it.
        drain: runner.terms.timeout.call,
        stop_grace: runner.terms.stop_grace,
        max_rss: runner.terms.max_rss,
        backoff: supervisor::Backoff::default(),
    })
}
