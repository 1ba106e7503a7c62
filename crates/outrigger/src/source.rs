//! From the configuration source to the snapshot that requests run on.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use outrigger_config::store::Inventory;
use outrigger_config::{Document, Report, Watch};
use outrigger_engine::plugin::Registry;
use outrigger_engine::router::Mode;
use outrigger_engine::snapshot::Snapshot;
use outrigger_model::Resources;
use outrigger_telemetry::metrics::Metrics;

/// Compiles what a source yields and puts it into effect.
pub(crate) struct Source {
    watch: Watch,
    registry: Registry,
    mode: Mode,
    metrics: Metrics,
    snapshot: Arc<ArcSwap<Snapshot>>,
    resources: Arc<ArcSwap<Inventory>>,
}

impl Source {
    /// Reads `file` for the first time. Environment variables in it are the
    /// gateway's.
    ///
    /// # Errors
    /// What is wrong with the file; there is nothing to go on with then.
    pub(crate) async fn open(
        file: &Path,
        registry: Registry,
        mode: Mode,
        metrics: &Metrics,
    ) -> Result<Self, Report> {
        let mut source = Source {
            watch: Watch::new(file, env),
            registry: registry.checking_identities(outrigger_proxy::check_identity),
            mode,
            metrics: metrics.clone(),
            snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::empty())),
            resources: Arc::default(),
        };
        let change = source.watch.next().await;
        source.apply(change)?;
        Ok(source)
    }

    /// What requests run on.
    pub(crate) fn snapshot(&self) -> &Arc<ArcSwap<Snapshot>> {
        &self.snapshot
    }

    /// The resources that the snapshot was compiled from, as they were written.
    pub(crate) fn resources(&self) -> &Arc<ArcSwap<Inventory>> {
        &self.resources
    }

    /// Puts every further change into effect; reports what is wrong with one
    /// and leaves in effect what was.
    pub(crate) async fn follow(mut self) {
        loop {
            let change = self.watch.next().await;
            if let Err(report) = self.apply(change) {
                self.metrics.config_refused();
                tracing::error!("{report}");
                tracing::warn!(
                    "{}: not applied; the configuration before it stays in effect",
                    report.file().display()
                );
            }
        }
    }

    fn apply(&mut self, change: Result<(Document, Resources), Report>) -> Result<(), Report> {
        let (document, resources) = change?;
        let previous = self.snapshot.load();
        let compiled = Snapshot::compile(&resources, &self.registry, self.mode, &previous);
        let compiled = compiled.map_err(|invalid| {
            document
                .report(invalid)
                .expect("a failed compilation says what does not hold")
        })?;
        let routes = compiled.route_count();
        self.snapshot.store(Arc::new(compiled));
        let revision = self.resources.load().revision() + 1;
        let written = document.inventory(revision);
        self.resources.store(Arc::new(written));
        self.metrics.config_applied(routes);
        tracing::info!("apisix.yaml: {routes} routes applied");
        Ok(())
    }
}

/// The gateway's own environment, for `${{NAME}}` in configuration files.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
