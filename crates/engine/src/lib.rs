//! The gateway's engine: which route a request has, which plugins run for it
//! in which order, and which upstream node it goes to.
//!
//! Knows the `http` and `http-body` types, no HTTP library, no sockets and no
//! runner: it is driven by the proxy and calls plugins through
//! [`plugin::Plugin`]. A [`snapshot::Snapshot`] is compiled once and shared by
//! all workers; an [`exchange::Exchange`] is one request, local to its worker.

pub mod access_log;
pub mod args;
pub mod body;
mod byte_tree;
pub mod certificates;
pub mod chain;
pub mod consumer;
pub mod context;
pub mod exchange;
pub mod expr;
pub mod finished;
mod forwarded;
pub mod headers;
pub mod host_name;
pub mod limits;
mod meta;
pub mod plugin;
pub mod real_ip;

pub mod response;
pub mod router;
pub mod schemas;
mod slots;
pub mod snapshot;
pub mod target;
pub mod template;
pub mod tls_session;
pub mod upstream;
pub mod upstream_trace;
pub mod vars;
pub mod worker;
mod x509;
