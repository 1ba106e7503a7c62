//! The section `ext-plugin`: the runners of external plugins.

use std::collections::HashSet;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use outrigger_model::read::{At, Object};

use super::outrigger::read_path;
use crate::limits;

mod terms;

pub use terms::{BreakerRule, OutputLevel, OutputRule, RunnerLimits, RunnerTerms, RunnerTimeout};

/// The runners of external plugins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtPlugin {
    /// The one that routes use that name none.
    pub default: Option<RunnerSettings>,
    /// The others, each with a name of its own.
    pub named: Vec<RunnerSettings>,
}

/// How a runner is reached, and started if that is for the gateway to do.
///
/// Invariant: it has a command, or a path, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerSettings {
    /// Its name; `default` for the default one.
    pub name: String,
    /// Command and arguments; empty if somebody else starts it. The command is looked
    /// up in the folder of `config.yaml` first if it is a relative path.
    pub cmd: Vec<String>,
    /// Its socket, absolute. None for one that the gateway chooses.
    pub path: Option<PathBuf>,
    /// The environment that it gets, besides the few names that all get. Of
    /// several rules for one name the last counts.
    pub envs: Vec<EnvRule>,
    /// How many processes of it run side by side. Not 0; 1 where it has a path.
    pub instances: usize,
    /// The file, absolute, that its output is appended to, besides the log.
    pub log_file: Option<PathBuf>,
    /// On which terms it is called and kept.
    pub terms: RunnerTerms,
}

/// A variable of a runner's environment. It is shown without its value, which may be
/// a secret.
#[derive(Clone, PartialEq, Eq)]
pub enum EnvRule {
    /// `NAME`: passed on from the gateway's own environment, if it is there.
    Pass(String),
    /// `NAME=value`: set to this.
    Set(String, String),
}

impl fmt::Debug for EnvRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass(name) => f.write_str(name),
            Self::Set(name, _) => write!(f, "{name}=…"),
        }
    }
}

const DEFAULT: &str = "default";

/// What the gateway itself tells a runner.
const RESERVED: [&str; 2] = ["APISIX_LISTEN_ADDRESS", "APISIX_CONF_EXPIRE_TIME"];

/// Reads the section. All runners get `envs`; relative paths are relative to `folder`.
pub(super) fn read(root: &Object<'_>, envs: &[EnvRule], folder: &Path) -> ExtPlugin {
    root.section("ext-plugin", |section| {
        let none = Base {
            envs: envs.to_vec(),
            terms: RunnerTerms::default(),
            folder,
        };
        let (default, terms) = read_runner(section, DEFAULT, &none);
        let base = Base { terms, ..none };
        let named = section.read("runners", |at| read_named(at, default.as_ref(), &base));
        ExtPlugin {
            default,
            named: named.unwrap_or_default(),
        }
    })
}

/// What a runner has that says nothing else.
struct Base<'f> {
    envs: Vec<EnvRule>,
    terms: RunnerTerms,
    folder: &'f Path,
}

fn read_named(
    at: &At<'_>,
    default: Option<&RunnerSettings>,
    base: &Base<'_>,
) -> Option<Vec<RunnerSettings>> {
    let runners = at.object()?;
    let mut named = Vec::new();
    for (name, at) in runners.entries() {
        check_name(&at, name);
        let Some(object) = at.object() else { continue };
        let (runner, _) = read_runner(&object, name, base);
        if let Some(runner) = runner {
            let others = default.into_iter().chain(&named);
            check_path(&at, &runner, others);
            named.push(runner);
        }
        if ["cmd", "path", "path_for_test"]
            .iter()
            .all(|key| object.get(key).is_none())
        {
            at.fault("property \"cmd\" or \"path\" is required");
        }
        object.finish();
    }
    Some(named)
}

fn check_name(at: &At<'_>, name: &str) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let most = limits::RUNNER_NAME_CHARS;
    if name == DEFAULT {
        at.fault("this name is that of the runner given by ext-plugin.cmd");
    } else if name.is_empty() || name.len() > most || !name.bytes().all(allowed) {
        at.fault(format!(
            "a runner's name has 1 to {most} of the characters a-z A-Z 0-9 - _ ."
        ));
    }
}

