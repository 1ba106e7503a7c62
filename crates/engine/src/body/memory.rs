//! How many bytes of bodies are held in memory at once, over all requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::limits::UNCOUNTED_BODY;

/// The memory that bodies may take in all, shared by every worker. Bytes count
/// from when they are read until their last holder lets them go.
#[derive(Debug, Clone)]
pub struct BodyMemory(Arc<Counter>);

#[derive(Debug)]
struct Counter {
    limit: AtomicUsize,
    used: AtomicUsize,
}

impl BodyMemory {
    /// So many bytes in all.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        BodyMemory(Arc::new(Counter {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
        }))
    }

    /// The most there may be, in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// From now on so many bytes in all. What is held beyond that stays until it is let
    /// go; a body that is being read goes on by the limit that it began with.
    pub fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit, Ordering::Relaxed);
    }

    /// How many bytes are held now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Counts bytes that are in memory already, for as long as anybody holds
    /// them; none where there is no room for them. Very short ones are not
    /// worth counting.
    #[must_use]
    pub fn hold(&self, bytes: Bytes) -> Option<Bytes> {
        if bytes.len() <= UNCOUNTED_BODY {
            return Some(bytes);
        }
        let mut share = self.share();
        share.cover(bytes.len()).then(|| share.bind(bytes))
    }

    /// A share of nothing, that can grow.
    pub(super) fn share(&self) -> Share {
        self.share_below(self.limit())
    }

    /// One that grows only while half of the memory is free: for what is
    /// useful but must not keep others from working.
    pub(super) fn spare_share(&self) -> Share {
        self.share_below(self.limit() / 2)
    }

    fn share_below(&self, most: usize) -> Share {
        Share {
            memory: self.clone(),
            bytes: 0,
            most,
        }
    }

    fn take(&self, bytes: usize, most: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|used| *used <= most);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.0.used.fetch_update(set, fetch, more).is_ok()
    }
}

/// One body's part of the memory, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    memory: BodyMemory,
    bytes: usize,
    most: usize,
}

impl Share {
    /// Makes it at least so large; false where there is no room.
    pub(super) fn cover(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more > 0 && !self.memory.take(more, self.most) {
            return false;
        }
        self.bytes += more;
        true
    }

    /// These bytes, which give the share back when the last of them is gone.
    pub(super) fn bind(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Bound {
            bytes,
            _share: self,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Bound {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Bound {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_until_their_last_holder_is_gone() {
        let memory = BodyMemory::new(3 * UNCOUNTED_BODY);
        let large = || Bytes::from(vec![0; 2 * UNCOUNTED_BODY]);
        let held = memory.hold(large()).unwrap();
        assert_eq!(memory.used(), 2 * UNCOUNTED_BODY);
        assert_eq!(memory.hold(large()), None, "there is no room for both");
        let piece = held.slice(..1);
        drop(held);
        assert_eq!(memory.used(), 2 * UNCOUNTED_BODY);
        drop(piece);
        assert_eq!(memory.used(), 0);
        assert!(memory.hold(large()).is_some());
    }

    #[test]
    fn a_spare_share_leaves_half_to_others() {
        let memory = BodyMemory::new(100);
        let mut spare = memory.spare_share();
        assert!(spare.cover(50));
        assert!(!spare.cover(51));
        let mut share = memory.share();
        assert!(share.cover(50));
        assert!(!share.cover(51));
        drop(share);
        drop(spare);
        assert_eq!(memory.used(), 0);
    }
}
