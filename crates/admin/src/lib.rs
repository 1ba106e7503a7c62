//! How the gateway is asked about itself and told what to do, over HTTP.
//!
//! The Admin API ([`api`]) is APISIX's: resources are read and written, each
//! request with a key. The control API ([`control`]) shows what runs, and restarts runners. It has
//! no keys: whoever reaches its loopback port may use it, except for web pages
//! in a browser on that machine (see `control::guard`).
//!
//! What runs and how it is restarted is not known here: the gateway implements
//! [`control::Control`]. Everything here runs on the gateway's control thread,
//! never on one that serves requests; handlers must not block.

pub mod api;
pub mod control;
pub mod limits;
pub mod local;
pub mod metrics;
pub mod server;
pub mod status;

mod answer;
mod resources;
mod tls;

pub use resources::{Catalogue, PluginInfo, PluginUse};
pub use tls::Tls;
