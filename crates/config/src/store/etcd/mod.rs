//! etcd as the store: resources that several gateways share, of which some may be
//! APISIX.
//!
//! All resources below a prefix are in memory; a watch keeps them up to date. A
//! write is one transaction, which compares the revisions of what was decided
//! on, so writers need not know of each other. While etcd is away the resources
//! stay as they are, also over a restart (`snapshot`), and writes are refused.
//!
//! Spoken is etcd's JSON gateway, as APISIX does: clients of its gRPC interface need a
//! compiler of protocol buffers to be built, which is more than a Rust toolchain.
//!
//! Deliberately absent: what resources mean, and a log. What happens is told to an
//! [`Observer`].

mod api;
mod client;
mod course;
mod endpoints;
mod follow;
mod health;
mod layout;
mod lines;
mod mirror;
mod ours;
mod snapshot;
mod snapshots;
mod tls;
mod trouble;
mod txn;
mod write;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use outrigger_model::Trust;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use self::client::{Client, Shared};
use self::course::Course;
use self::follow::Follower;
use self::health::Pulse;
use self::layout::Layout;
use self::mirror::Mirror;
use self::ours::Ours;
use self::snapshot::{Origin, Snapshot, Taken};
use super::{Inventory, Later, Seal, Store, StoreError, Write};
use crate::{EtcdSettings, limits};

pub use self::health::{Event, Health, Observer};

/// An etcd that is followed.
pub struct Etcd {
    client: Shared,
    layout: Arc<Layout>,
    seal: Arc<Seal>,
    ours: Arc<Ours>,
    pulse: Arc<Pulse>,
    now: watch::Receiver<Arc<Inventory>>,
    hurry: Arc<Notify>,
    following: JoinHandle<()>,
    /// The snapshot, where there is one.
    keeping: Option<JoinHandle<()>>,
}

/// What it takes to follow an etcd.
pub struct Setup<'s> {
    /// Where it is, and how it is spoken to.
    pub settings: &'s EtcdSettings,
    /// Who may vouch for it.
    pub trust: &'s Trust,
    /// What secrets are sealed with on their way there.
    pub seal: Seal,
    /// The folder of the snapshot; none to have none.
    pub data_dir: Option<&'s Path>,
    /// Hears of what happens.
    pub observer: Observer,
}

/// An etcd that cannot be used, with nothing to start from without it.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    /// The gateway's certificate for it is of no use.
    #[error("deployment.etcd.tls: {0}")]
    Tls(#[from] rustls::Error),
    /// It does not answer.
    #[error(
        "etcd cannot be reached (tried {tries} times): {why}; start it, or set \
         deployment.etcd.host"
    )]
    Unreachable {
        /// How often it was tried.
        tries: u32,
        /// Why it was in vain.
        why: String,
    },
}

impl Etcd {
    /// Reads what etcd holds and follows it from then on. Where it cannot be reached, begins
    /// with the snapshot; must be called in a runtime, which has to live as long as this.
    ///
    /// # Errors
    /// It cannot be reached, as often as it is tried, and there is no snapshot.
    pub async fn open(setup: Setup<'_>) -> Result<Self, EtcdError> {
        let Setup { settings, seal, .. } = setup;
        let client = Arc::new(Client::new(settings, setup.trust)?);
        let hosts = settings.hosts.iter().map(ToString::to_string);
        let origin = Origin {
            hosts: hosts.collect(),
            prefix: settings.prefix.clone(),
        };
        let seal = Arc::new(seal);
        let snapshot = setup.data_dir.map(|folder| Snapshot::new(folder, origin));
        let pulse = Arc::new(Pulse::new(setup.observer));
        let taken = match &snapshot {
            Some(snapshot) => snapshots::read(snapshot, &seal, &pulse).await,
            None => None,
        };
        let (inventory, taken) = match taken {
            Some(Taken { inventory, at }) => (Arc::new(inventory), Some(at)),
            None => (Arc::default(), None),
        };
        let layout = Arc::new(Layout::new(&settings.prefix));
        let ours = Arc::<Ours>::default();
        let hurry = Arc::<Notify>::default();
        let (sender, now) = watch::channel(Arc::clone(&inventory));
        let follower = Follower {
            client: Arc::clone(&client),
            layout: Arc::clone(&layout),
            mirror: Mirror::new(
                Arc::clone(&layout),
                Arc::clone(&seal),
                Arc::clone(&ours),
                inventory,
            ),
            course: Course::new(settings.resync_delay),
            pulse: Arc::clone(&pulse),
            now: sender,
            hurry: Arc::clone(&hurry),
            watch_timeout: settings.watch_timeout,
        };
        let keeping = snapshot.map(|snapshot| {
            let (seal, pulse) = (Arc::clone(&seal), Arc::clone(&pulse));
            tokio::spawn(snapshots::keep(snapshot, seal, now.clone(), pulse))
        });
        let etcd = Self {
            client,
            layout,
            seal,
            ours,
            pulse,
            now,
            hurry,
            following: tokio::spawn(follower.run()),
            keeping,
        };
        match taken {
            Some(taken) => etcd.start_with(taken).await,
            None => etcd.start(settings.startup_retry).await?,
        }
        Ok(etcd)
    }

