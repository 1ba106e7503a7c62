//! What asking the upstream came to: every try with its node, status and
//! times, as nginx's `$upstream_*` tell them.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::upstream::Address;

/// The tries of one request, in order. No try, or a single one, takes no
/// allocation.
#[derive(Debug, Default)]
pub struct UpstreamTrace {
    earlier: Vec<Try>,
    last: Option<Try>,
    /// When the last response had been read, where it streams.
    ended: Option<Rc<Cell<Option<Instant>>>>,
}

/// One node that was asked.
#[derive(Debug, Clone)]
pub struct Try {
    /// The node.
    pub node: Address,
    /// Its address, once there is a connection.
    pub peer: Option<SocketAddr>,
    /// What it answered, or what its failure is worth: 502, or 504 where it
    /// took too long.
    pub status: Option<StatusCode>,
    /// Whether `status` is its own.
    pub answered: bool,
    /// Until there was a connection; zero on one that was there already.
    pub connect_time: Option<Duration>,
    /// Until the response's head was there.
    pub header_time: Option<Duration>,
    /// Until the response was there in full, or the try had failed.
    pub response_time: Option<Duration>,
    began: Instant,
}

impl Try {
    /// The node's address as far as it is known.
    pub(crate) fn address(&self) -> (Option<SocketAddr>, &Address) {
        (self.peer, &self.node)
    }
}

impl UpstreamTrace {
    /// A node is asked from `now` on.
    pub fn begin(&mut self, node: &Address, now: Instant) {
        let next = Try {
            node: node.clone(),
            peer: None,
            status: None,
            answered: false,
            connect_time: None,
            header_time: None,
            response_time: None,
            began: now,
        };
        self.earlier.extend(self.last.replace(next));
    }

    /// There is a connection to the node; since `now` if it is new.
    pub fn connected(&mut self, peer: SocketAddr, now: Option<Instant>) {
        if let Some(last) = &mut self.last {
            last.peer = Some(peer);
            last.connect_time = Some(now.map_or(Duration::ZERO, |now| now - last.began));
        }
    }

    /// The node's response begins; `now` where somebody wants the times.
    pub fn answered(&mut self, status: StatusCode, now: Option<Instant>) {
        if let Some(last) = &mut self.last {
            last.status = Some(status);
            last.answered = true;
            last.header_time = now.map(|now| now - last.began);
        }
    }

    /// The node failed in a way that is worth this status.
    pub fn failed(&mut self, status: StatusCode) {
        if let Some(last) = &mut self.last {
            last.status = Some(status);
            last.response_time = Some(last.began.elapsed());
        }
    }

    /// The response has been read; what is still to come of it by `now` counts
    /// as read then. One that [was watched](Self::end_mark) ended as its mark says.
    pub fn end(&mut self, now: Instant) {
        let marked = self.ended.take().and_then(|mark| mark.get());
        if let Some(last) = &mut self.last {
            let ended = marked.unwrap_or(now);
            last.response_time
                .get_or_insert(ended.saturating_duration_since(last.began));
        }
    }

    /// Where whoever reads the response is to note when it has been read.
    pub fn end_mark(&mut self) -> Rc<Cell<Option<Instant>>> {
        Rc::clone(self.ended.get_or_insert_default())
    }

    /// All tries, in order.
    pub fn tries(&self) -> impl Iterator<Item = &Try> {
        self.earlier.iter().chain(&self.last)
    }

    /// The last node that was asked.
    #[must_use]
    pub fn last(&self) -> Option<&Try> {
        self.last.as_ref()
    }

    /// The status that the upstream answered with; none where it did not.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        let last = self.last.as_ref()?;
        last.status.filter(|_| last.answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_try_is_kept_with_its_times() {
        let mut trace = UpstreamTrace::default();
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let now = Instant::now();
        let after = |ms| now + Duration::from_millis(ms);
        trace.begin(&Address::Name("a.test".into(), 81), now);
        trace.failed(StatusCode::BAD_GATEWAY);
        assert_eq!(trace.status(), None);
        trace.begin(&Address::Socket(address), after(1));
        trace.connected(address, Some(after(3)));
        trace.answered(StatusCode::CREATED, Some(after(6)));
        trace.end_mark().set(Some(after(10)));
        trace.end(after(20));
        trace.end(after(30));
        assert_eq!(trace.status(), Some(StatusCode::CREATED));
        let tries: Vec<_> = trace.tries().collect();
        assert_eq!(tries[0].status, Some(StatusCode::BAD_GATEWAY));
        assert!(tries[0].connect_time.is_none() && tries[0].response_time.is_some());
        let times = [
            tries[1].connect_time,
            tries[1].header_time,
            tries[1].response_time,
        ];
        assert_eq!(times.map(|time| time.unwrap().as_millis()), [2, 5, 9]);
    }
}
