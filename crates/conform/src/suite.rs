//! Plays the rules, one after the other, and sees whether the runner lives on.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::bench::{Bench, needs};
use crate::exclusions::Exclusions;
use crate::limits;
use crate::profile::{Conf, Profile};
use crate::report::{Played, Report};
use crate::rule::{self, Needs, Rule};
use crate::target::{CannotRun, Started, Target};
use crate::times::Times;
use crate::verdict::{Fault, Verdict};
use crate::wire::{Lost, Wire};

/// What to try, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How long to wait for what.
    pub times: Times,
    /// Which plugins of the runner do what.
    pub profile: Profile,
    /// What is known to be wrong.
    pub exclusions: Exclusions,
    /// The names of the rules to try; all where there is none.
    pub rules: Vec<String>,
}

/// Tries `target` against the rules. Each is told to `played` as soon as it is
/// known.
///
/// Everything happens on the current task, in a tokio runtime with I/O and time.
/// Dropped, it leaves no process behind that it started.
///
/// # Errors
/// [`CannotRun`] before any rule is tried.
pub async fn run(
    target: Target,
    options: Options,
    mut played: impl FnMut(&Played),
) -> Result<Report, CannotRun> {
    let Options {
        times,
        profile,
        exclusions,
        rules,
    } = options;
    if let Some(name) = rules.iter().find(|name| rule::find(name).is_none()) {
        return Err(CannotRun::NoRule(name.clone()));
    }
    let mut stage = Stage::new(target, times, profile).await?;
    let mut report = Report::default();
    for section in rule::sections() {
        for rule in section.rules {
            if !rules.is_empty() && !rules.iter().any(|name| name == rule.name) {
                continue;
            }
            let verdict = stage.play(rule).await;
            let one = Played::new(section.name, rule, verdict, exclusions.find(rule.name));
            played(&one);
            report.played.push(one);
        }
    }
    Ok(report)
}

/// The runner, and what is known of its health.
struct Stage {
    bench: Bench,
    started: Option<Started>,
    /// What was seen when all was well.
    sound: Sound,
    /// Since which rule nobody listens any more.
    gone: Option<&'static str>,
}

/// How a runner is when nothing is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sound {
    /// Who listens, where the system tells.
    process: Option<i32>,
    /// Whether it prepares a configuration without plugins.
    prepares: bool,
}

/// What is wrong with a runner after a rule.
enum Ill {
    /// Nobody listens.
    Gone(String),
    /// It is another process.
    Replaced,
    /// It does not prepare configurations any more.
    Deaf(String),
}

impl fmt::Display for Ill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(how) => write!(f, "afterwards the runner is gone: {how}"),
            Self::Replaced => f.write_str("the runner died and another process took its place"),
            Self::Deaf(how) => write!(f, "afterwards the runner is of no use: {how}"),
        }
    }
}

impl Stage {
    async fn new(target: Target, times: Times, profile: Profile) -> Result<Self, CannotRun> {
        let (started, socket) = match target {
            Target::Socket(socket) => (None, socket),
            Target::Command(command) => {
                let started = Started::new(command, &times).await?;
                let socket = started.socket().to_owned();
                (Some(started), socket)
            }
        };
        let command = started.as_ref().map(Started::command);
        let bench = Bench::new(socket, times, profile, command);
        let sound = find_sound(&bench).await?;
        Ok(Self {
            bench,
            started,
            sound,
            gone: None,
        })
    }

    async fn play(&mut self, rule: &'static Rule) -> Verdict {
        if let Some(why) = self.missing(rule) {
            return Verdict::NotTested(why);
        }
        let played = timeout(limits::RULE, (rule.play)(&self.bench)).await;
        let verdict = match played {
            Ok(outcome) => Verdict::from(outcome),
            Err(_) => Verdict::Wrong(format!("given up after {:?}", limits::RULE)),
        };
        let Some(ill) = self.examine().await else {
            return verdict;
        };
        self.recover(rule).await;
        match verdict {
            Verdict::Wrong(how) => Verdict::Wrong(format!("{how}; {ill}")),
            _ => Verdict::Wrong(ill.to_string()),
        }
    }

