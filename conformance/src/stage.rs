//! A gateway with one runner behind it and an echo upstream: what a scenario
//! plays on.

use std::fmt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use outrigger_harness as harness;
use outrigger_harness::{Gateway, GatewayBuilder, Process, Running, Upstream, eventually};
use serde_json::{Value, json};

use crate::program::Program;
use crate::record::Recorder;

/// How the gateway and the runner find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The gateway starts it: `ext-plugin.cmd`.
    Cmd,
    /// Somebody else started it, on `ext-plugin.path_for_test`.
    Path,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::Cmd, Self::Path];
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cmd => "cmd",
            Self::Path => "path_for_test",
        })
    }
}

/// A gateway with one runner behind it.
pub(crate) struct Stage<'a> {
    pub(crate) program: &'a Program,
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Gateway,
    external: Option<External>,
}

/// How a stage differs from the usual one.
#[derive(Default)]
pub(crate) struct Setting {
    /// Settings beside `cmd` and `path_for_test` inside `ext-plugin`.
    pub(crate) ext_plugin: Value,
    /// Further sections of config.yaml.
    pub(crate) config: Value,
    /// Environment of the gateway.
    pub(crate) env: Vec<(&'static str, &'static str)>,
    /// The runner ignores SIGTERM.
    pub(crate) lingers: bool,
    /// An external runner is not started.
    pub(crate) runner_absent: bool,
    /// Frames are recorded into this folder.
    pub(crate) record: Option<PathBuf>,
}

impl<'a> Stage<'a> {
    /// The usual stage, the runner ready to answer.
    pub(crate) fn new(program: &'a Program, mode: Mode) -> Self {
        Self::with(program, mode, Setting::default())
    }

    /// A stage that differs from the usual one.
    pub(crate) fn with(program: &'a Program, mode: Mode, setting: Setting) -> Self {
        let upstream = Upstream::echo();
        let external = (mode == Mode::Path).then(|| External::new(program, &setting));
        let mut ext_plugin = setting.ext_plugin.clone();
        if ext_plugin.is_null() {
            ext_plugin = json!({});
        }
        match &external {
            Some(external) => ext_plugin["path_for_test"] = json!(external.gateway_side()),
            None => ext_plugin["cmd"] = json!(command(program, setting.lingers)),
        }
        let mut builder = Gateway::build()
            .program(&program.gateway)
            .config(json!({"ext-plugin": ext_plugin}))
            .config(setting.config);
        for (name, value) in setting.env {
            builder = builder.env(name, value);
        }
        let stage = Self {
            program,
            gateway: start(builder, program, &upstream),
            upstream,
            external,
        };
        if !setting.runner_absent {
            stage.wait_ready();
        }
        stage
    }

    /// One route for everything, with `plugins`, and one for `/plain` without.
    pub(crate) fn route(&self, plugins: &Value) {
        let node = self.upstream.node();
        self.gateway.set_routes(routes(
            &node,
            vec![json!({"id": "main", "uri": "/*", "plugins": plugins})],
        ));
    }

    /// [`Stage::route`] with the `ext-plugin-pre-req` plugins given.
    pub(crate) fn plugins(&self, plugins: &[(&str, Value)]) {
        self.route(&json!({"ext-plugin-pre-req": conf(plugins)}));
    }

    /// Several routes, each with a path of its own.
    pub(crate) fn routes(&self, routed: Vec<Value>) {
        let node = self.upstream.node();
        self.gateway.set_routes(routes(&node, routed));
    }

    /// The process of the runner.
    pub(crate) fn runner(&self) -> Process {
        match &self.external {
            Some(external) => external.process(),
            None => self.gateway.wait_runners(1)[0],
        }
    }

    /// Where a host reaches the external runner and is recorded.
    pub(crate) fn recorded_socket(&self) -> &Path {
        let external = self.external.as_ref();
        external.expect("the runner is external").gateway_side()
    }

    /// Starts the external runner; one that the gateway started comes back by
    /// itself.
    pub(crate) fn start_runner(&self) {
        if let Some(external) = &self.external {
            external.start(self.program);
        }
    }

    /// Waits until the runner answers calls.
    pub(crate) fn wait_ready(&self) {
        self.plugins(&[self.program.says("ready")]);
        eventually("the runner answers", || {
            let response = self.gateway.get("/ready").send();
            response.status == 200 && response.body == b"ready"
        });
    }
}

/// A plugin phase's configuration: each value as JSON text, which is how
/// APISIX's users write it.
pub(crate) fn conf(plugins: &[(&str, Value)]) -> Value {
    let entries: Vec<_> = plugins
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value.to_string()}))
        .collect();
    json!({"conf": entries})
}

fn start(builder: GatewayBuilder, program: &Program, upstream: &Upstream) -> Gateway {
    let ready = json!({"ext-plugin-pre-req": conf(&[program.says("ready")])});
    let route = json!({"id": "main", "uri": "/*", "plugins": ready});
    builder
        .routes(routes(&upstream.node(), vec![route]))
        .start()
}

fn routes(node: &str, mut routed: Vec<Value>) -> Value {
    routed.push(json!({"id": "plain", "uri": "/plain", "priority": 1}));
    for route in &mut routed {
        route["upstream"] = json!({"type": "roundrobin", "nodes": {node: 1}});
    }
    json!({ "routes": routed })
}

fn command(program: &Program, lingers: bool) -> Vec<String> {
    if lingers {
        program.lingering()
    } else {
        program.command.clone()
    }
}

/// A runner that the gateway has not started.
struct External {
    running: Mutex<Option<Running>>,
    socket: PathBuf,
    recorder: Option<Recorder>,
    _folder: tempfile::TempDir,
}

impl External {
    fn new(program: &Program, setting: &Setting) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let socket = folder.path().join("runner.sock");
        let recorder = setting.record.as_ref().map(|frames| {
            Recorder::start(
                &folder.path().join("recorded.sock"),
                &socket,
                frames,
                program.name,
            )
        });
        let external = Self {
            running: Mutex::new(None),
            socket,
            recorder,
            _folder: folder,
        };
        if !setting.runner_absent {
            external.start(program);
        }
        external
    }

    /// The socket that the gateway is told.
    fn gateway_side(&self) -> &Path {
        match &self.recorder {
            Some(recorder) => recorder.path(),
            None => &self.socket,
        }
    }

    fn start(&self, program: &Program) {
        let address = format!("unix:{}", self.socket.display());
        let running = harness::Program::new(&program.command[0])
            .args(&program.command[1..])
            .env("APISIX_LISTEN_ADDRESS", address)
            .env("APISIX_CONF_EXPIRE_TIME", "3600")
            .start();
        eventually("the external runner listens", || {
            let exited = running.exited();
            assert!(exited.is_none(), "it has exited: {exited:?}");
            UnixStream::connect(&self.socket).is_ok()
        });
        *self.slot() = Some(running);
    }

    fn process(&self) -> Process {
        let slot = self.slot();
        slot.as_ref().expect("it has been started").process()
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
