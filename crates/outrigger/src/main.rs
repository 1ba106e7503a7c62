//! The `outrigger` command line.
fn main() {}
