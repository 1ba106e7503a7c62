//! The section `ext-plugin`: the runners of external plugins.

use std::collections::HashSet;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outrigger_model::read::{At, Object};

use super::outrigger::read_path;
use super::units;
use crate::limits;

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
    /// How long it may take.
    pub timeout: RunnerTimeout,
    /// How long it has to end when told to, before it is killed.
    pub stop_grace: Duration,
}

/// How long a runner may take. None of the times is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerTimeout {
    /// To accept a connection.
    pub connect: Duration,
    /// To prepare a plugin's configuration.
    pub prepare: Duration,
    /// For one call.
    pub call: Duration,
}

impl Default for RunnerTimeout {
    /// APISIX's: 1 second to connect, 60 for all else.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            prepare: Duration::from_secs(60),
            call: Duration::from_secs(60),
        }
    }
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

/// APISIX's time between SIGTERM and SIGKILL.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Reads the section. All runners get `envs`; relative paths are relative to `folder`.
pub(super) fn read(root: &Object<'_>, envs: &[EnvRule], folder: &Path) -> ExtPlugin {
    root.section("ext-plugin", |section| {
        let base = Base {
            envs: envs.to_vec(),
            timeout: read_timeout(section, RunnerTimeout::default()),
            stop_grace: read_grace(section, STOP_GRACE),
            folder,
        };
        let default = read_runner(section, DEFAULT, &base);
        let named = section.read("runners", |at| read_named(at, &base));
        ExtPlugin {
            default,
            named: named.unwrap_or_default(),
        }
    })
}

/// What a runner has that says nothing else.
struct Base<'f> {
    envs: Vec<EnvRule>,
    timeout: RunnerTimeout,
    stop_grace: Duration,
    folder: &'f Path,
}

fn read_named(at: &At<'_>, base: &Base<'_>) -> Option<Vec<RunnerSettings>> {
    let runners = at.object()?;
    let mut named = Vec::new();
    for (name, at) in runners.entries() {
        check_name(&at, name);
        let Some(object) = at.object() else { continue };
        let own = Base {
            envs: base.envs.clone(),
            timeout: read_timeout(&object, base.timeout),
            stop_grace: read_grace(&object, base.stop_grace),
            folder: base.folder,
        };
        named.extend(read_runner(&object, name, &own));
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

/// None if there is neither command nor path.
fn read_runner(object: &Object<'_>, name: &str, base: &Base<'_>) -> Option<RunnerSettings> {
    let cmd = object.read("cmd", read_cmd);
    let path = read_socket(object, base.folder);
    let mut envs = base.envs.clone();
    envs.extend(object.read("envs", read_envs).unwrap_or_default());
    if cmd.is_none() && path.is_none() {
        return None;
    }
    Some(RunnerSettings {
        name: name.to_owned(),
        cmd: cmd.unwrap_or_default(),
        path,
        envs,
        timeout: base.timeout,
        stop_grace: base.stop_grace,
    })
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

fn read_timeout(object: &Object<'_>, default: RunnerTimeout) -> RunnerTimeout {
    object.section("timeout", |timeout| {
        let time = |key, default| {
            let time = timeout.read(key, |at| units::milliseconds(at, 1));
            time.unwrap_or(default)
        };
        RunnerTimeout {
            connect: time("connect", default.connect),
            prepare: time("prepare", default.prepare),
            call: time("call", default.call),
        }
    })
}

fn read_grace(object: &Object<'_>, default: Duration) -> Duration {
    let grace = object.read("stop_grace", |at| units::milliseconds(at, 0));
    grace.unwrap_or(default)
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
