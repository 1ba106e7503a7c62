//! What the tests and the fuzz targets share: owned messages, and a reader of
//! the wire that has nothing in common with the crate's.

pub mod model;
pub mod reader;
