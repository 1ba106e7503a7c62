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
use tokio::sync::{mpsc, oneshot};

/// Compiles what a source yields and puts it into effect.
pub(crate) struct Source {
    watch: Watch,
    registry: Registry,
    mode: Mode,
    metrics: Metrics,
    snapshot: Arc<ArcSwap<Snapshot>>,
    resources: Arc<ArcSwap<Inventory>>,
    /// What was read last and makes sense by itself.
    latest: Option<Arc<Read>>,
    /// What the snapshot was compiled from.
    applied: Option<Arc<Read>>,
}

/// What a file said.
type Read = (Document, Resources);

/// A wish that what was read runs on these plugins from now on. Answered with
/// what stands against it; then nothing has changed.
pub(crate) struct Rebuild {
    pub(crate) registry: Registry,
    pub(crate) reply: oneshot::Sender<Result<(), Report>>,
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
            registry: complete(registry),
            mode,
            metrics: metrics.clone(),
            snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::empty())),
            resources: Arc::default(),
            latest: None,
            applied: None,
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
    /// and leaves in effect what was. Grants what is wished meanwhile.
    pub(crate) async fn follow(mut self, mut wishes: mpsc::Receiver<Rebuild>) {
        loop {
            tokio::select! {
                change = self.watch.next() => self.change(change),
                Some(Rebuild { registry, reply }) = wishes.recv() => {
                    // Whoever has gone meanwhile gets no answer.
                    drop(reply.send(self.rebuild(registry)));
                }
            }
        }
    }

    fn change(&mut self, change: Result<Read, Report>) {
        if let Err(report) = self.apply(change) {
            self.metrics.config_refused();
            tracing::error!("{report}");
            tracing::warn!(
                "{}: not applied; the configuration before it stays in effect",
                report.file().display()
            );
        }
    }

    fn apply(&mut self, change: Result<Read, Report>) -> Result<(), Report> {
        let read = Arc::new(change?);
        // Kept even if it does not hold: with other runners it may.
        self.latest = Some(Arc::clone(&read));
        let compiled = self.compile(&read, &self.registry)?;
        self.put_into_effect(read, compiled);
        Ok(())
    }

    /// Goes over to other plugins: with what the file says now, or if that does
    /// not hold with what was in effect before.
    fn rebuild(&mut self, registry: Registry) -> Result<(), Report> {
        let registry = complete(registry);
        // Somebody may have changed the file together with the plugins.
        match self.watch.look_now() {
            Some(Ok(read)) => self.latest = Some(Arc::new(read)),
            Some(unreadable) => self.change(unreadable),
            None => {}
        }
        let mut outcome = Ok(());
        for read in [self.latest.clone(), self.applied.clone()] {
            let Some(read) = read else { continue };
            match self.compile(&read, &registry) {
                Ok(compiled) => {
                    self.registry = registry;
                    self.put_into_effect(read, compiled);
                    return Ok(());
                }
                Err(report) => outcome = Err(report),
            }
        }
        outcome
    }

    fn compile(&self, read: &Read, registry: &Registry) -> Result<Snapshot, Report> {
        let (document, resources) = read;
        let previous = self.snapshot.load();
        let compiled = Snapshot::compile(resources, registry, self.mode, &previous);
        compiled.map_err(|invalid| {
            document
                .report(invalid)
                .expect("a failed compilation says what does not hold")
        })
    }

    fn put_into_effect(&mut self, read: Arc<Read>, compiled: Snapshot) {
        let routes = compiled.route_count();
        self.snapshot.store(Arc::new(compiled));
        let same = self
            .applied
            .as_ref()
            .is_some_and(|applied| Arc::ptr_eq(applied, &read));
        if same {
            return;
        }
        let revision = self.resources.load().revision() + 1;
        let written = read.0.inventory(revision);
        self.resources.store(Arc::new(written));
        self.applied = Some(read);
        self.metrics.config_applied(routes);
        tracing::info!("apisix.yaml: {routes} routes applied");
    }
}

/// With what only the proxy can say of certificates.
fn complete(registry: Registry) -> Registry {
    registry.checking_identities(outrigger_proxy::check_identity)
}

/// The gateway's own environment, for `${{NAME}}` in configuration files.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
