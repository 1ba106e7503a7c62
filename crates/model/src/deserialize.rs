//! Resources as types that serde can read.
//!
//! A convenience for tests and tools: serde has room for one text only, so
//! all faults stand in it, one after the other. Sources of configuration use `from_json`.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

use crate::{Resources, Route, Service, Upstream};

macro_rules! deserialize_from_json {
    ($($resource:ty),*) => {$(
        impl<'de> Deserialize<'de> for $resource {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let json = Value::deserialize(deserializer)?;
                Self::from_json(&json).map_err(D::Error::custom)
            }
        }
    )*};
}

deserialize_from_json!(Route, Service, Upstream, Resources);
