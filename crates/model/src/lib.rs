//! Routes, services, upstreams, consumers, certificates and sets of plugins, parsed once
//! into types that are valid.
//!
//! Every resource is read from APISIX's JSON shape by a function
//! `from_json`, which reports **all** faults of the document, each with the path
//! of the property that is wrong. What it returns needs no further check: a
//! [`UriPattern`] is taken apart, a [`Timeout`] is a set of durations, a weight is
//! not negative. A property that APISIX has and this gateway does not support
//! is a fault that says so; nothing is ignored in silence.
//!
//! The configurations of plugins stay as they are ([`PluginConfs`]): only the
//! plugin knows what they mean. Faults that it finds later are put into
//! an [`Invalid`], which a configuration source can trace back to a line of its file.
//!
//! This crate deliberately knows no file format but JSON's values, does no I/O,
//! and matches no requests.

pub mod expr;
pub mod limits;
pub mod read;
pub mod schema;

mod balancing;
mod checks;
mod cidr;
mod consumer;
mod credential;
mod described;
mod deserialize;
mod fault;
mod host;
mod id;
mod kept;
mod method;
mod node;
mod path;
mod plugin_set;
mod plugins;
mod resources;
mod route;
mod secret_manager;
mod service;
mod ssl;
mod timeout;
mod tls;
mod unsupported;
mod upstream;
mod uri;

pub use balancing::{Balancing, HashOn};
pub use checks::{ActiveChecks, Checks, HealthRules, PassiveChecks, Probe};
pub use cidr::{Cidr, NotACidr};
pub use consumer::Consumer;
pub use credential::Credential;
pub use described::Labels;
pub use fault::{Fault, Faults, Invalid, Place};
pub use host::HostPattern;
pub use id::{Id, Kind, NotAnId};
pub use kept::{PluginMetadata, Proto};
pub use method::MethodSet;
pub use node::{Host, Node, NotAHost};
pub use path::{PropertyPath, Segment};
pub use plugin_set::{ConsumerGroup, GlobalRule, PluginConfig, PluginSet};
pub use plugins::PluginConfs;
pub use resources::Resources;
pub use route::Route;
pub use rustls_pki_types::CertificateDer;
pub use secret_manager::{GcpAuth, ManagerSettings, SecretManager};
pub use service::Service;
pub use ssl::{ClientVerification, Ssl, SslType, TlsVersion};
pub use timeout::Timeout;
pub use tls::{BadIdentity, CIPHER_SUITES, Identity, Trust, UpstreamTls, certificates};
pub use upstream::{KeepalivePool, PassHost, Scheme, Upstream};
pub use uri::{Glob, UriPattern};
