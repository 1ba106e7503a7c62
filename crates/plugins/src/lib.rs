//! The gateway's built-in plugins, one file or folder each, with the names,
//! priorities and configurations that APISIX gives them.
//!
//! `ext_plugin` hands a request to a plugin runner; how a runner is called is
//! the business of the crate `host`, and how it is kept running of nobody here.

mod attributes;
mod auth;
mod basic_auth;
mod conf;
mod consumer_restriction;
mod cors;
mod ext_plugin;
mod fault_injection;
mod gzip;
mod ip_restriction;
mod jwt_auth;
mod key_auth;
mod pattern;
mod prometheus;
mod proxy_rewrite;
mod redirect;
mod refusal;
mod replacement;
mod request_id;
mod response_rewrite;

use outrigger_engine::plugin::{Factory, Registry};

use auth::AuthFactory;

pub use attributes::Attributes;
pub use ext_plugin::{External, Runners};

/// All plugins of this gateway; those that call external plugins do so with
/// `external`.
#[must_use]
pub fn registry(external: &External, attributes: &Attributes) -> Registry {
    let memory = external.body_memory.clone();
    let metrics = external.metrics.clone();
    let external = ext_plugin::factories(external);
    let built_in: [Box<dyn Factory>; 12] = [
        Box::new(fault_injection::FaultInjectionFactory),
        Box::new(request_id::RequestIdFactory),
        Box::new(cors::CorsFactory),
        Box::new(ip_restriction::IpRestrictionFactory),
        Box::new(AuthFactory::<basic_auth::BasicAuth>::new()),
        Box::new(AuthFactory::<jwt_auth::JwtAuth>::new()),
        Box::new(AuthFactory::<key_auth::KeyAuth>::new()),
        Box::new(consumer_restriction::ConsumerRestrictionFactory),
        Box::new(proxy_rewrite::ProxyRewrite),
        Box::new(redirect::RedirectFactory {
            attributes: attributes.clone(),
        }),
        Box::new(prometheus::PrometheusFactory),
        Box::new(response_rewrite::ResponseRewriteFactory { memory }),
    ];
    Registry::new(external.into_iter().chain(built_in)).counting(&metrics)
}

#[cfg(test)]
mod tests;
