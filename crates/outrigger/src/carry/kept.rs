//! What the gateway of a `config.yaml` has, running or not.

use std::path::Path;
use std::sync::Arc;

use outrigger_admin::local::AskError;
use outrigger_config::store::etcd::EtcdError;
use outrigger_config::store::{
    Change, Embedded, Inventory, OpenError, Seal, Store, StoreError, Write,
};
use outrigger_config::{Settings, Source};

use crate::Failure;
use crate::local::{self, Neighbour};
use crate::source;

/// The resources that a gateway keeps in a store, and who has them.
pub(crate) struct Kept {
    pub(crate) inventory: Arc<Inventory>,
    keeper: Keeper,
}

enum Keeper {
    /// Nobody but this command, or whoever shares the store by himself.
    Store(Arc<dyn Store>),
    /// The gateway, which runs.
    Gateway(Neighbour),
}

/// Why the resources of a store cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOpened {
    /// The gateway would not have them either.
    #[error(transparent)]
    Store(OpenError),
    /// There is nobody to ask.
    #[error(transparent)]
    Etcd(EtcdError),
    /// Somebody has the store and does not say what is in it.
    #[error(
        "the store in {folder} is used by another process, and at {socket} nobody answers: {why}; \
         try again, or stop that process"
    )]
    Silent {
        /// The store's folder.
        folder: String,
        /// Where it was asked.
        socket: String,
        /// What came of it.
        why: String,
    },
}

impl Kept {
    /// The resources of the store that `settings` name; none if nothing was ever
    /// stored there.
    ///
    /// # Errors
    /// They cannot be had.
    pub(crate) async fn open(settings: &Settings, seal: &Seal) -> Result<Option<Self>, NotOpened> {
        if let Source::Etcd(etcd) = &settings.source {
            let etcd = source::etcd::visit(settings, etcd, seal).await;
            let etcd = etcd.map_err(NotOpened::Etcd)?;
            return Ok(Some(Self::alone(Arc::new(etcd))));
        }
        let (folder, seal) = (settings.data_dir.clone(), seal.clone());
        let opening = tokio::task::spawn_blocking(move || Embedded::open_existing(&folder, seal));
        match opening.await.expect("opening does not panic") {
            Ok(Some(store)) => Ok(Some(Self::alone(Arc::new(store)))),
            Ok(None) => Ok(None),
            Err(OpenError::InUse { .. }) => Self::of_gateway(&settings.data_dir).await.map(Some),
            Err(error) => Err(NotOpened::Store(error)),
        }
    }

    /// The resources of a store that is made, if it is not there yet.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) async fn make(settings: &Settings, seal: &Seal) -> Result<Self, NotOpened> {
        let (folder, seal) = (settings.data_dir.clone(), seal.clone());
        let opening = tokio::task::spawn_blocking(move || Embedded::open(&folder, seal));
        let store = opening.await.expect("opening does not panic");
        let store = store.map_err(NotOpened::Store)?;
        Ok(Self::alone(Arc::new(store)))
    }

    fn alone(store: Arc<dyn Store>) -> Self {
        Self {
            inventory: store.inventory(),
            keeper: Keeper::Store(store),
        }
    }

    async fn of_gateway(data_dir: &Path) -> Result<Self, NotOpened> {
        let silent = |why: String| NotOpened::Silent {
            folder: data_dir.display().to_string(),
            socket: local::path(data_dir).display().to_string(),
            why,
        };
        let gateway = Neighbour::of(data_dir).map_err(|error| silent(error.to_string()))?;
        let inventory = gateway.client().inventory().await;
        let inventory = inventory.map_err(|error| match error {
            AskError::Connection { source, .. } => silent(source.to_string()),
            other => silent(other.to_string()),
        })?;
        Ok(Self {
            inventory: Arc::new(inventory),
            keeper: Keeper::Gateway(gateway),
        })
    }

    /// Whether a running gateway has them.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.keeper, Keeper::Gateway(_))
    }

    /// Makes changes that were decided on these resources; all at once, if the store
    /// can do that, otherwise in steps of which `progress` is told how many changes
    /// are made. Returns the last revision.
    ///
    /// # Errors
    /// Why they were not made, or not all.
    pub(crate) async fn write(
        &self,
        changes: Vec<Change>,
        progress: impl Fn(usize),
    ) -> Result<u64, Failure> {
        let store = match &self.keeper {
            Keeper::Gateway(gateway) => {
                return Ok(gateway
                    .client()
                    .write(self.inventory.revision(), &changes)
                    .await?);
            }
            Keeper::Store(store) => store,
        };
        let total = changes.len();
        let mut before = Arc::clone(&self.inventory);
        let mut revision = before.revision();
        let mut made = 0;
        for step in changes.chunks(store.most_changes()) {
            let write = Write::of_changes(&before, step.to_vec());
            let written = store.commit(write).await;
            revision = written.map_err(|error| unfinished(error, made, total))?;
            before = store.inventory();
            made += step.len();
            progress(made);
        }
        Ok(revision)
    }
}

/// What to say of a write that came to its end too early.
fn unfinished(error: StoreError, made: usize, total: usize) -> Failure {
    match made {
        0 => error.into(),
        _ => format!("{made} of {total} changes were made; then: {error}").into(),
    }
}