/// Of two processes at one path the later would take the calls of the earlier.
/// Runners that somebody else starts may share one: they are one, by two names.
fn check_path<'r>(
    at: &At<'_>,
    runner: &RunnerSettings,
    mut others: impl Iterator<Item = &'r RunnerSettings>,
) {
    let Some(path) = &runner.path else { return };
    let is_there = |other: &&RunnerSettings| other.path.as_ref() == Some(path);
    let starts = |runner: &RunnerSettings| !runner.cmd.is_empty();
    if let Some(other) = others.find(|other| is_there(other) && starts(other) && starts(runner)) {
        at.fault(format!(
            "its path is that of the runner {:?} too: give it one of its own, or none",
            other.name
        ));
    }
}

/// The runner, which is none if there is neither command nor path, and the terms
/// that stand there.
fn read_runner(
    object: &Object<'_>,
    name: &str,
    base: &Base<'_>,
) -> (Option<RunnerSettings>, RunnerTerms) {
    let cmd = object.read("cmd", read_cmd);
    let path = read_socket(object, base.folder);
    let mut envs = base.envs.clone();
    envs.extend(object.read("envs", read_envs).unwrap_or_default());
    let instances = object.read("instances", |at| read_instances(at, object));
    let mut terms = terms::read(object, &base.terms);
    let log_file = object.section("log", |log| {
        terms.log = terms::read_output(log, terms.log);
        log.read("file", |at| read_path(at, base.folder))
    });
    if cmd.is_none() && path.is_none() {
        return (None, terms);
    }
    let runner = RunnerSettings {
        name: name.to_owned(),
        cmd: cmd.unwrap_or_default(),
        path,
        envs,
        instances: instances.unwrap_or(1),
        log_file,
        terms: terms.clone(),
    };
    (Some(runner), terms)
}

/// Each process listens on a path of its own, so none may be configured.
fn read_instances(at: &At<'_>, runner: &Object<'_>) -> Option<usize> {
    let instances = at.integer(1..=limits::RUNNER_INSTANCES)?;
    let has_path = ["path", "path_for_test"]
        .iter()
        .any(|key| runner.get(key).is_some());
    if instances > 1 && has_path {
        at.fault("several processes cannot listen at one path: leave the path out, or let it be 1");
    }
    usize::try_from(instances).ok()
}

fn read_cmd(at: &At<'_>) -> Option<Vec<String>> {
    let words: Vec<_> = at.items()?.filter_map(|word| read_word(&word)).collect();
    if at.value().as_array().is_some_and(Vec::is_empty) {
        at.fault("expect array to have at least 1 items");
    } else if words.first().is_some_and(String::is_empty) {
        at.fault("the command must not be empty");
    }
    Some(words)
}

/// A text that can be given to a process.
fn read_word(at: &At<'_>) -> Option<String> {
    let word = at.string()?;
    if word.contains('\0') {
        at.fault("must not contain a NUL");
    }
    Some(word.to_owned())
}

/// The socket's path: `path_for_test` as in APISIX, or `path`.
fn read_socket(object: &Object<'_>, folder: &Path) -> Option<PathBuf> {
    let at = match (object.get("path_for_test"), object.get("path")) {
        (Some(_), Some(path)) => {
            path.fault("expected either \"path\" or \"path_for_test\", got both");
            return None;
        }
        (one, other) => one.or(other)?,
    };
    let path = read_path(&at, folder)?;
    // APISIX takes the path with and without the scheme of its own addresses.
    let path = match at.string()?.strip_prefix("unix:") {
        Some(path) => folder.join(path),
        None => path,
    };
    let most = limits::SOCKET_PATH_LEN;
    if path.as_os_str().as_bytes().len() > most {
        at.fault(format!("the path of a socket has at most {most} bytes"));
    }
    Some(path)
}

/// Reads rules for the environment: `NAME` or `NAME=value` each.
pub(super) fn read_envs(at: &At<'_>) -> Option<Vec<EnvRule>> {
    let mut names = HashSet::new();
    let mut rules = Vec::new();
    for item in at.items()? {
        let Some(text) = read_word(&item) else {
            continue;
        };
        let (name, rule) = match text.split_once('=') {
            Some((name, value)) => (name, EnvRule::Set(name.to_owned(), value.to_owned())),
            None => (text.as_str(), EnvRule::Pass(text.clone())),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            item.fault("expected NAME or NAME=value");
        } else if RESERVED.contains(&name) {
            item.fault(format!("{name} is set by the gateway itself"));
        } else if !names.insert(name.to_owned()) {
            item.fault(format!("there is a rule for {name} already"));
        }
        rules.push(rule);
    }
    Some(rules)
}
