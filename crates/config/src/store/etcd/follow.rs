//! Keeping up with etcd: the task that reads everything, then follows the changes.
//!
//! Which step comes next is decided by `course`; here the steps are done.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::super::Inventory;
use super::api::{Bytes64, Event as Change, Header, RangeAnswer, RangeRequest};
use super::api::{WatchAnswer, WatchCreate, WatchRequest};
use super::client::{Again, Shared, Watching};
use super::course::{Course, Step};
use super::health::{Event, Pulse};
use super::layout::Layout;
use super::mirror::{Mirror, Read};
use super::trouble::Trouble;
use crate::limits;

/// What the task works with.
pub(super) struct Follower {
    pub(super) client: Shared,
    pub(super) layout: Arc<Layout>,
    pub(super) mirror: Mirror,
    pub(super) course: Course,
    pub(super) pulse: Arc<Pulse>,
    /// Where others see the resources.
    pub(super) now: watch::Sender<Arc<Inventory>>,
    /// Somebody is in a hurry.
    pub(super) hurry: Arc<Notify>,
    pub(super) watch_timeout: Duration,
}

/// How a watch ended that did not fail.
enum End {
    /// Its time was over.
    Over,
    /// What it is to tell is not there any more, or not what it was.
    Resync,
}

impl Follower {
    /// Never ends by itself.
    pub(super) async fn run(mut self) {
        let mut is_first = true;
        loop {
            match self.course.next(rand::random()) {
                Step::Pause(pause) => tokio::select! {
                    () = sleep(pause) => {}
                    () = self.hurry.notified() => {}
                },
                Step::Load => match self.load().await {
                    Ok(revision) => {
                        if !std::mem::take(&mut is_first) {
                            self.pulse.tell(Event::Resynced { revision });
                        }
                    }
                    // Something changed meanwhile, and etcd was told to forget what was before.
                    Err(trouble) if trouble.is_compaction() => self.course.failed(),
                    Err(trouble) => self.failed(&trouble),
                },
                Step::Watch(from) => match self.begin(from).await {
                    Ok(watching) => match self.watch(watching).await {
                        Ok(End::Over) => {}
                        Ok(End::Resync) => self.course.compacted(),
                        Err(trouble) if trouble.is_refusal() => self.failed(&trouble),
                        // Whether etcd is gone shows when it is begun anew.
                        Err(_) => self.course.failed(),
                    },
                    Err(trouble) => self.failed(&trouble),
                },
            }
        }
    }

    fn failed(&mut self, trouble: &Trouble) {
        self.course.failed();
        self.pulse.failed(trouble.to_string());
    }

    /// Reads everything, as of one revision.
    async fn load(&mut self) -> Result<u64, Trouble> {
        let (read, header, member) = self.read_all().await?;
        if !read.unknown.is_empty() {
            let collections = read.unknown.clone();
            self.pulse.tell(Event::Unknown { collections });
        }
        if self.mirror.replace(read, header.revision) {
            self.now.send_replace(Arc::clone(self.mirror.inventory()));
        }
        self.course.loaded(header);
        let host = self.client.host(member).url();
        self.pulse.synced(host, header.revision);
        Ok(header.revision)
    }

    /// Page by page, all of the revision that the first one is of.
    async fn read_all(&self) -> Result<(Read, Header, usize), Trouble> {
        let (from, end) = self.layout.range();
        let mut request = RangeRequest {
            key: Bytes64(from),
            range_end: Some(Bytes64(end)),
            limit: limits::ETCD_PAGE,
            ..RangeRequest::default()
        };
        let mut reading = self.mirror.read();
        let mut first = None;
        loop {
            let asked = self.client.call("/v3/kv/range", &request, Again::Always);
            let (answer, member): (RangeAnswer, usize) = match asked.await {
                Err(trouble) if trouble.is_too_long() && request.limit > 1 => {
                    request.limit /= 2;
                    continue;
                }
                other => other?,
            };
            self.pulse.heard(self.client.host(member).url());
            let (header, _) = *first.get_or_insert((answer.header, member));
            request.revision = header.revision;
            reading.take(&answer.kvs);
            match answer.kvs.last() {
                Some(last) if answer.more => {
                    let mut next = last.key.0.clone();
                    next.push(0);
                    request.key = Bytes64(next);
                }
                _ => return Ok((reading.finish(), header, member)),
            }
        }
    }

