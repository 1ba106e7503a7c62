//! One runner of the configuration: the handle that calls go through, and the
//! processes behind it, if they are the gateway's to start.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use host::Absence;
use outrigger_admin::control::{Command, RunnerState, RunnerStatus};
use outrigger_config::RunnerSettings;
use outrigger_host as host;
use outrigger_supervisor as supervisor;
use outrigger_telemetry::metrics::Metrics;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::calls::CallLog;
use super::counted::Counted;
use super::output::Output;
use super::terms;
use super::watcher::Watcher;

/// How long a runner that was removed is kept for requests that began before.
const LINGER: Duration = Duration::from_secs(60);

/// How often it is looked whether such requests are left.
const LOOK: Duration = Duration::from_millis(20);

/// What calls are told where no runner is configured.
const NONE: &str =
    "none is configured; set ext-plugin.cmd or ext-plugin.path_for_test in config.yaml";

/// Where a runner's processes run and listen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folders<'a> {
    /// That of the configuration.
    pub(super) own: &'a Path,
    pub(super) sockets: &'a Path,
}

pub(super) struct Member {
    /// What it is configured with; none for the default runner where none is.
    settings: Option<RunnerSettings>,
    runner: Arc<host::Runner>,
    output: Arc<Output>,
    processes: Vec<Process>,
    /// Notices who listens where somebody else starts it.
    follower: Option<AbortHandle>,
    since: SystemTime,
}

/// One process, or the place where one is to be.
struct Process {
    watcher: Arc<Watcher>,
    handle: supervisor::Handle,
}

impl Member {
    /// A runner of this name, of which calls wait as yet. Lines of its output go
    /// to `copy` too; what happens with its calls is counted in `metrics`.
    pub(super) fn new(name: &str, copy: Option<mpsc::Sender<String>>, metrics: &Metrics) -> Self {
        let settings = host::Settings::default();
        let observer = Counted::observer(name, metrics, Arc::new(CallLog));
        let runner = host::Runner::new(name, settings, observer);
        // Ends with the runner.
        drop(tokio::spawn(runner.prepare_ahead()));
        Member {
            settings: None,
            runner,
            output: Arc::new(Output::new(name, copy)),
            processes: Vec::new(),
            follower: None,
            since: SystemTime::now(),
        }
    }

    /// The handle that calls go through.
    pub(super) fn runner(&self) -> &Arc<host::Runner> {
        &self.runner
    }

    pub(super) fn name(&self) -> &str {
        self.runner.name()
    }

    pub(super) fn settings(&self) -> Option<&RunnerSettings> {
        self.settings.as_ref()
    }

    /// From now on it is what `settings` say: its processes are replaced by new
    /// ones, or it is called where somebody else started it.
    ///
    /// # Errors
    /// A command without a program, which the configuration lets not through.
    /// Nothing has changed then.
    pub(super) fn configure(
        &mut self,
        settings: RunnerSettings,
        folders: Folders<'_>,
    ) -> Result<(), supervisor::EmptyCommand> {
        let spec = if settings.cmd.is_empty() {
            None
        } else {
            Some(terms::of_process(&settings, folders.own, folders.sockets)?)
        };
        self.runner.configure(terms::of_calls(&settings));
        self.output
            .configure(settings.terms.log, settings.log_file.as_deref());
        match (&spec, &settings.path) {
            (Some(spec), _) => self.keep(spec, settings.instances),
            (None, Some(path)) => self.call_elsewhere(path),
            // The configuration does not let this through; nothing serves it then.
            (None, None) => self.dismiss(0, Absence::Lasting, NONE),
        }
        self.settings = Some(settings);
        Ok(())
    }

    /// From now on none is configured.
    pub(super) fn unconfigure(&mut self) {
        self.settings = None;
        self.follow_no_more();
        self.dismiss(0, Absence::Lasting, NONE);
    }

    /// Replaces what processes there are by `instances` new ones.
    fn keep(&mut self, spec: &supervisor::Spec, instances: usize) {
        // Somebody else's process is called until the first of ours listens.
        let mut follower = self.follower.take();
        let fewer = "there are fewer processes of it now";
        if self.processes.len() > instances {
            self.dismiss(instances, Absence::Lasting, fewer);
        }
        for (instance, process) in self.processes.iter().enumerate() {
            process
                .watcher
                .rename(label(&spec.name, instance, instances));
            process.watcher.resume();
            process.handle.restart_with(spec.clone());
        }
        for instance in self.processes.len()..instances {
            let name = label(&spec.name, instance, instances);
            let follower = follower.take();
            if follower.is_none() {
                let why = "it was not started yet".to_owned();
                self.runner.unavailable(instance, Absence::Passing, why);
            }
            let watcher = Watcher::new(instance, name, &self.runner, &self.output, follower);
            let observer: Arc<dyn supervisor::Observer> = Arc::<Watcher>::clone(&watcher);
            // Its name is part of its sockets' names only.
            let handle = supervisor::Supervisor::start(spec.clone(), observer);
            watcher.attach(handle.drainer());
            self.processes.push(Process { watcher, handle });
        }
    }