    /// What there is not to try the rule with.
    fn missing(&self, rule: &Rule) -> Option<String> {
        if let Some(since) = self.gone {
            return Some(format!("the runner is gone since the rule {since}"));
        }
        match rule.needs {
            Needs::Nothing => None,
            Needs::Command if self.bench.command.is_some() => None,
            Needs::Command => Some("needs a command that starts the runner (--cmd)".to_owned()),
            Needs::Plugins(behaviours) => {
                let mut behaviours = behaviours.iter();
                let missing = behaviours.find(|one| self.bench.profile.means(**one).is_none());
                missing.map(|behaviour| needs(*behaviour))
            }
        }
    }

    /// What is wrong with the runner, if anything is that was not before.
    async fn examine(&mut self) -> Option<Ill> {
        let ill = self.symptom().await;
        let limit = match ill {
            None => Duration::ZERO,
            // A process that is about to end closes its sockets first.
            Some(_) => limits::LAST_BREATH,
        };
        let Some(started) = &mut self.started else {
            return ill;
        };
        match started.ended_within(limit).await {
            Some(status) => Some(Ill::Gone(format!("its process ended with {status}"))),
            None => ill,
        }
    }

    /// What can be seen of it from outside.
    async fn symptom(&self) -> Option<Ill> {
        let mut wire = match Wire::connect(&self.bench.socket, self.bench.times).await {
            Ok(wire) => wire,
            Err(lost) => return Some(Ill::Gone(lost.to_string())),
        };
        let process = wire.peer().ok().and_then(|(pid, _)| pid);
        if process != self.sound.process {
            return Some(Ill::Replaced);
        }
        if !self.sound.prepares {
            return None;
        }
        match wire.prepare(&Conf::new(), &self.bench.key()).await {
            Ok(_) => None,
            Err(Fault::Wrong(how) | Fault::NotTested(how)) => Some(Ill::Deaf(how)),
        }
    }

    /// Has a runner for the next rule, if that can be had.
    async fn recover(&mut self, rule: &Rule) {
        let recovered = match &mut self.started {
            Some(started) => match started.start_again(&self.bench.times).await {
                Ok(()) => {
                    self.bench.socket = started.socket().to_owned();
                    find_sound(&self.bench).await
                }
                Err(error) => Err(error),
            },
            None => self.come_back().await,
        };
        match recovered {
            Ok(sound) => self.sound = sound,
            Err(_) => self.gone = Some(rule.name),
        }
    }

    /// Waits for whoever looks after the runner to start it again.
    async fn come_back(&self) -> Result<Sound, CannotRun> {
        let start = Instant::now();
        loop {
            match find_sound(&self.bench).await {
                Err(_) if start.elapsed() < self.bench.times.answer => {
                    sleep(limits::CONNECT_EVERY).await;
                }
                found => return found,
            }
        }
    }
}

/// What the runner is like now.
async fn find_sound(bench: &Bench) -> Result<Sound, CannotRun> {
    let mut wire = match Wire::connect(&bench.socket, bench.times).await {
        Ok(wire) => wire,
        Err(lost) => return Err(not_listening(&bench.socket, lost)),
    };
    let process = wire.peer().ok().and_then(|(pid, _)| pid);
    let token = wire.prepare(&Conf::new(), &bench.key()).await.ok();
    if bench.first_token.get().is_none() {
        bench.first_token.set(token);
    }
    Ok(Sound {
        process,
        prepares: token.is_some(),
    })
}

fn not_listening(socket: &std::path::Path, lost: Lost) -> CannotRun {
    let socket = PathBuf::from(socket);
    let why = match lost {
        Lost::Connect(error) => error.to_string(),
        other => other.to_string(),
    };
    CannotRun::NotListening { socket, why }
}
