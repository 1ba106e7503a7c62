//! Sends spans to the collector in batches, until told to stop.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::queue::Queue;
use super::send::{Endpoint, NotSent};
use super::span::Span;
use super::{Settings, otlp};
use crate::limits::{BATCH_TRIES, FIRST_PAUSE, SPANS_PER_BATCH};
use crate::metrics::SpanCounts;
use crate::repeats::Repeats;

/// What sends spans off, to be [started](Exporter::start) on a runtime of its
/// own choice.
#[derive(Debug)]
pub struct Exporter {
    queue: Arc<Queue>,
    waiting: mpsc::Receiver<Span>,
    interval: Duration,
    batches: Batches,
}

#[derive(Debug)]
struct Batches {
    endpoint: Endpoint,
    resource: Resource,
    timeout: Duration,
    counts: Arc<SpanCounts>,
    warnings: Repeats,
}

impl Exporter {
    pub(super) fn new(
        settings: Settings,
        queue: Arc<Queue>,
        waiting: mpsc::Receiver<Span>,
        counts: Arc<SpanCounts>,
    ) -> Self {
        Exporter {
            queue,
            waiting,
            interval: settings.interval,
            batches: Batches {
                resource: otlp::resource(&settings),
                endpoint: settings.endpoint,
                timeout: settings.timeout,
                counts,
                warnings: Repeats::new(1),
            },
        }
    }

    /// Goes to work as a task of the current runtime.
    #[must_use]
    pub fn start(self) -> Exporting {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(self.run(stopped));
        Exporting { stop, task }
    }

    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            let mut stopping = false;
            tokio::select! {
                () = sleep(self.interval) => {}
                () = self.queue.enough.notified() => {}
                // That nobody can tell it to stop any more means the same.
                _ = &mut stopped => stopping = true,
            }
            // Whoever stops it waits for the last words no longer than it likes.
            self.batches.send_all(&mut self.waiting).await;
            if stopping {
                return;
            }
        }
    }
}

impl Batches {
    async fn send_all(&self, waiting: &mut mpsc::Receiver<Span>) {
        loop {
            let mut batch = Vec::new();
            while batch.len() < SPANS_PER_BATCH
                && let Ok(span) = waiting.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                return;
            }
            self.send(batch).await;
        }
    }

    async fn send(&self, batch: Vec<Span>) {
        let count = batch.len() as u64;
        let body = otlp::request(&self.resource, batch);
        match self.try_to_send(body).await {
            Ok(answer) => {
                let rejected = otlp::rejected(&answer).min(count);
                self.counts.exported.add(count - rejected);
                self.counts.dropped_rejected.add(rejected);
            }
            Err(error) => {
                self.counts.dropped_unsent.add(count);
                if self.warnings.pass().is_some() {
                    tracing::warn!(
                        "{count} spans could not be sent to {}: {error}; \
                         see outrigger.tracing in config.yaml",
                        self.endpoint
                    );
                }
            }
        }
    }

    async fn try_to_send(&self, body: Vec<u8>) -> Result<bytes::Bytes, NotSent> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..BATCH_TRIES {
            match self.endpoint.send(body.clone(), self.timeout).await {
                Err(error) if error.is_passing() => {
                    tracing::debug!("spans are sent again in {pause:?}: {error}");
                }
                result => return result,
            }
            sleep(pause).await;
            pause *= 2;
        }
        self.endpoint.send(body, self.timeout).await
    }
}

/// An exporter at work.
#[derive(Debug)]
pub struct Exporting {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Exporting {
    /// Sends what is waiting, for at most `limit`. Whether all was sent, or
    /// given up, within it.
    pub async fn stop(self, limit: Duration) -> bool {
        let _ = self.stop.send(());
        let abort = self.task.abort_handle();
        let ended = timeout(limit, self.task).await.is_ok();
        abort.abort();
        ended
    }
}
