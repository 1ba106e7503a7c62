//! Prepares configurations before calls need them: when they are compiled, and
//! whenever a new process listens.
//!
//! Each process is prepared on its own, a few configurations at a time; calls
//! that come meanwhile share what is under way. A configuration that cannot be
//! prepared is left to the first call that needs it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::conf::{Patience, Prepared};
use crate::limits::PREPARE_AHEAD;
use crate::runner::Shared;
use crate::target::Target;
use crate::{Conf, Runner};

/// The configurations of one runner that are to be prepared ahead.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    confs: Mutex<Vec<Weak<Prepared>>>,
    /// There may be something to do.
    wake: Notify,
}

impl Ahead {
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    fn add(&self, conf: &Arc<Prepared>) {
        let mut confs = self.confs.lock().unwrap_or_else(PoisonError::into_inner);
        if confs.len() == confs.capacity() {
            confs.retain(|conf| conf.strong_count() > 0);
        }
        confs.push(Arc::downgrade(conf));
        drop(confs);
        self.wake();
    }

    /// Those that nobody has tried to prepare at `target`.
    fn untried(&self, target: &Target) -> Vec<Arc<Prepared>> {
        let confs = self.confs.lock().unwrap_or_else(PoisonError::into_inner);
        let live = confs.iter().filter_map(Weak::upgrade);
        live.filter(|conf| !conf.was_tried(target)).collect()
    }
}

impl Conf {
    /// Has this prepared at every process of `runner`, now and later, for as
    /// long as it lives. Needs [`Runner::prepare_ahead`] to run.
    pub fn prepare_ahead(&self, runner: &Runner) {
        if self.prepared().is_first_to_be_ahead() {
            runner.shared().ahead().add(self.prepared());
        }
    }
}

impl Runner {
    /// Prepares the configurations that [asked for it](Conf::prepare_ahead). To
    /// be run by the control thread; ends some time after the runner was
    /// dropped.
    pub fn prepare_ahead(&self) -> impl Future<Output = ()> + Send + use<> {
        let runner = Arc::clone(self.shared());
        async move {
            let mut busy: HashSet<u64> = HashSet::new();
            let mut batches = JoinSet::new();
            while !runner.is_removed() {
                let targets: Vec<_> = runner.table().targets().cloned().collect();
                for target in targets {
                    if busy.contains(&target.generation()) {
                        continue;
                    }
                    let confs = runner.ahead().untried(&target);
                    if !confs.is_empty() {
                        busy.insert(target.generation());
                        batches.spawn(prepare(Arc::clone(&runner), target, confs));
                    }
                }
                tokio::select! {
                    () = runner.ahead().wake.notified() => {}
                    Some(done) = batches.join_next() => match done {
                        Ok(generation) => {
                            busy.remove(&generation);
                        }
                        // A panic was reported where it happened.
                        Err(_) => return,
                    },
                }
            }
        }
    }
}

/// Prepares `confs` at `target`. Returns its generation.
async fn prepare(runner: Arc<Shared>, target: Arc<Target>, confs: Vec<Arc<Prepared>>) -> u64 {
    let timeouts = runner.timeouts();
    let patience = Patience {
        prepare: timeouts.prepare,
        connect: timeouts.connect,
    };
    let mut under_way = JoinSet::new();
    for conf in confs {
        while under_way.len() >= PREPARE_AHEAD {
            under_way.join_next().await;
        }
        if target.is_retired() {
            break;
        }
        let (runner, target) = (Arc::clone(&runner), Arc::clone(&target));
        under_way.spawn(async move {
            // The observer is told of a failure.
            let _ = conf.prepare(&runner, &target, patience).await;
        });
    }
    while under_way.join_next().await.is_some() {}
    target.generation()
}
