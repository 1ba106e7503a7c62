//! What external plugins need of the gateway: their runners, and memory for bodies.

use std::collections::HashMap;
use std::sync::Arc;

use outrigger_engine::body::BodyMemory;
use outrigger_engine::limits::BODY_MEMORY;
use outrigger_host::Runner;
use outrigger_telemetry::metrics::Metrics;

/// The runners that routes may call.
#[derive(Clone)]
pub struct Runners {
    default: Arc<Runner>,
    named: HashMap<String, Arc<Runner>>,
}

impl Runners {
    /// `default` is called where a route names no runner.
    #[must_use]
    pub fn new(default: Arc<Runner>, named: impl IntoIterator<Item = Arc<Runner>>) -> Self {
        let named = named
            .into_iter()
            .map(|runner| (runner.name().to_owned(), runner));
        Runners {
            default,
            named: named.collect(),
        }
    }

    /// The same without the named ones.
    #[must_use]
    pub fn without_named(&self) -> Self {
        Runners {
            default: Arc::clone(&self.default),
            named: HashMap::new(),
        }
    }

    pub(super) fn find(&self, name: Option<&str>) -> Option<&Arc<Runner>> {
        match name {
            None => Some(&self.default),
            Some(name) => self
                .named
                .get(name)
                .or_else(|| (name == self.default.name()).then_some(&self.default)),
        }
    }

    pub(super) fn names(&self) -> String {
        let mut names: Vec<&str> = self.named.keys().map(String::as_str).collect();
        names.push(self.default.name());
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }
}

/// What external plugins work with, the same for all routes.
#[derive(Clone)]
pub struct External {
    pub(super) runners: Runners,
    pub(crate) metrics: Metrics,
    pub(crate) body_memory: BodyMemory,
}

impl External {
    /// Calls go to these runners and are counted in `metrics`; bodies take
    /// [`BODY_MEMORY`] at most.
    #[must_use]
    pub fn new(runners: Runners, metrics: &Metrics) -> Self {
        External {
            runners,
            metrics: metrics.clone(),
            body_memory: BodyMemory::new(BODY_MEMORY),
        }
    }

    /// The same with other runners; what is counted goes on.
    #[must_use]
    pub fn with_runners(&self, runners: Runners) -> Self {
        External {
            runners,
            ..self.clone()
        }
    }

    /// How many bytes of bodies may be in memory at once from now on, over all
    /// requests; none for [`BODY_MEMORY`].
    pub fn limit_body_memory(&self, bytes: Option<usize>) {
        self.body_memory.set_limit(bytes.unwrap_or(BODY_MEMORY));
    }
}
