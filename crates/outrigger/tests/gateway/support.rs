//! What the tests have in common: gateways of this build and short ways to
//! write their configuration.

use std::fs;
use std::sync::{Condvar, Mutex};

use outrigger_harness::{Connection, Gateway, GatewayBuilder, Process, Response, Upstream, limits};
use serde_json::{Value, json};

/// The program under test.
pub(crate) const OUTRIGGER: &str = env!("CARGO_BIN_EXE_outrigger");

/// A gateway of this build.
pub(crate) fn gateway() -> GatewayBuilder {
    Gateway::build().program(OUTRIGGER)
}

/// A gateway that sends every request to `upstream`.
#[track_caller]
pub(crate) fn gateway_to(upstream: &Upstream) -> Gateway {
    gateway().routes(all_to(upstream)).start()
}

/// One route, of every request to `upstream`.
pub(crate) fn all_to(upstream: &Upstream) -> Value {
    routes([route("/*", nodes(&[upstream]))])
}

/// The document of these routes.
pub(crate) fn routes<const N: usize>(routes: [Value; N]) -> Value {
    json!({"routes": routes.to_vec()})
}

/// A route of `uri` to an upstream.
pub(crate) fn route(uri: &str, upstream: Value) -> Value {
    json!({"uri": uri, "upstream": upstream})
}

/// An upstream of these nodes, in this order when they have their turns.
pub(crate) fn nodes(nodes: &[&Upstream]) -> Value {
    let weights = nodes.iter().map(|node| (node.node(), json!(1)));
    json!({"nodes": weights.collect::<serde_json::Map<_, _>>()})
}

/// `base` with the properties of `more`.
pub(crate) fn with(mut base: Value, more: Value) -> Value {
    let properties = base.as_object_mut().expect("an object gets properties");
    let Value::Object(more) = more else {
        panic!("only an object has properties to add");
    };
    properties.extend(more);
    base
}

/// An upstream's or route's time limits for all that it does, in seconds.
pub(crate) fn timeout(seconds: f64) -> Value {
    json!({"timeout": {"connect": seconds, "send": seconds, "read": seconds}})
}

/// The message of an answer that the gateway made itself.
#[track_caller]
pub(crate) fn error_msg(response: &Response) -> String {
    let body = response.json();
    let message = body["error_msg"].as_str();
    message
        .unwrap_or_else(|| panic!("no error_msg: {response:?}"))
        .to_owned()
}

/// Sends `bytes` on a new connection and reads what is answered.
#[track_caller]
pub(crate) fn answer_to(gateway: &Gateway, bytes: impl AsRef<[u8]>) -> (Response, Connection) {
    let mut connection = gateway.client().connection();
    connection.write(bytes.as_ref());
    (connection.read_response("GET"), connection)
}

/// What a gateway may need more than at rest when bodies of much more than
/// this stream through it; the parts of its program that it had not used yet
/// count too, and a debug build has many.
pub(crate) const STREAMING: u64 = 16 << 20;

/// The most memory that a process had resident so far, in bytes.
pub(crate) fn peak_memory(process: Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid()));
    let status = status.expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.expect("it says so").parse().expect("a number");
    kib << 10
}

/// Something that is closed at first: who waits goes on once it is open.
#[derive(Default)]
pub(crate) struct Latch {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Latch {
    pub(crate) fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    /// # Panics
    /// If nobody opens it.
    pub(crate) fn wait(&self) {
        let open = self.open.lock().unwrap();
        let waited = self
            .opened
            .wait_timeout_while(open, limits::WAIT, |open| !*open);
        assert!(*waited.unwrap().0, "nobody opened it");
    }
}

/// One plugin in a runner with its configuration, for [`external`].
pub(crate) fn plugin(name: &str, value: Value) -> Value {
    json!({"name": name, "value": value})
}

/// What an `ext-plugin-*` plugin is told: these plugins of a runner.
pub(crate) fn external<const N: usize>(plugins: [Value; N]) -> Value {
    json!({"conf": plugins.to_vec()})
}
