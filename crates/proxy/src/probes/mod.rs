//! Active health checks: nodes are asked how they are, at intervals.
//!
//! One future does it for all upstreams, on the control thread; workers only see
//! what it finds. It follows the snapshot and the settings by itself. Deliberately
//! absent: what follows from what a probe meets, which is the engine's.

mod probe;
mod schedule;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use outrigger_engine::plugin::Owner;
use outrigger_engine::snapshot::Snapshot;
use outrigger_engine::upstream::{Address, Upstream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::limits::SNAPSHOT_LOOK;
use crate::server::Orders;
use crate::upstream::health;
use schedule::Schedule;

/// Looks after the nodes of all upstreams that have health checks, until nobody
/// gives orders any more. To be run on a runtime with time and I/O.
pub(crate) fn look_after(
    snapshot: Arc<ArcSwap<Snapshot>>,
    orders: watch::Receiver<Arc<Orders>>,
) -> impl Future<Output = ()> + Send + 'static {
    let mut all = All {
        orders,
        watched: HashMap::new(),
        watches: JoinSet::new(),
    };
    async move {
        let mut orders = all.orders.clone();
        let mut look = interval(SNAPSHOT_LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Does not keep one alive that requests do not run on any more.
        let mut seen = Weak::new();
        loop {
            tokio::select! {
                _ = look.tick() => {}
                changed = orders.changed() => match changed {
                    Ok(()) => seen = Weak::new(),
                    Err(_) => return,
                },
            }
            let now = snapshot.load_full();
            if !seen.ptr_eq(&Arc::downgrade(&now)) {
                all.follow(&now);
                seen = Arc::downgrade(&now);
            }
        }
    }
}

struct All {
    orders: watch::Receiver<Arc<Orders>>,
    watched: HashMap<Owner, watch::Sender<Arc<Upstream>>>,
    watches: JoinSet<()>,
}

impl All {
    /// Has exactly the upstreams of this snapshot watched.
    fn follow(&mut self, snapshot: &Snapshot) {
        let upstreams = snapshot.checked_upstreams();
        let wanted = self.orders.borrow().settings.health_checks;
        if !wanted {
            for (_, upstream) in &upstreams {
                upstream.forget_health();
            }
        }
        let mut before = std::mem::take(&mut self.watched);
        for (owner, upstream) in upstreams.into_iter().filter(|_| wanted) {
            let sender = before.remove(&owner).unwrap_or_else(|| {
                let (sender, receiver) = watch::channel(Arc::clone(&upstream));
                self.watches.spawn(watch(receiver, self.orders.clone()));
                sender
            });
            sender.send_if_modified(|known| {
                let is_other = !Arc::ptr_eq(known, &upstream);
                *known = upstream;
                is_other
            });
            self.watched.insert(owner, sender);
        }
        // Those whose senders are dropped end by themselves.
        drop(before);
        while self.watches.try_join_next().is_some() {}
    }
}

/// Looks after one upstream until its sender is dropped.
async fn watch(mut upstream: watch::Receiver<Arc<Upstream>>, orders: watch::Receiver<Arc<Orders>>) {
    let mut schedule = Schedule::default();
    let mut running = FuturesUnordered::new();
    loop {
        let current = Arc::clone(&upstream.borrow_and_update());
        let Some(checks) = current.checks().cloned() else {
            return;
        };
        let now = Instant::now();
        schedule.follow(current.nodes().iter().map(|node| &node.address), now);
        while running.len() < checks.active.concurrency
            && let Some(address) = schedule.take_due(now)
        {
            let orders = Arc::clone(&orders.borrow());
            running.push(probe_one(Arc::clone(&current), address, orders, now));
        }
        let is_full = running.len() >= checks.active.concurrency;
        let due = schedule.next().filter(|_| !is_full);
        tokio::select! {
            changed = upstream.changed() => if changed.is_err() {
                return;
            },
            Some(probed) = running.next(), if !running.is_empty() => {
                let Probed { address, began, is_well } = probed;
                let active = &checks.active;
                let interval = match is_well {
                    true => active.healthy_interval,
                    false => active.unhealthy_interval,
                };
                schedule.done(&address, began + interval);
            },
            () = sleep_until(due.unwrap_or(now)), if due.is_some() => {}
        }
    }
}

struct Probed {
    address: Address,
    began: Instant,
    is_well: bool,
}

async fn probe_one(
    upstream: Arc<Upstream>,
    address: Address,
    orders: Arc<Orders>,
    began: Instant,
) -> Probed {
    let mut is_well = true;
    let mut nodes = upstream.nodes().iter();
    if let Some(node) = nodes.find(|node| node.address == address) {
        let report = probe::report(&upstream, node, &orders).await;
        if let Some(condition) = upstream.probed(node, report) {
            health::tell(node, condition, "health checks");
        }
        is_well = node.health().condition.is_well();
    }
    Probed {
        address,
        began,
        is_well,
    }
}
