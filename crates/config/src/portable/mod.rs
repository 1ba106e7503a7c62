//! All resources as one document that can be carried elsewhere: what `apisix.yaml`
//! and `apisix.json` hold, made from an inventory and turned into one.
//!
//! The document says all that an inventory does but for revisions, and times to live:
//! what goes by itself soon is not carried along.

mod document;
mod plan;
mod text;

pub use document::{Carried, LeftOut, document, kept, resources};
pub use plan::{Plan, plan};
pub use text::{plain_yaml, text};
