//! What requests run on now, and how it is replaced.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use outrigger_admin::Catalogue;
use outrigger_config::store::{Inventory, Key, Reader, Seal};
use outrigger_engine::plugin::Registry;
use outrigger_engine::router::Mode;
use outrigger_engine::snapshot::Snapshot;
use outrigger_model::{Invalid, Resources};
use outrigger_telemetry::metrics::Metrics;
use tokio::sync::watch;

use super::env;
use super::retired::Retired;
use super::store::Compiled;
use crate::Failure;
use crate::{admin, memory};

/// What requests run on now.
pub(crate) struct Live {
    registry: ArcSwap<Registry>,
    /// The same plugins as the Admin API knows them.
    catalogue: Arc<ArcSwap<Catalogue>>,
    /// Seals secrets that leave the gateway.
    seal: Arc<Seal>,
    mode: ArcSwap<Mode>,
    metrics: Metrics,
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// What the snapshot was compiled from, as it was written.
    resources: watch::Sender<Arc<Inventory>>,
    /// The resources among them that requests do not run on because they do not hold.
    left_out: ArcSwap<HashSet<Key>>,
    /// What the store's documents meant when they were last read. Only the control
    /// thread comes here.
    reader: Mutex<Reader>,
    trial: Mutex<Option<Trial>>,
    retired: Retired,
}

/// A change that was tried out and may be about to come.
struct Trial {
    /// What the change would make of the resources.
    inventory: Inventory,
    /// What requests ran on meanwhile.
    base: Arc<Snapshot>,
    compiled: Compiled,
}

/// Plugins, ready to be used, and how routes are to be looked for.
pub(crate) struct Adoptable {
    registry: Arc<Registry>,
    mode: Mode,
    catalogue: Arc<Catalogue>,
}

impl Live {
    /// Nothing yet.
    ///
    /// # Errors
    /// A plugin's schema cannot be read, which is a defect of the plugin.
    pub(crate) fn new(
        registry: Registry,
        seal: Seal,
        mode: Mode,
        metrics: &Metrics,
    ) -> Result<Arc<Self>, Failure> {
        let Adoptable {
            registry,
            mode,
            catalogue,
        } = Self::prepare(registry, mode)?;
        Ok(Arc::new(Live {
            registry: ArcSwap::new(registry),
            catalogue: Arc::new(ArcSwap::new(catalogue)),
            seal: Arc::new(seal),
            mode: ArcSwap::from_pointee(mode),
            metrics: metrics.clone(),
            snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::empty())),
            resources: watch::Sender::default(),
            left_out: ArcSwap::default(),
            reader: Mutex::new(Reader::new(env)),
            trial: Mutex::default(),
            retired: Retired::default(),
        }))
    }

    /// Makes plugins ready to be used.
    ///
    /// # Errors
    /// As [`Live::new`].
    pub(crate) fn prepare(registry: Registry, mode: Mode) -> Result<Adoptable, Failure> {
        // Only the proxy can say whether a certificate can be used.
        let registry = registry
            .checking_identities(outrigger_proxy::check_identity)
            .checking_authorities(outrigger_proxy::check_authorities);
        let registry = Arc::new(registry);
        Ok(Adoptable {
            catalogue: admin::catalogue(&registry)?,
            registry,
            mode,
        })
    }

    /// From now on these are the plugins, and routes are looked for like this.
    pub(crate) fn adopt(&self, plugins: Adoptable) {
        // It was compiled for other plugins.
        *lock(&self.trial) = None;
        self.registry.store(plugins.registry);
        self.mode.store(Arc::new(plugins.mode));
        self.catalogue.store(plugins.catalogue);
    }

    /// The plugins that there are, as the Admin API knows them.
    pub(crate) fn catalogue(&self) -> &Arc<ArcSwap<Catalogue>> {
        &self.catalogue
    }

    /// What seals secrets that leave the gateway.
    pub(crate) fn seal(&self) -> &Arc<Seal> {
        &self.seal
    }

    /// What requests run on.
    pub(crate) fn snapshot(&self) -> &Arc<ArcSwap<Snapshot>> {
        &self.snapshot
    }

    /// The resources that requests run on, as they were written.
    pub(crate) fn resources(&self) -> Arc<Inventory> {
        Arc::clone(&self.resources.borrow())
    }

    /// Tells of each change of the resources that requests run on.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Inventory>> {
        self.resources.subscribe()
    }

    /// Compiles resources, for `plugins` or else the present ones, and changes
    /// nothing.
    pub(crate) fn compile(
        &self,
        resources: Resources,
        plugins: Option<&Adoptable>,
    ) -> Result<Snapshot, Vec<Invalid>> {
        let present = self.registry.load();
        let registry = plugins.map_or(&**present, |plugins| &plugins.registry);
        let mode = plugins.map_or(**self.mode.load(), |plugins| plugins.mode);
        Snapshot::compile(resources, registry, mode, &self.snapshot.load())
    }

    /// From now on requests run on this. Returns the number of routes.
    pub(crate) fn put(&self, snapshot: Snapshot, written: Option<Arc<Inventory>>) -> usize {
        let routes = snapshot.route_count();
        self.retired.add(self.snapshot.swap(Arc::new(snapshot)));
        if let Some(written) = written {
            self.resources.send_replace(written);
            self.metrics.config_applied(routes);
        }
        routes
    }

    /// Reads documents of the store, of which most were there the last time.
    pub(super) fn reader(&self) -> MutexGuard<'_, Reader> {
        lock(&self.reader)
    }

    /// Keeps what a change was compiled to until it is made, or another is tried out.
    pub(super) fn keep_trial(&self, inventory: &Inventory, compiled: Compiled) {
        let trial = Trial {
            inventory: inventory.clone(),
            base: self.snapshot.load_full(),
            compiled,
        };
        *lock(&self.trial) = Some(trial);
    }

    /// What `inventory` was compiled to when it was tried out, if nothing else has come
    /// in between.
    pub(super) fn take_trial(&self, inventory: &Inventory) -> Option<Compiled> {
        let trial = lock(&self.trial).take()?;
        let is_still_right = Arc::ptr_eq(&trial.base, &self.snapshot.load())
            && trial.inventory.has_the_documents_of(inventory);
        is_still_right.then_some(trial.compiled)
    }

    /// Drops what requests do not run on any more, and gives its memory back. Never ends.
    pub(super) async fn drop_unused(&self) {
        self.retired.drop_unused(memory::give_back).await;
    }

    /// Those of the resources that requests do not run on because they do not hold.
    pub(crate) fn left_out(&self) -> Arc<HashSet<Key>> {
        self.left_out.load_full()
    }

    /// From now on requests do not run on these.
    pub(crate) fn leave_out(&self, keys: HashSet<Key>) {
        self.left_out.store(Arc::new(keys));
    }

    /// A change was not put into effect.
    pub(crate) fn refused(&self) {
        self.metrics.config_refused();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
