//! The way to the upstream and back: choosing a node, connecting or taking a
//! connection that is idle, sending, and trying again where that is safe.

mod attempt;
mod connect;
pub(crate) mod health;
mod http1;
mod link;
mod names;
mod outgoing;
mod pool;
mod request;
mod response_body;
mod stream;
mod tls;
mod tunnel;
mod upload;

pub(crate) use attempt::{Switched, ask};
pub(crate) use names::Names;
pub(crate) use pool::Pool;
pub(crate) use stream::Stream;
pub use tls::check_identity;
pub(crate) use tls::{Roots, Secured, TlsClients, certified, config as tls_config};
pub(crate) use tunnel::Tunnel;
