//! Configuring and starting a gateway.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{ADMIN_KEY, CONFIG_FILE, Gateway, ROUTES_FILE, routes_text, write_atomically};
use crate::limits;
use crate::program::{Exit, Program, Running};

/// Names the gateway's program where a test does not say which one.
const PROGRAM_VARIABLE: &str = "OUTRIGGER_BIN";

/// What the gateway logs once a listener serves, before the address.
const LISTENING: &str = "listening on ";

/// A configuration: YAML text, or JSON, of which YAML is a superset.
pub trait Document {
    /// The text to write.
    fn text(&self) -> String;
}

impl Document for &str {
    fn text(&self) -> String {
        (*self).to_owned()
    }
}

impl Document for String {
    fn text(&self) -> String {
        self.clone()
    }
}

impl Document for Value {
    /// One line per top-level key, so that text can be put before and after it.
    fn text(&self) -> String {
        match self {
            Value::Object(entries) => entries
                .iter()
                .map(|(key, value)| format!("{key}: {value}\n"))
                .collect(),
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }
}

impl<D: Document> Document for &D {
    fn text(&self) -> String {
        (*self).text()
    }
}

/// A gateway to configure and [start](GatewayBuilder::start).
#[derive(Debug)]
#[must_use = "a gateway starts with `start`"]
pub struct GatewayBuilder {
    program: Option<PathBuf>,
    config: String,
    routes: String,
    log: Option<String>,
    env: Vec<(OsString, Option<OsString>)>,
    files: Vec<(String, Vec<u8>)>,
    listeners: usize,
}

impl GatewayBuilder {
    pub(super) fn new() -> Self {
        Self {
            program: None,
            config: String::new(),
            routes: routes_text(&""),
            log: None,
            env: Vec::new(),
            files: Vec::new(),
            listeners: 1,
        }
    }

    /// The program to start, instead of the one that the environment variable
    /// `OUTRIGGER_BIN` names.
    pub fn program(mut self, path: impl AsRef<Path>) -> Self {
        self.program = Some(path.as_ref().to_owned());
        self
    }

    /// Adds settings. Unless they hold these sections themselves, `apisix`
    /// listens on free loopback ports, `plugin_attr` hands out metrics on
    /// another, `deployment` reads routes from `apisix.yaml`, and `outrigger` runs one worker with its sockets in the
    /// gateway's folder.
    pub fn config(mut self, config: impl Document) -> Self {
        self.config.push_str(&config.text());
        self.config.push('\n');
        self
    }

    /// Has the gateway keep its resources itself, in its folder, and change them
    /// through [`Gateway::admin`].
    pub fn traditional(self) -> Self {
        let key = json!({"name": "admin", "key": ADMIN_KEY, "role": "admin"});
        let admin = json!({"admin_listen": {"port": 0}, "admin_key": [key]});
        self.config(json!({"deployment": {"role": "traditional", "admin": admin}}))
    }

    /// The text of `apisix.yaml`; `#END` is added where it is missing.
    pub fn routes(mut self, routes: impl Document) -> Self {
        self.routes = routes_text(&routes);
        self
    }

    /// What the log tells, if not what it does by itself: a level, or levels by module.
    pub fn log(mut self, filter: &str) -> Self {
        self.log = Some(filter.to_owned());
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let (name, value) = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.env.push((name, Some(value)));
        self
    }

    /// Removes an environment variable.
    pub fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), None));
        self
    }

    /// Puts a file beside `config.yaml`.
    pub fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), content.into()));
        self
    }

    /// How many listeners the settings ask for, if not one.
    pub fn listeners(mut self, count: usize) -> Self {
        self.listeners = count;
        self
    }

    /// Starts it and waits until it serves.
    ///
    /// # Panics
    /// If it does not, showing its log.
    #[track_caller]
    pub fn start(self) -> Gateway {
        let listeners = self.listeners;
        let (running, folder) = self.spawn();
        let Some(addresses) = addresses(&running, listeners) else {
            panic!(
                "the gateway does not serve ({:?}); log:\n{}",
                running.exited(),
                running.stderr().text()
            );
        };
        Gateway {
            running,
            addresses,
            folder,
        }
    }

    /// Runs a gateway that is to end by itself, such as one whose settings are
    /// wrong.
    ///
    /// # Panics
    /// If it does not end.
    #[track_caller]
    pub fn run(self) -> Exit {
        let (running, _folder) = self.spawn();
        running.wait()
    }

    fn spawn(self) -> (Running, tempfile::TempDir) {
        let program = self
            .program
            .or_else(|| std::env::var_os(PROGRAM_VARIABLE).map(PathBuf::from))
            .unwrap_or_else(|| panic!("no program given, and {PROGRAM_VARIABLE} is not set"));
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let config = folder.path().join(CONFIG_FILE);
        for (name, content) in &self.files {
            fs::write(folder.path().join(name), content).expect("a temporary file can be written");
        }
        write_atomically(&config, &config_text(&self.config, folder.path()));
        write_atomically(&folder.path().join(ROUTES_FILE), &self.routes);
        let mut command = Program::new(program).arg("run").arg("-c").arg(&config);
        if let Some(filter) = &self.log {
            command = command.arg("--log").arg(filter);
        }
        for (name, value) in self.env {
            command = match value {
                Some(value) => command.env(name, value),
                None => command.without_env(name),
            };
        }
        (command.start(), folder)
    }
}

