//! Configuration sources.
mod env;
pub mod limits;
mod report;
mod yaml;
pub use report::*;
