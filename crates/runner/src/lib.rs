//! The SDK for external plugins in Rust: what you need to write a plugin runner
//! for Outrigger and for APISIX.
//!
//! A **plugin runner** is a process beside an API gateway. The gateway calls it
//! over a unix socket, once for a request and, where a route wants that, once
//! for the response; the plugins in it answer or change what they see.
//!
//! # A plugin
//! A [`Plugin`] is a type with a name, a configuration that serde can read, and
//! a method for each phase that it works in. A [`Runner`] takes plugins and
//! serves them:
//! ```no_run
//! use outrigger_runner::{Plugin, Request, Response, Result, Runner, ServeError};
//! use serde::Deserialize;
//!
//! /// Greets who comes, and keeps others out.
//! struct Greeter;
//!
//! #[derive(Deserialize)]
//! struct Conf {
//!     greeting: String,
//!     #[serde(default)]
//!     banned: Vec<std::net::IpAddr>,
//! }
//!
//! impl Plugin for Greeter {
//!     type Conf = Conf;
//!
//!     fn name(&self) -> &str {
//!         "greeter"
//!     }
//!
//!     async fn request(&self, conf: &Conf, request: &mut Request) -> Result {
//!         if request.source_ip().is_some_and(|ip| conf.banned.contains(&ip)) {
//!             request.stop(403).header("x-reason", "banned").body("not you\n");
//!             return Ok(());
//!         }
//!         let route = request.var_str("route_id").await?.unwrap_or_default();
//!         request.headers_mut().set("x-greeting", &conf.greeting);
//!         request.args_mut().set("route", route);
//!         Ok(())
//!     }
//!
//!     async fn response(&self, conf: &Conf, response: &mut Response) -> Result {
//!         response.headers_mut().set("x-greeting", &conf.greeting);
//!         Ok(())
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), ServeError> {
//!     Runner::new().plugin(Greeter).serve_from_env().await
//! }
//! ```
//! The crate logs by [`tracing`] and installs no subscriber: that is for `main`
//! to do. What a runner prints ends up in the gateway's log.
//!
//! # Testing it
//! The crate `outrigger-testkit` has a host for tests, which needs no gateway:
//! ```
//! # use outrigger_runner::{Plugin, Request, Result, Runner};
//! # struct Greeter;
//! # #[derive(serde::Deserialize)]
//! # struct Conf { greeting: String }
//! # impl Plugin for Greeter {
//! #     type Conf = Conf;
//! #     fn name(&self) -> &str { "greeter" }
//! #     async fn request(&self, conf: &Conf, request: &mut Request) -> Result {
//! #         let route = request.var_str("route_id").await?.unwrap_or_default();
//! #         request.headers_mut().set("x-greeting", &conf.greeting);
//! #         request.args_mut().set("route", route);
//! #         Ok(())
//! #     }
//! # }
//! use outrigger_testkit::FakeHost;
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let runner = Runner::new().plugin(Greeter);
//! let mut host = FakeHost::new(runner).prepare("greeter", json!({"greeting": "hello"}));
//!
//! let request = host.request("GET", "/x").header("accept", "*/*").var("route_id", "7");
//! let changes = request.send().await.expect_rewrite();
//!
//! assert_eq!(changes.headers, [("x-greeting", Some("hello"))]);
//! assert_eq!(changes.args, [("route", Some("7"))]);
//! # }
//! ```
//!
//! # Running it
//! The gateway starts the runner, with the socket's address in its environment;
//! [`Runner::serve_from_env`] does the rest. Under Outrigger and under APISIX
//! alike, `config.yaml` names the program:
//! ```yaml
//! ext-plugin:
//!   cmd: ["/usr/local/bin/my-runner"]
//! ```
//! and a route its plugins:
//! ```json
//! {
//!   "uri": "/*",
//!   "plugins": {
//!     "ext-plugin-pre-req": {
//!       "conf": [{"name": "greeter", "value": "{\"greeting\":\"hello\"}"}]
//!     }
//!   },
//!   "upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:1980": 1}}
//! }
//! ```
//! `ext-plugin-post-req` runs them after the gateway's own plugins, and
//! `ext-plugin-post-resp` on the upstream's response. A plugin that is needed in
//! two phases is configured in both.
//!
//! While a plugin is written, start it by hand instead and tell the gateway
//! where: `APISIX_LISTEN_ADDRESS=unix:/tmp/runner.sock my-runner`, and in
//! `config.yaml` `ext-plugin: {path_for_test: /tmp/runner.sock}`.
//!
//! What differs under APISIX:
//! - started as root, its workers are another user's: see
//!   [`Runner::socket_mode`];
//! - it keeps the last of several values of a changed request header: see
//!   [`Request`];
//! - it drops response headers that an answer does not name: see
//!   [`Runner::send_all_response_headers`].
//!
//! # When something goes wrong
//! A plugin's error or panic fails the one call that it happened in, with
//! SERVICE_UNAVAILABLE; the log says which plugin and why. A configuration that
//! names an unknown plugin or does not parse is refused with BAD_REQUEST before
//! any request comes; the log names the plugin and the property. What a gateway
//! makes of it is the route's decision: 503, or on without the plugin
//! (`allow_degradation`).
//!
//! # What is deliberately absent
//! Time limits of calls and retries, which are the host's; and anything global:
//! two runners in one process do not meet. Only [`Runner::serve_from_env`] reads
//! the environment and handles signals; nothing exits the process.

mod accept;
mod call;
mod conf;
mod connection;
mod context;
mod error;
mod extra_info;
pub mod limits;
pub mod multimap;
mod plugin;
mod registry;
mod request;
mod response;
mod runner;
mod serve;
mod shown;
mod socket;

pub use error::{AskError, BuildError, Error, Result, ServeError};
pub use multimap::{Args, Headers};
pub use outrigger_a6::Method;
pub use plugin::{NoConf, Plugin};
pub use request::{Answer, Request};
pub use response::Response;
pub use runner::{Runner, Service};
