//! The runners that the configuration names: those that the gateway starts and
//! those that someone else did, each with the handle that calls go through.

mod counted;
pub(crate) mod environment;
mod seen;
mod watcher;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use outrigger_admin::control::{Command, CommandError, RunnerState, RunnerStatus};
use outrigger_config::{RunnerSettings, RunnerTimeout, Settings};
use outrigger_host as host;
use outrigger_plugins::Runners;
use outrigger_supervisor as supervisor;
use outrigger_telemetry::metrics::Metrics;

use crate::Failure;
use counted::Counted;
use tokio::sync::mpsc;
use watcher::Watcher;

/// The name of the runner that routes call which name none.
pub(crate) const DEFAULT_RUNNER: &str = "default";

/// How long a runner is told that a configuration lives (APISIX's value).
const CONF_LIFETIME: Duration = Duration::from_secs(3600);

/// All runners of one configuration.
pub(crate) struct Fleet {
    runners: Runners,
    /// In the order of the configuration.
    watchers: Vec<Arc<Watcher>>,
    /// By the runner's name.
    processes: HashMap<String, Supervised>,
}

/// A runner that the gateway starts.
struct Supervised {
    watcher: Arc<Watcher>,
    spec: supervisor::Spec,
    /// None where it was told to stop.
    process: Option<supervisor::Handle>,
}

impl Supervised {
    /// Replaces the process, or starts one where it was stopped.
    fn restart(&mut self) {
        match &self.process {
            Some(process) => process.restart_with(self.spec.clone()),
            None => self.start(),
        }
    }

    fn start(&mut self) {
        if self.process.is_none() {
            let watcher: Arc<dyn supervisor::Observer> = Arc::<Watcher>::clone(&self.watcher);
            let process = supervisor::Supervisor::start(self.spec.clone(), watcher);
            self.process = Some(process);
        }
    }

    fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            tokio::spawn(process.stop());
        }
    }
}

impl Fleet {
    /// Starts the runners that have a command. `sockets` is the folder for
    /// their sockets; lines of their output go to `output` too. One that cannot be started is tried again and again, and
    /// logged; that is no error here. What happens to them is counted in `metrics`.
    ///
    /// Must be called on a thread that lives as long as the gateway: the
    /// children die with the thread that spawned them.
    ///
    /// # Errors
    /// A command without a program, which the configuration lets not through.
    pub(crate) fn start(
        settings: &Settings,
        sockets: &Path,
        output: Option<&mpsc::Sender<String>>,
        metrics: &Metrics,
    ) -> Result<Self, Failure> {
        let mut processes = HashMap::new();
        let mut watchers = Vec::new();
        let mut start = |runner: &RunnerSettings| -> Result<Arc<host::Runner>, Failure> {
            let watcher = Watcher::new(&runner.name, output.cloned());
            let handle = handle(&runner.name, runner.timeout, &watcher, metrics);
            watcher.attach(&handle);
            drop(tokio::spawn(handle.prepare_ahead()));
            watchers.push(Arc::clone(&watcher));
            if !runner.cmd.is_empty() {
                let mut supervised = Supervised {
                    watcher,
                    spec: spec(settings, runner, sockets)?,
                    process: None,
                };
                supervised.start();
                processes.insert(runner.name.clone(), supervised);
            } else if let Some(path) = &runner.path {
                tracing::info!(
                    runner = runner.name,
                    "called at {}, started by others",
                    path.display()
                );
                // Ends with the runner.
                drop(tokio::spawn(handle.follow(0, path.clone())));
                watcher.seen().external(path.clone());
            }
            Ok(handle)
        };
        let default = match &settings.ext_plugin.default {
            Some(runner) => start(runner)?,
            None => unconfigured(),
        };
        let named = settings
            .ext_plugin
            .named
            .iter()
            .map(start)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Fleet {
            runners: Runners::new(default, named),
            watchers,
            processes,
        })
    }

    /// What routes call.
    pub(crate) fn runners(&self) -> Runners {
        self.runners.clone()
    }

    /// Replaces every process by a new one, on the terms that `settings` has
    /// for it now. A runner that is new, gone, or no longer the gateway's to
    /// start waits for a restart of the gateway; the log says so.
    pub(crate) fn restart(&mut self, settings: &Settings, sockets: &Path) {
        let ext_plugin = &settings.ext_plugin;
        let configured = || ext_plugin.default.iter().chain(&ext_plugin.named);
        let mut restarted = 0;
        for runner in configured().filter(|runner| !runner.cmd.is_empty()) {
            match (
                self.processes.get_mut(&runner.name),
                spec(settings, runner, sockets),
            ) {
                (Some(supervised), Ok(spec)) => {
                    supervised.spec = spec;
                    supervised.restart();
                    restarted += 1;
                }
                (None, _) => tracing::warn!(
                    runner = runner.name,
                    "is new in config.yaml; it is started when the gateway is restarted"
                ),
                (Some(_), Err(error)) => tracing::error!(runner = runner.name, "{error}"),
            }
        }
        if restarted < self.processes.len() {
            tracing::warn!(
                "config.yaml starts fewer runners than before; \
                 the others run on until the gateway is restarted"
            );
        }
    }

    /// What every runner is doing.
    pub(crate) fn list(&self) -> Vec<RunnerStatus> {
        let watchers = self.watchers.iter();
        watchers.map(|watcher| watcher.seen().get()).collect()
    }

    /// Has a runner do something. It is under way when this returns.
    ///
    /// # Errors
    /// There is no such runner, or it is not the gateway's to start.
    pub(crate) fn command(&mut self, name: &str, command: Command) -> Result<(), CommandError> {
        let Some(supervised) = self.processes.get_mut(name) else {
            return Err(self.no_process(name));
        };
        tracing::info!(runner = name, "{command:?} as told through the control API");
        match command {
            Command::Restart => supervised.restart(),
            Command::Stop => supervised.stop(),
            Command::Start => supervised.start(),
        }
        Ok(())
    }

    fn no_process(&self, name: &str) -> CommandError {
        let runners = self.list();
        let external = runners
            .iter()
            .find(|it| it.name == name && it.state == RunnerState::External);
        let name = name.to_owned();
        match external.and_then(|it| it.socket.clone()) {
            Some(socket) => CommandError::External { name, socket },
            None => CommandError::Unknown {
                name,
                known: runners.into_iter().map(|it| it.name).collect(),
            },
        }
    }

    /// Stops every process.
    pub(crate) async fn stop(self) {
        let stopping = self
            .processes
            .into_values()
            .filter_map(|supervised| supervised.process)
            .map(|process| tokio::spawn(process.stop()));
        for stopped in stopping.collect::<Vec<_>>() {
            // A panic has been reported by the task itself.
            let _ = stopped.await;
        }
    }
}

