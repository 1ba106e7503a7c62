//! HTTP in and out: listeners, worker threads, client connections, upstream
//! connections.
//!
//! Each worker is a thread with a runtime of its own; it accepts from its own
//! listener (`SO_REUSEPORT`) and owns its client and upstream connections. A
//! request never leaves its worker and crosses no lock. What a request means
//! is the engine's; this crate moves its bytes.

mod access_log;
mod alarm;
mod client_body;
mod client_stream;
mod connection;
mod current;
mod drain;
mod finish;
mod handler;
mod head_limit;
mod head_watch;
mod http2;
pub mod limits;
mod listener;
mod probes;
mod seldom;
mod sent;
mod server;
mod settings;
mod terms;
mod tls;
mod trace;
mod upstream;
mod worker;

pub use access_log::AccessLog;
pub use listener::BindError;
pub use server::{Bound, Change, Running, StartError};
pub use settings::{ConnectionSettings, Fixed, Listen, Settings};
pub use tls::{TlsSettings, check_authorities};
pub use upstream::check_identity;
