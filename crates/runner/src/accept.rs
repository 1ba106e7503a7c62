//! Accepts connections, each served by a task of its own, and winds them down.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::call::Plugins;
use crate::connection;
use crate::limits::{ACCEPT_RETRY, MAX_CONNECTIONS};

/// Serves until `shutdown`, then lets calls in flight end within `drain_time`.
pub(crate) async fn run(
    plugins: &Arc<Plugins>,
    listener: UnixListener,
    shutdown: impl Future<Output = ()>,
    drain_time: Duration,
) {
    let (drain, draining) = watch::channel(false);
    let mut connections = Connections {
        plugins: Arc::clone(plugins),
        draining,
        places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        tasks: JoinSet::new(),
    };
    tokio::select! {
        biased;
        () = shutdown => {}
        () = connections.accept_all(&listener) => {}
    }
    connections.accept_waiting(&listener).await;
    drop(listener);
    drain.send_replace(true);
    connections.end(drain_time).await;
}

struct Connections {
    plugins: Arc<Plugins>,
    draining: watch::Receiver<bool>,
    /// One permit for each connection that may be open.
    places: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

/// A connection and its place.
type Accepted = (UnixStream, OwnedSemaphorePermit);

impl Connections {
    /// Accepts until it is dropped.
    async fn accept_all(&mut self, listener: &UnixListener) {
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.places, listener) => accepted,
                Some(ended) = self.tasks.join_next() => {
                    report(ended);
                    continue;
                }
            };
            match accepted {
                Ok(accepted) => self.start(accepted),
                Err(error) => {
                    warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// Accepts who is connected already: the kernel has told them that somebody
    /// is here.
    async fn accept_waiting(&mut self, listener: &UnixListener) {
        // The runtime hears of new connections between two turns of a task.
        tokio::task::yield_now().await;
        while let Some(Ok(accepted)) = accept(&self.places, listener).now_or_never() {
            self.start(accepted);
        }
    }

    fn start(&mut self, (stream, place): Accepted) {
        let plugins = Arc::clone(&self.plugins);
        let draining = self.draining.clone();
        self.tasks.spawn(async move {
            connection::serve(stream, &plugins, draining).await;
            drop(place);
        });
    }

    /// Waits for all to end, and cuts off who does not.
    async fn end(mut self, drain_time: Duration) {
        info!(connections = self.tasks.len(), "shutting down");
        let all_ended = async {
            while let Some(ended) = self.tasks.join_next().await {
                report(ended);
            }
        };
        if timeout(drain_time, all_ended).await.is_err() {
            let cut_off = self.tasks.len();
            warn!(
                cut_off,
                "calls did not end within {drain_time:?} and are cut off"
            );
        }
    }
}

/// Waits for a place, then for a connection. May be cancelled.
async fn accept(places: &Arc<Semaphore>, listener: &UnixListener) -> io::Result<Accepted> {
    if places.available_permits() == 0 {
        warn!("{MAX_CONNECTIONS} connections are open, the next ones have to wait");
    }
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .expect("nobody closes the semaphore");
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// A connection's task ends by itself; plugins' panics do not get here.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!("a connection's task failed: {error}");
    }
}
