//! `ext-plugin-pre-req` and `ext-plugin-post-req`: a request passes through
//! plugins in runners, before or after the built-in ones. And
//! `ext-plugin-post-resp`: the upstream's response does. And `ext-plugin-log`: they
//! are told of a request that is over.

mod answers;
mod conf;
mod context;
mod decision;
mod failure;
mod failure_log;
mod limits;
mod log_call;
mod measured;
mod plugin;
mod request_call;
mod response_call;
mod response_change;
mod runners;
mod steps;
mod told;
mod traced;

use outrigger_engine::plugin::Factory;

use plugin::ExtPluginFactory;

pub use runners::{External, Runners};

/// When in a request's way runners are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before the other plugins: first in the rewrite phase.
    PreReq,
    /// After the other plugins: last in the access phase.
    PostReq,
    /// When the upstream has answered.
    PostResp,
    /// When the response was sent.
    Log,
}

impl Phase {
    fn plugin_name(self) -> &'static str {
        match self {
            Phase::PreReq => "ext-plugin-pre-req",
            Phase::PostReq => "ext-plugin-post-req",
            Phase::PostResp => "ext-plugin-post-resp",
            Phase::Log => "ext-plugin-log",
        }
    }

    /// The word for it in metrics and traces.
    fn word(self) -> &'static str {
        match self {
            Phase::PreReq => "pre-req",
            Phase::PostReq => "post-req",
            Phase::PostResp => "post-resp",
            Phase::Log => "log",
        }
    }

    /// APISIX's priorities; the last is of our own.
    fn priority(self) -> i32 {
        match self {
            Phase::PreReq => 12_000,
            Phase::PostReq => -3_000,
            Phase::PostResp => -4_000,
            Phase::Log => -5_000,
        }
    }
}

pub(crate) fn factories(external: &External) -> Vec<Box<dyn Factory>> {
    let factory = |phase| -> Box<dyn Factory> {
        Box::new(ExtPluginFactory {
            phase,
            external: external.clone(),
        })
    };
    [Phase::PreReq, Phase::PostReq, Phase::PostResp, Phase::Log]
        .map(factory)
        .into()
}