    /// Waits for etcd, as often as it may be tried.
    async fn start(&self, tries: u32) -> Result<(), EtcdError> {
        let mut health = self.pulse.subscribe();
        let decided = |health: &Health| health.reachable || health.failures >= tries;
        let health = health.wait_for(decided).await;
        match health {
            Ok(health) if health.reachable => Ok(()),
            Ok(health) => Err(EtcdError::Unreachable {
                tries,
                why: health.trouble.clone().unwrap_or_default(),
            }),
            Err(_) => unreachable!("the sender is this one's own"),
        }
    }

    /// Gives etcd a moment, and else begins with the snapshot.
    async fn start_with(&self, taken: SystemTime) {
        let mut health = self.pulse.subscribe();
        let patience = async {
            sleep(limits::ETCD_PATIENCE).await;
            // One that has begun to answer may take longer.
            let mut health = self.pulse.subscribe();
            let silent = |health: &Health| health.last_contact.is_none() || health.failures > 0;
            drop(health.wait_for(silent).await);
        };
        let decided = health.wait_for(|health| health.reachable || health.failures > 0);
        tokio::select! {
            _ = decided => {}
            () = patience => {}
        }
        let health = self.pulse.now();
        if !health.reachable {
            self.pulse.begins_with_snapshot();
            self.pulse.tell(Event::FromSnapshot {
                taken,
                revision: self.inventory().revision(),
                why: health.trouble.unwrap_or_else(|| "it is silent".to_owned()),
            });
        }
    }

    /// What is known of it.
    pub fn health(&self) -> Health {
        self.pulse.now()
    }

    /// The highest revision in which a resource of each collection was written.
    pub fn modify_indexes(&self) -> Vec<(&'static str, u64)> {
        let inventory = self.inventory();
        let newest = |collection: &str| {
            let below = inventory.below(&super::Key::prefix_of(collection));
            below.map(|(_, entry)| entry.modified).max()
        };
        let collections = layout::COLLECTIONS.iter();
        collections
            .map(|collection| (*collection, newest(collection).unwrap_or_default()))
            .collect()
    }
}

impl Store for Etcd {
    fn inventory(&self) -> Arc<Inventory> {
        Arc::clone(&self.now.borrow())
    }

    fn commit(&self, write: Write) -> Later<'_, Result<u64, StoreError>> {
        Box::pin(self.write(write))
    }

    fn most_changes(&self) -> usize {
        limits::ETCD_CHANGES
    }

    fn changed(&self, seen: u64) -> Later<'_, Arc<Inventory>> {
        Box::pin(async move {
            let mut now = self.now.clone();
            let other = now.wait_for(|inventory| inventory.revision() != seen).await;
            match other.map(|inventory| Arc::clone(&inventory)) {
                Ok(inventory) => inventory,
                // Whoever follows etcd is gone only when this is.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.following.abort();
        if let Some(keeping) = &self.keeping {
            keeping.abort();
        }
    }
}