/// Handles of the configured names that lead nowhere: enough to check a
/// configuration with.
pub(crate) fn without_processes(settings: &Settings) -> Runners {
    let idle = |runner: &RunnerSettings| {
        handle(
            &runner.name,
            runner.timeout,
            &Watcher::new(&runner.name, None),
            &Metrics::default(),
        )
    };
    Runners::new(unconfigured(), settings.ext_plugin.named.iter().map(idle))
}

fn unconfigured() -> Arc<host::Runner> {
    let watcher = Watcher::new(DEFAULT_RUNNER, None);
    let runner = handle(
        DEFAULT_RUNNER,
        RunnerTimeout::default(),
        &watcher,
        &Metrics::default(),
    );
    let why = "none is configured; set ext-plugin.cmd or ext-plugin.path_for_test in config.yaml";
    runner.unavailable(0, host::Absence::Lasting, why.to_owned());
    runner
}

fn handle(
    name: &str,
    timeout: RunnerTimeout,
    watcher: &Arc<Watcher>,
    metrics: &Metrics,
) -> Arc<host::Runner> {
    let RunnerTimeout {
        connect,
        prepare,
        call,
    } = timeout;
    let timeouts = host::Timeouts {
        connect,
        prepare,
        call,
    };
    let watcher: Arc<dyn host::Observer> = Arc::<Watcher>::clone(watcher);
    let observer = Counted::observer(name, metrics, watcher);
    let settings = host::Settings {
        timeouts,
        conf_lifetime: CONF_LIFETIME,
        ..host::Settings::default()
    };
    host::Runner::new(name, settings, observer)
}

fn spec(
    settings: &Settings,
    runner: &RunnerSettings,
    sockets: &Path,
) -> Result<supervisor::Spec, Failure> {
    let cmd: Vec<OsString> = runner.cmd.iter().map(OsString::from).collect();
    Ok(supervisor::Spec {
        name: runner.name.clone(),
        cmd: supervisor::Argv::try_from(cmd)?,
        working_dir: settings.folder.clone(),
        env: environment::of_runner(&runner.envs, |name| std::env::var_os(name)),
        socket: match &runner.path {
            Some(path) => supervisor::SocketPath::Fixed(path.clone()),
            None => supervisor::SocketPath::Fresh {
                dir: sockets.to_owned(),
            },
        },
        conf_expire_time: CONF_LIFETIME,
        start_limit: Duration::from_secs(60),
        drain: Duration::from_secs(10),
        max_rss: None,
        stop_grace: runner.stop_grace,
        backoff: supervisor::Backoff::default(),
    })
}