    /// Somebody else starts it and it listens there.
    fn call_elsewhere(&mut self, path: &Path) {
        let same = self.settings.as_ref().is_some_and(|settings| {
            settings.cmd.is_empty() && settings.path.as_deref() == Some(path)
        });
        if same {
            return;
        }
        tracing::info!(
            runner = self.name(),
            "called at {}, started by others",
            path.display()
        );
        self.follow_no_more();
        self.dismiss(0, Absence::Passing, "it is started by others now");
        let following = self.runner.follow(0, path.to_owned());
        self.follower = Some(tokio::spawn(following).abort_handle());
        self.since = SystemTime::now();
    }

    fn follow_no_more(&mut self) {
        if let Some(follower) = self.follower.take() {
            follower.abort();
        }
    }

    /// Calls go to the first `instances` processes only; the others may end
    /// those that they have, and are stopped.
    fn dismiss(&mut self, instances: usize, absence: Absence, why: &str) {
        while self.processes.len() > instances {
            let Some(process) = self.processes.pop() else {
                return;
            };
            process.watcher.forget();
            let instance = self.processes.len();
            let why = why.to_owned();
            let retired = self.runner.unavailable(instance, absence, why);
            process.leave(retired);
        }
        if instances == 0 {
            self.runner.unavailable(0, absence, why.to_owned());
        }
        self.runner.limit_instances(instances);
    }

    /// Opens the file anew that its output goes to, if there is one.
    pub(super) fn reopen_log(&self) {
        self.output.reopen();
    }

    /// Has the processes do something; it is under way when this returns. False
    /// if they are not the gateway's to command.
    pub(super) fn command(&self, command: Command) -> bool {
        for Process { watcher, handle } in &self.processes {
            match command {
                Command::Restart => {
                    watcher.resume();
                    handle.restart();
                }
                Command::Stop => {
                    watcher.halt();
                    handle.halt();
                }
                Command::Start => {
                    watcher.resume();
                    handle.start();
                }
            }
        }
        !self.processes.is_empty()
    }

    /// How its processes are, each by itself.
    pub(super) fn status(&self) -> Vec<RunnerStatus> {
        let Some(settings) = &self.settings else {
            return Vec::new();
        };
        let calls = self.runner.status();
        let breaker = settings.terms.breaker.enabled;
        let breaker = breaker.then(|| calls.breaker.to_string());
        let of_instance = |instance: usize| RunnerStatus {
            name: self.name().to_owned(),
            instance: u32::try_from(instance + 1).unwrap_or(u32::MAX),
            state: RunnerState::External,
            pid: None,
            generation: None,
            restarts: 0,
            since: Some(self.since),
            socket: settings.path.clone(),
            in_flight: calls
                .instances
                .get(instance)
                .map_or(0, |status| status.calls as u64),
            queued: calls.queued as u64,
            breaker: breaker.clone(),
            trouble: None,
        };
        if self.processes.is_empty() {
            let pid = calls.instances.first().and_then(|status| status.pid);
            return vec![RunnerStatus {
                pid,
                ..of_instance(0)
            }];
        }
        let processes = self.processes.iter().enumerate();
        processes
            .map(|(instance, process)| process.status(of_instance(instance)))
            .collect()
    }

    /// Stops it when no request can call it any more.
    pub(super) async fn linger(self) {
        let end = tokio::time::Instant::now() + LINGER;
        while Arc::strong_count(&self.runner) > 1 && tokio::time::Instant::now() < end {
            tokio::time::sleep(LOOK).await;
        }
        self.stop().await;
    }

    /// Stops every process.
    pub(super) async fn stop(self) {
        let stopping = self.processes.into_iter().map(|process| {
            process.watcher.halt();
            tokio::spawn(process.handle.stop())
        });
        for stopped in stopping.collect::<Vec<_>>() {
            // A panic has been reported by the task itself.
            let _ = stopped.await;
        }
        self.output.close();
    }
}

impl Process {
    /// Stops the process when its last call has ended, or had its time.
    fn leave(self, retired: host::Retired) {
        tokio::spawn(async move {
            // From here on it gets as long as it was told for the calls it has.
            self.handle.halt();
            tokio::select! {
                _ = self.handle.until(supervisor::State::Stopped) => {}
                () = retired.drained() => {}
            }
            self.handle.stop().await;
        });
    }

    fn status(&self, status: RunnerStatus) -> RunnerStatus {
        use supervisor::State;

        let seen = self.handle.status();
        RunnerStatus {
            state: match seen.state {
                State::Starting => RunnerState::Starting,
                State::Running => RunnerState::Running,
                State::Failing => RunnerState::Failing,
                State::Stopping => RunnerState::Stopping,
                State::Stopped => RunnerState::Stopped,
            },
            pid: seen.pid,
            generation: seen.generation.map(supervisor::Generation::get),
            restarts: seen.restarts,
            since: Some(seen.since),
            socket: seen.socket,
            trouble: self.watcher.trouble(),
            ..status
        }
    }
}

/// What a process is called in the log.
fn label(runner: &str, instance: usize, instances: usize) -> Arc<str> {
    if instances > 1 {
        format!("{runner}/{}", instance + 1).into()
    } else {
        runner.into()
    }
}
