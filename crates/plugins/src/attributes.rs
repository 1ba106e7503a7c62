//! What plugins are told once for all, by `plugin_attr` of `config.yaml`. It may change
//! while they run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// What plugins are told once for all; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    /// 0 for none.
    https_port: Arc<AtomicU16>,
}

impl Attributes {
    /// The port that `redirect` leads to where it goes over to HTTPS and its own
    /// configuration names none, from now on; none for the usual one.
    pub fn set_https_port(&self, port: Option<u16>) {
        let port = port.unwrap_or_default();
        self.https_port.store(port, Ordering::Relaxed);
    }

    pub(crate) fn https_port(&self) -> Option<u16> {
        Some(self.https_port.load(Ordering::Relaxed)).filter(|port| *port != 0)
    }
}
