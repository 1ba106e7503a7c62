//! The kinds of resources that the Admin API keeps, and what is right for each.

mod certificates;
mod check;
mod kind;
mod plugins;
mod references;
mod schemas;
mod secret_schemas;
mod upstream;
mod upstream_schema;

pub(crate) use check::{check, check_schema};
pub(crate) use kind::Kind;
pub use plugins::{Catalogue, PluginInfo, PluginUse};
pub(crate) use references::{text_of, users_of};
pub(crate) use schemas::schema_of;