/// The settings with the sections that the test has not written itself.
pub(super) fn config_text(settings: &str, folder: &Path) -> String {
    let sections = [
        (
            "apisix",
            json!({
                "node_listen": [{"ip": "127.0.0.1", "port": 0}],
                "control": {"port": 0},
            }),
        ),
        (
            "deployment",
            json!({"role": "data_plane", "role_data_plane": {"config_provider": "yaml"}}),
        ),
        ("outrigger", json!({"workers": 1, "runtime_dir": folder})),
        (
            "plugin_attr",
            json!({"prometheus": {"export_addr": {"port": 0}}}),
        ),
    ];
    let mut text = with_ports(settings);
    for (name, section) in sections {
        let key = format!("{name}:");
        if !settings.lines().any(|line| line.starts_with(&key)) {
            text.push_str(&format!("\n{key} {section}"));
        }
    }
    text.push('\n');
    text
}

/// A section `apisix` of the test's own says where the gateway and its control API
/// listen, or gets told: gateways that run at once cannot share a port.
fn with_ports(settings: &str) -> String {
    let own = [
        ("control", r#""control": {"port": 0}"#),
        (
            "node_listen",
            r#""node_listen": [{"ip": "127.0.0.1", "port": 0}]"#,
        ),
    ];
    let lacking: Vec<&str> = own
        .iter()
        .filter(|(key, _)| !settings.contains(key))
        .map(|(_, text)| *text)
        .collect();
    let lines = settings.lines().map(|line| {
        let Some(section) = line.strip_prefix("apisix:").filter(|_| !lacking.is_empty()) else {
            return line.to_owned();
        };
        match section.trim_start().strip_prefix('{') {
            Some("}") => format!("apisix: {{{}}}", lacking.join(", ")),
            Some(rest) => format!("apisix: {{{}, {rest}", lacking.join(", ")),
            None => format!("{line}\n  {}", lacking.join("\n  ")),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn addresses(running: &Running, count: usize) -> Option<Vec<SocketAddr>> {
    let mut found = Vec::new();
    running.stderr().find(0, limits::WAIT, |line| {
        found.extend(listening_address(line));
        found.len() == count
    });
    (found.len() == count).then_some(found)
}

/// The address in `… listening on http://127.0.0.1:9080 …`.
fn listening_address(line: &str) -> Option<SocketAddr> {
    let url = line.split_once(LISTENING)?.1;
    let url = url.split_whitespace().next()?;
    url.split_once("://")?.1.trim_end_matches('/').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_that_the_test_writes_are_not_written_twice() {
        let text = config_text("outrigger: {workers: 2}\n", Path::new("/x"));
        assert_eq!(text.matches("outrigger:").count(), 1, "{text}");
        assert!(text.contains("\napisix: {"), "{text}");
        assert!(text.contains("\ndeployment: {"), "{text}");
    }

    #[test]
    fn a_section_of_the_test_gets_ports_of_its_own() {
        let control = r#""control": {"port": 0}"#;
        let listen = r#""node_listen": [{"ip": "127.0.0.1", "port": 0}]"#;
        for (section, expected) in [
            (
                "apisix: {\"node_listen\": 1}",
                format!("apisix: {{{control}, \"node_listen\": 1}}"),
            ),
            ("apisix: {}", format!("apisix: {{{control}, {listen}}}")),
            (
                "apisix:\n  router: {}",
                format!("apisix:\n  {control}\n  {listen}\n  router: {{}}"),
            ),
            (
                "apisix: {enable_control: false, node_listen: 1}",
                "apisix: {enable_control: false, node_listen: 1}".to_owned(),
            ),
            ("x: {a: 1}", "x: {a: 1}".to_owned()),
        ] {
            assert_eq!(with_ports(section), expected);
        }
    }

    #[test]
    fn json_documents_are_lines_of_yaml() {
        let text = json!({"routes": [{"uri": "/a"}], "upstreams": []}).text();
        assert_eq!(text, "routes: [{\"uri\":\"/a\"}]\nupstreams: []\n");
        assert_eq!(routes_text(&"routes: []\n#END\n"), "routes: []\n#END\n");
        assert_eq!(routes_text(&"routes: []"), "routes: []\n#END\n");
    }

    #[test]
    fn the_address_is_found_in_a_log_line() {
        let line = "2026-01-01T00:00:00Z  INFO listening on http://127.0.0.1:9080 workers=2";
        assert_eq!(
            listening_address(line),
            Some("127.0.0.1:9080".parse().unwrap())
        );
        assert_eq!(
            listening_address("listening on https://[::1]:1/"),
            Some("[::1]:1".parse().unwrap())
        );
        assert_eq!(listening_address("not listening"), None);
    }
}
