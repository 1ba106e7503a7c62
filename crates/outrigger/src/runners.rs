//! The runners that the configuration names: those that the gateway starts and
//! those that someone else did, each with the handle that calls go through.
//!
//! A handle lives as long as its runner's name is configured, whatever else
//! changes, so routes need not be told of a change.

mod calls;
mod counted;
pub(crate) mod environment;
mod member;
mod output;
mod terms;
mod watcher;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use outrigger_admin::control::{Command, CommandError, RunnerStatus};
use outrigger_config::{RunnerSettings, Settings};
use outrigger_host as host;
use outrigger_plugins::Runners;
use outrigger_telemetry::metrics::Metrics;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Failure;
use member::{Folders, Member};

/// The name of the runner that routes call which name none.
pub(crate) const DEFAULT_RUNNER: &str = "default";

/// All runners of one configuration.
pub(crate) struct Fleet {
    default: Member,
    /// In the order of the configuration.
    named: Vec<Member>,
    /// Runners that were removed and still have requests.
    leaving: JoinSet<()>,
    /// Gets a copy of every line of output, as far as it takes them.
    output: Option<mpsc::Sender<String>>,
    metrics: Metrics,
}

/// The runners of a configuration that is about to come into effect.
pub(crate) struct Plan {
    runners: Runners,
    /// Those that there were not before, by name.
    fresh: HashMap<String, Member>,
}

impl Plan {
    /// What routes will call.
    pub(crate) fn runners(&self) -> &Runners {
        &self.runners
    }
}

impl Fleet {
    /// Starts the runners that have a command. `sockets` is the folder for
    /// their sockets; lines of their output go to `output` too. One that cannot
    /// be started is tried again and again, and logged; that is no error here.
    /// What happens to them is counted in `metrics`.
    ///
    /// Must be called on a thread that lives as long as the gateway: the
    /// children die with the thread that spawned them.
    ///
    /// # Errors
    /// A command without a program, which the configuration lets not through.
    pub(crate) fn start(
        settings: &Settings,
        sockets: &Path,
        output: Option<mpsc::Sender<String>>,
        metrics: &Metrics,
    ) -> Result<Self, Failure> {
        let mut fleet = Fleet {
            default: Member::new(DEFAULT_RUNNER, output.clone(), metrics),
            named: Vec::new(),
            leaving: JoinSet::new(),
            output,
            metrics: metrics.clone(),
        };
        let plan = fleet.plan(settings);
        fleet.carry_out(plan, settings, sockets)?;
        Ok(fleet)
    }

    /// What routes call.
    pub(crate) fn runners(&self) -> Runners {
        let named = self.named.iter().map(|member| Arc::clone(member.runner()));
        Runners::new(Arc::clone(self.default.runner()), named)
    }

    /// What [`carry_out`](Self::carry_out) would make of `settings`. Nothing is
    /// changed yet.
    pub(crate) fn plan(&self, settings: &Settings) -> Plan {
        let mut fresh = HashMap::new();
        let mut runners = Vec::new();
        for RunnerSettings { name, .. } in &settings.ext_plugin.named {
            let known = self.named.iter().find(|member| member.name() == name);
            let runner = match known {
                Some(member) => Arc::clone(member.runner()),
                None => {
                    let member = Member::new(name, self.output.clone(), &self.metrics);
                    let runner = Arc::clone(member.runner());
                    fresh.insert(name.clone(), member);
                    runner
                }
            };
            runners.push(runner);
        }
        Plan {
            runners: Runners::new(Arc::clone(self.default.runner()), runners),
            fresh,
        }
    }

    /// Puts the settings into effect that `plan` was made of: starts what is
    /// new, replaces every process by a new one, and stops what is not named any
    /// more when no request can call it. Routes must call the runners of the plan
    /// by now.
    ///
    /// # Errors
    /// A command without a program, which the configuration lets not through.
    pub(crate) fn carry_out(
        &mut self,
        plan: Plan,
        settings: &Settings,
        sockets: &Path,
    ) -> Result<(), Failure> {
        let Plan { runners, mut fresh } = plan;
        // It holds handles, and who leaves waits until nobody does.
        drop(runners);
        let folders = Folders {
            own: &settings.folder,
            sockets,
        };
        let mut outcome = Ok(());
        match &settings.ext_plugin.default {
            Some(runner) => outcome = self.default.configure(runner.clone(), folders),
            None => self.default.unconfigure(),
        }
        let mut before: Vec<Member> = std::mem::take(&mut self.named);
        for runner in &settings.ext_plugin.named {
            let place = before
                .iter()
                .position(|member| member.name() == runner.name);
            let known = place.map(|place| before.swap_remove(place));
            let Some(mut member) = known.or_else(|| fresh.remove(&runner.name)) else {
                continue;
            };
            outcome = outcome.and(member.configure(runner.clone(), folders));
            self.named.push(member);
        }
        for member in before {
            tracing::info!(runner = member.name(), "removed from config.yaml");
            self.leaving.spawn(member.linger());
        }
        // Those that have left by now.
        while self.leaving.try_join_next().is_some() {}
        Ok(outcome?)
    }

    /// How every process of every runner is.
    pub(crate) fn list(&self) -> Vec<RunnerStatus> {
        self.members().flat_map(Member::status).collect()
    }

    /// Has all processes of a runner do something. It is under way when this
    /// returns.
    ///
    /// # Errors
    /// There is no such runner, or it is not the gateway's to start.
    pub(crate) fn command(&mut self, name: &str, command: Command) -> Result<(), CommandError> {
        let configured = || self.members().filter(|member| member.settings().is_some());
        let Some(member) = configured().find(|member| member.name() == name) else {
            return Err(CommandError::Unknown {
                name: name.to_owned(),
                known: configured().map(|it| it.name().to_owned()).collect(),
            });
        };
        tracing::info!(runner = name, "{command:?} as told through the control API");
        let path = member.settings().and_then(|settings| settings.path.clone());
        match path {
            Some(socket) if !member.command(command) => Err(CommandError::External {
                name: name.to_owned(),
                socket,
            }),
            Some(_) => Ok(()),
            None => {
                member.command(command);
                Ok(())
            }
        }
    }

    /// Opens the files anew that runners' output goes to.
    pub(crate) fn reopen_logs(&self) {
        self.members().for_each(Member::reopen_log);
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        std::iter::once(&self.default).chain(&self.named)
    }

    /// Stops every process.
    pub(crate) async fn stop(mut self) {
        // They were given time; now there is none left.
        self.leaving.abort_all();
        let members = std::iter::once(self.default).chain(self.named);
        let stopping: Vec<_> = members.map(|member| tokio::spawn(member.stop())).collect();
        for stopped in stopping {
            // A panic has been reported by the task itself.
            let _ = stopped.await;
        }
    }
}

/// Handles of the configured names that lead nowhere: enough to check a
/// configuration with.
pub(crate) fn without_processes(settings: &Settings) -> Runners {
    let idle = |name: &str| {
        let settings = host::Settings::default();
        host::Runner::new(name, settings, Arc::new(()))
    };
    let named = settings.ext_plugin.named.iter();
    Runners::new(idle(DEFAULT_RUNNER), named.map(|runner| idle(&runner.name)))
}
