//! From where resources come to the snapshot that requests run on.

pub(crate) mod etcd;
mod file;
mod live;
mod retired;
mod store;

use std::path::Path;
use std::sync::Arc;

use outrigger_config::Settings;
use outrigger_config::Source as SourceSettings;
use outrigger_config::store::{Embedded, Etcd, Seal, Store};
use outrigger_engine::plugin::Registry;
use outrigger_engine::router::Mode;
use tokio::sync::{mpsc, oneshot};

use crate::Failure;

pub(crate) use live::Live;
pub(crate) use store::{faults, left_out, try_out, try_out_all};

/// Where resources come from.
pub(crate) enum Source {
    /// A file that is watched.
    File(Box<file::FileSource>),
    /// A store that the Admin API writes to.
    Store(store::StoreSource),
    /// A store that others write to as well.
    Etcd(store::StoreSource, Arc<Etcd>),
}

impl Source {
    /// Opens the source that `settings` name and puts what it has into effect.
    ///
    /// # Errors
    /// What is wrong with it; there is nothing to go on with then.
    pub(crate) async fn open(settings: &Settings, live: Arc<Live>) -> Result<Self, Failure> {
        Ok(match &settings.source {
            SourceSettings::File { path, format } => {
                Self::File(Box::new(file::FileSource::open(path, *format, live).await?))
            }
            SourceSettings::Memory => {
                let store = Arc::new(Embedded::in_memory());
                Self::Store(store::StoreSource::open(store, live)?)
            }
            SourceSettings::Store => Self::Store(store::StoreSource::open(
                embedded(&settings.data_dir, live.seal()).await?,
                live,
            )?),
            SourceSettings::Etcd(etcd) => {
                let etcd = etcd::open(settings, etcd, &live).await?;
                let store = Arc::clone(&etcd) as Arc<dyn Store>;
                Self::Etcd(store::StoreSource::open(store, live)?, etcd)
            }
        })
    }

    /// The store, where resources come from one.
    pub(crate) fn store(&self) -> Option<Arc<dyn Store>> {
        match self {
            Self::File(_) => None,
            Self::Store(source) | Self::Etcd(source, _) => Some(source.store()),
        }
    }

    /// The etcd, where resources come from one.
    pub(crate) fn etcd(&self) -> Option<Arc<Etcd>> {
        match self {
            Self::File(_) | Self::Store(_) => None,
            Self::Etcd(_, etcd) => Some(Arc::clone(etcd)),
        }
    }

    /// Puts every further change into effect. Grants what is wished meanwhile.
    pub(crate) async fn follow(self, wishes: mpsc::Receiver<Rebuild>) {
        let live = match &self {
            Self::File(source) => source.live(),
            Self::Store(source) | Self::Etcd(source, _) => source.live(),
        };
        let following = async {
            match self {
                Self::File(source) => source.follow(wishes).await,
                Self::Store(source) | Self::Etcd(source, _) => source.follow(wishes).await,
            }
        };
        tokio::select! {
            () = following => {}
            () = live.drop_unused() => {}
        }
    }
}

/// A wish that what is there runs on these plugins, with routes looked for like this,
/// from now on. Answered with
/// what stands against it; then nothing has changed.
pub(crate) struct Rebuild {
    pub(crate) registry: Registry,
    pub(crate) mode: Mode,
    pub(crate) reply: oneshot::Sender<Result<(), String>>,
}

/// The embedded store, read away from the control thread.
async fn embedded(folder: &Path, seal: &Arc<Seal>) -> Result<Arc<dyn Store>, Failure> {
    let (folder, seal) = (folder.to_owned(), Seal::clone(seal));
    let opening = tokio::task::spawn_blocking(move || Embedded::open(&folder, seal));
    Ok(Arc::new(opening.await??))
}

/// The gateway's own environment, for `${{NAME}}` in configuration files.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
