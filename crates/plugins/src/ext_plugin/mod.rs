//! `ext-plugin-pre-req` and `ext-plugin-post-req`: a request passes through
//! plugins in a runner, before or after the built-in ones. And
//! `ext-plugin-post-resp`: the upstream's response does.

mod call;
mod conf;
mod decision;
mod plugin;
mod post_resp;
mod response_change;

use std::collections::HashMap;
use std::sync::Arc;

use outrigger_engine::plugin::Factory;
use outrigger_host::Runner;
use outrigger_telemetry::metrics::Metrics;

use plugin::ExtPluginFactory;

/// The runners that routes may call.
#[derive(Clone)]
pub struct Runners {
    default: Arc<Runner>,
    named: HashMap<String, Arc<Runner>>,
}

impl Runners {
    /// `default` is called where a route names no runner.
    #[must_use]
    pub fn new(default: Arc<Runner>, named: impl IntoIterator<Item = Arc<Runner>>) -> Self {
        let named = named
            .into_iter()
            .map(|runner| (runner.name().to_owned(), runner));
        Runners {
            default,
            named: named.collect(),
        }
    }

    fn find(&self, name: Option<&str>) -> Option<&Arc<Runner>> {
        match name {
            None => Some(&self.default),
            Some(name) => self
                .named
                .get(name)
                .or_else(|| (name == self.default.name()).then_some(&self.default)),
        }
    }

    fn names(&self) -> String {
        let mut names: Vec<&str> = self.named.keys().map(String::as_str).collect();
        names.push(self.default.name());
        names.sort_unstable();
        names.join(", ")
    }
}

/// When in a request's way the runner is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Before the other plugins: first in the rewrite phase.
    PreReq,
    /// After the other plugins: last in the access phase.
    PostReq,
    /// When the upstream has answered.
    PostResp,
}

impl When {
    fn plugin_name(self) -> &'static str {
        match self {
            When::PreReq => "ext-plugin-pre-req",
            When::PostReq => "ext-plugin-post-req",
            When::PostResp => "ext-plugin-post-resp",
        }
    }

    /// The word for it in metrics and traces.
    fn phase(self) -> &'static str {
        match self {
            When::PreReq => "pre-req",
            When::PostReq => "post-req",
            When::PostResp => "post-resp",
        }
    }

    /// APISIX's priorities.
    fn priority(self) -> i32 {
        match self {
            When::PreReq => 12_000,
            When::PostReq => -3_000,
            When::PostResp => -4_000,
        }
    }
}

pub(crate) fn factories(runners: &Runners, metrics: &Metrics) -> Vec<Box<dyn Factory>> {
    let factory = |when| -> Box<dyn Factory> {
        Box::new(ExtPluginFactory {
            when,
            runners: runners.clone(),
            metrics: metrics.clone(),
        })
    };
    [When::PreReq, When::PostReq, When::PostResp]
        .map(factory)
        .into()
}
