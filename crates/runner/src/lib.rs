//! The SDK for external plugins in Rust: a plugin runner for Outrigger and APISIX.
mod accept;
mod call;
mod conf;
mod connection;
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
