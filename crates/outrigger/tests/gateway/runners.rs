//! Runners for the tests: the demo runner as the gateway's child, and one in
//! the test's own process that does what the test says.

use std::ops::Deref;

use outrigger_a6::http_req_call::{Action, Request, Response};
use outrigger_a6::{Entry, RpcType};
use outrigger_harness::GatewayBuilder;
use outrigger_testkit::{Answer, FakeRunner, OwnedFrame, frame};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use crate::support::{OUTRIGGER, gateway};

/// A gateway that starts the demo runner.
pub(crate) fn demo_runner() -> GatewayBuilder {
    gateway().config(json!({"ext-plugin": {"cmd": [OUTRIGGER, "demo-runner"]}}))
}

/// A scripted runner that lives as long as the test.
pub(crate) struct Scripted {
    runner: FakeRunner,
    _runtime: Runtime,
}

impl Scripted {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be had");
        let entered = runtime.enter();
        let runner = FakeRunner::start().expect("a socket can be had");
        drop(entered);
        Self {
            runner,
            _runtime: runtime,
        }
    }

    /// One that decides on every request alike.
    pub(crate) fn deciding(action: Action<'static>) -> Self {
        let runner = Self::start();
        runner.always(RpcType::HttpReqCall, decision(action));
        runner
    }

    /// A gateway that calls it.
    pub(crate) fn gateway(&self) -> GatewayBuilder {
        gateway().config(json!({"ext-plugin": {"path_for_test": self.path()}}))
    }
}

impl Deref for Scripted {
    type Target = FakeRunner;

    fn deref(&self) -> &FakeRunner {
        &self.runner
    }
}

/// A call's answer that is this decision.
pub(crate) fn decision(action: Action<'static>) -> Answer {
    Answer::new().reply_with(move |call| answer(call, action))
}

/// The frame that answers `call` with this decision.
pub(crate) fn answer(call: &OwnedFrame, action: Action<'_>) -> Vec<u8> {
    let call: Request<'_> = call.decode().expect("the gateway sends calls");
    frame(&Response {
        id: call.id,
        action: Some(action),
    })
}

/// A name with a value.
pub(crate) const fn entry(name: &'static str, value: &'static [u8]) -> Entry<'static> {
    Entry {
        name: name.as_bytes(),
        value: Some(value),
    }
}

/// A name to be deleted.
pub(crate) const fn gone(name: &'static str) -> Entry<'static> {
    Entry {
        name: name.as_bytes(),
        value: None,
    }
}