    async fn begin(&self, from: u64) -> Result<Watching, Trouble> {
        let (key, end) = self.layout.range();
        let request = WatchRequest {
            create_request: WatchCreate {
                key: Bytes64(key),
                range_end: Bytes64(end),
                start_revision: from,
                fragment: true,
            },
        };
        self.client.watch(&request).await
    }

    /// Follows the changes until the watch ends.
    async fn watch(&mut self, mut watching: Watching) -> Result<End, Trouble> {
        let member = watching.member();
        if !self.course.opened(watching.opened()) {
            return Ok(End::Resync);
        }
        let host = self.client.host(member).url().to_owned();
        let known = self.pulse.now().revision;
        self.pulse.synced(&host, known);
        let over = Instant::now() + self.watch_timeout;
        let mut heard = Heard::default();
        let client = Arc::clone(&self.client);
        let layout = Arc::clone(&self.layout);
        let probe = || async {
            sleep(limits::ETCD_PROBE).await;
            client
                .call_member::<RangeAnswer>(
                    member,
                    "/v3/kv/range",
                    &probe_of(&layout),
                    limits::ETCD_PROBE_ANSWER,
                )
                .await
        };
        let mut probing = Box::pin(probe());
        loop {
            tokio::select! {
                answer = watching.next() => {
                    let mut answer = answer.inspect_err(|_| self.client.failed(member))?;
                    // What has come already is made out at once: an inventory costs more
                    // than an event.
                    loop {
                        if !heard.take(answer, &watching)? {
                            return Ok(End::Resync);
                        }
                        answer = match watching.next_buffered()? {
                            Some(answer) => answer,
                            None => break,
                        };
                    }
                    self.apply(&mut heard, &host);
                }
                probed = &mut probing => {
                    // Nothing would come of this watch any more.
                    probed?;
                    self.course.proven();
                    self.pulse.heard(&host);
                    probing = Box::pin(probe());
                }
                () = sleep_until(over) => return Ok(End::Over),
            }
        }
    }

    /// Goes over to what was heard, if that is whole.
    fn apply(&mut self, heard: &mut Heard, host: &str) {
        if heard.is_partial || heard.events.is_empty() {
            return;
        }
        let events = std::mem::take(&mut heard.events);
        let newest = events.iter().map(|event| event.kv.mod_revision).max();
        let newest = newest.unwrap_or_default();
        if self.mirror.apply(&events) {
            self.now.send_replace(Arc::clone(self.mirror.inventory()));
        }
        self.course.advanced(newest);
        self.pulse.synced(host, newest);
    }
}

/// What a watch has told that is not made out yet.
#[derive(Default)]
struct Heard {
    events: Vec<Change>,
    /// Whether more of the last revision is to come.
    is_partial: bool,
}

impl Heard {
    /// Takes in what etcd said; false where everything has to be read anew instead.
    fn take(&mut self, answer: WatchAnswer, watching: &Watching) -> Result<bool, Trouble> {
        if answer.canceled && answer.compact_revision == 0 {
            return Err(watching.refused(match answer.cancel_reason.as_str() {
                "" => "it ended the watch",
                why => why,
            }));
        }
        let total = self.events.len().saturating_add(answer.events.len());
        // Read page by page, too many fit.
        if answer.compact_revision > 0 || total > limits::ETCD_EVENTS {
            return Ok(false);
        }
        self.events.extend(answer.events);
        self.is_partial = answer.fragment;
        Ok(true)
    }
}

/// A question that only a member with a leader can answer.
fn probe_of(layout: &Layout) -> RangeRequest {
    RangeRequest {
        key: Bytes64(layout.range().0),
        keys_only: true,
        limit: 1,
        ..RangeRequest::default()
    }
}
