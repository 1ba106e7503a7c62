//! The gateway as its users meet it: real processes on free ports, a client, an
//! upstream, runners.
//!
//! Each module is one subject, each test one sentence about it. What is tested
//! in the crates themselves, with simulated time and every corner, is not
//! repeated here: these tests are about the parts working together, and about
//! what only a process shows.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod absent_runners;
mod access_log;
mod admin_api;
mod admin_https;
mod bad_requests;
mod built_in_plugins;
mod carrying;
mod command_line;
mod conform;
mod connections;
mod consumers;
mod control_api;
mod etcd_store;
mod failure_policy;
mod forwarding;
mod health_checks;
mod http2;
mod log_plugin;
mod metrics;
mod plugin_bodies;
mod plugin_chains;
mod plugin_context;
mod plugin_failures;
mod plugins;
mod policies;
mod recorded;
mod reload;
mod request_bodies;
mod response_edges;
mod response_phase;
mod responses;
mod routing;
mod runner_fleet;
mod runner_output;
mod runner_process;
mod runners;
mod schemas;
mod secrets;
mod settings_reload;
mod sources;
mod standalone;
mod stopping;
mod support;
mod tls_client;
mod tls_clients;
mod tls_upstreams;
mod tracing;
mod upstream_failures;
mod variables;
mod websockets;
