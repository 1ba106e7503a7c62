//! The SDK for external plugins in Rust: a plugin runner for Outrigger and APISIX.
