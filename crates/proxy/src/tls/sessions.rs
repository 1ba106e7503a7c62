//! Sessions that clients may take up again, kept by the gateway: one memory of bounded
//! size for all certificates and workers.
//!
//! Who was let in by one certificate's rules is not let in by another's: each certificate
//! sees the sessions alone that it began itself.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::server::StoresServerSessions;

use crate::limits::{TLS_SESSION_SHARDS, TLS_SESSIONS};

/// The memory.
#[derive(Default)]
pub(super) struct Sessions {
    shards: [Mutex<Shard>; TLS_SESSION_SHARDS],
    certificates: AtomicU64,
}

impl Sessions {
    /// What one certificate sees of it.
    pub(super) fn of_certificate(self: &Arc<Self>) -> Arc<OfCertificate> {
        Arc::new(OfCertificate {
            number: self.certificates.fetch_add(1, Ordering::Relaxed),
            sessions: Arc::clone(self),
        })
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        // The last byte is one of those that were made at random.
        let last = key.last().copied().unwrap_or_default();
        let shard = &self.shards[usize::from(last) % TLS_SESSION_SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Entries; the oldest go where there are too many.
#[derive(Default)]
struct Shard {
    entries: HashMap<Vec<u8>, Vec<u8>>,
    /// Every key of `entries`, and maybe some that were taken out.
    order: VecDeque<Vec<u8>>,
}

impl Shard {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        while self.order.len() >= TLS_SESSIONS / TLS_SESSION_SHARDS {
            if let Some(oldest) = self.order.pop_front() {
                self.entries.remove(&oldest);
            }
        }
        if self.entries.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
    }
}

/// The sessions that one certificate began.
pub(super) struct OfCertificate {
    number: u64,
    sessions: Arc<Sessions>,
}

impl OfCertificate {
    fn key(&self, key: &[u8]) -> Vec<u8> {
        [&self.number.to_be_bytes(), key].concat()
    }
}

impl fmt::Debug for OfCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OfCertificate({})", self.number)
    }
}

impl StoresServerSessions for OfCertificate {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let key = self.key(&key);
        self.sessions.shard(&key).put(key, value);
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let key = self.key(key);
        self.sessions.shard(&key).entries.get(&key).cloned()
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let key = self.key(key);
        self.sessions.shard(&key).entries.remove(&key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_certificate_has_its_own_sessions() {
        let sessions = Arc::<Sessions>::default();
        let (one, other) = (sessions.of_certificate(), sessions.of_certificate());
        assert!(one.put(vec![1], vec![2]));
        assert_eq!((one.get(&[1]), other.get(&[1])), (Some(vec![2]), None));
        assert_eq!((other.take(&[1]), one.take(&[1])), (None, Some(vec![2])));
        assert_eq!(one.get(&[1]), None);
    }

    #[test]
    fn the_oldest_go_first() {
        let sessions = Arc::<Sessions>::default();
        let one = sessions.of_certificate();
        let key = |number: usize| number.to_be_bytes().to_vec();
        for number in 0..=TLS_SESSIONS {
            one.put(key(number), vec![1]);
            if number % 3 == 0 {
                one.take(&key(number));
            }
        }
        let room = TLS_SESSIONS / TLS_SESSION_SHARDS;
        for shard in &sessions.shards {
            let shard = shard.lock().unwrap();
            assert!(shard.order.len() <= room && shard.entries.len() <= room);
        }
        assert_eq!(one.get(&key(1)), Some(vec![1]));
        assert_eq!(one.get(&key(TLS_SESSIONS - 2)), Some(vec![1]));
        one.put(key(TLS_SESSIONS + 1), vec![1]);
        assert_eq!(one.get(&key(1)), None);
    }
}
