//! The gateway's built-in plugins, one file or folder each, with the names,
//! priorities and configurations that APISIX gives them.
//!
//! `ext_plugin` hands a request to a plugin runner; how a runner is called is
//! the business of the crate `host`, and how it is kept running of nobody here.

mod conf;
mod ext_plugin;
mod proxy_rewrite;

use outrigger_engine::plugin::{Factory, Registry};
use outrigger_telemetry::metrics::Metrics;

pub use ext_plugin::Runners;

/// All plugins of this gateway. Those that call external plugins do so in
/// `runners`; the calls are counted in `metrics`.
#[must_use]
pub fn registry(runners: Runners, metrics: &Metrics) -> Registry {
    let external = ext_plugin::factories(&runners, metrics);
    let built_in: [Box<dyn Factory>; 1] = [Box::new(proxy_rewrite::ProxyRewrite)];
    Registry::new(external.into_iter().chain(built_in))
}
