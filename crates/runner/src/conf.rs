//! Prepared configurations, each under the token that names it on the wire.
//!
//! Pure: the time comes in with each call, and a configuration is whatever the
//! caller puts in.
//!
//! A token stays valid for its lifetime even where the host has prepared the
//! same key anew: calls that carry it may be under way.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outrigger_a6::ConfToken;
use tokio::time::Instant;

use crate::limits::{MAX_CONF_BYTES, MAX_CONF_LIFETIME, MAX_CONFS};

/// A configuration as the host named and wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prepared<R> {
    /// The host's key; the same one with the same content gets the same token.
    /// A host that has no keys sends an empty one, which is never the same.
    pub(crate) key: Bytes,
    /// What was sent. Compared, and otherwise left alone.
    pub(crate) content: R,
    /// Bytes of memory that key and content hold.
    pub(crate) size: usize,
}

/// How much a [`ConfCache`] keeps, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConfLimits {
    pub(crate) lifetime: Duration,
    pub(crate) confs: usize,
    pub(crate) bytes: usize,
}

impl ConfLimits {
    /// For a host that keeps a token as long as `expire_time`: a configuration
    /// lives 1.2 times as long, so that the host renews it before it is gone.
    pub(crate) fn new(expire_time: Duration) -> Self {
        let expire_time = expire_time.min(MAX_CONF_LIFETIME);
        let lifetime = (expire_time * 6 / 5).min(MAX_CONF_LIFETIME);
        Self {
            lifetime,
            confs: MAX_CONFS,
            bytes: MAX_CONF_BYTES,
        }
    }
}

/// The configurations of a runner: `R` is what a host sends, `C` what is made
/// of it.
pub(crate) struct ConfCache<R, C> {
    limits: ConfLimits,
    /// The number to try for the next token.
    next_token: u32,
    /// The number of the next preparation.
    next_age: u64,
    /// Invariant: `by_age` has each token of this map exactly once, under its
    /// `age`, and `bytes` is the sum of the sizes.
    by_token: HashMap<u32, Kept<R, C>>,
    /// The latest token of each key. Invariant: it is in `by_token`.
    by_key: HashMap<Bytes, u32>,
    /// From the preparation that is longest ago to the latest. As all live
    /// equally long, also from the first to expire to the last.
    by_age: BTreeMap<u64, u32>,
    bytes: usize,
}

struct Kept<R, C> {
    prepared: Prepared<R>,
    conf: Arc<C>,
    expires: Instant,
    age: u64,
}

/// Configurations that were dropped from the cache. What is in them belongs to
/// plugins, so let it go outside of any lock.
#[must_use]
pub(crate) struct Evicted<C>(#[expect(dead_code, reason = "held to be dropped")] Vec<Arc<C>>);

impl<R: PartialEq, C> ConfCache<R, C> {
    /// An empty cache. Tokens count up from `first_token`, which should be
    /// random: so a token from an earlier process most likely means nothing.
    pub(crate) fn new(limits: ConfLimits, first_token: u32) -> Self {
        Self {
            limits,
            next_token: first_token,
            next_age: 0,
            by_token: HashMap::new(),
            by_key: HashMap::new(),
            by_age: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// The configuration of a token, unless it is unknown or has expired.
    pub(crate) fn get(&self, token: ConfToken, now: Instant) -> Option<Arc<C>> {
        let kept = self
            .by_token
            .get(&token.0)
            .filter(|kept| now < kept.expires)?;
        Some(Arc::clone(&kept.conf))
    }

    /// The token of a key, where its content is still the same; its lifetime
    /// starts again.
    pub(crate) fn renew(&mut self, prepared: &Prepared<R>, now: Instant) -> Option<ConfToken> {
        let token = *self.by_key.get(&prepared.key)?;
        let kept = self.by_token.get_mut(&token)?;
        if kept.prepared.content != prepared.content || kept.expires <= now {
            return None;
        }
        self.by_age.remove(&kept.age);
        kept.age = self.next_age;
        kept.expires = now + self.limits.lifetime;
        self.by_age.insert(self.next_age, token);
        self.next_age += 1;
        Some(ConfToken(token))
    }

    /// Keeps a configuration and gives its token: the one it has, where another
    /// connection was faster, else a new one.
    pub(crate) fn insert(
        &mut self,
        prepared: Prepared<R>,
        conf: Arc<C>,
        now: Instant,
    ) -> (ConfToken, Evicted<C>) {
        if let Some(token) = self.renew(&prepared, now) {
            return (token, Evicted(vec![conf]));
        }
        let evicted = self.make_room(prepared.size, now);
        let token = self.unused_token();
        if !prepared.key.is_empty() {
            self.by_key.insert(prepared.key.clone(), token);
        }
        self.bytes += prepared.size;
        self.by_age.insert(self.next_age, token);
        let expires = now + self.limits.lifetime;
        self.by_token.insert(
            token,
            Kept {
                prepared,
                conf,
                expires,
                age: self.next_age,
            },
        );
        self.next_age += 1;
        (ConfToken(token), evicted)
    }

    /// Drops what has expired, then the oldest until `size` more bytes and one
    /// more configuration fit.
    fn make_room(&mut self, size: usize, now: Instant) -> Evicted<C> {
        let mut evicted = Vec::new();
        while let Some(oldest) = self.by_age.first_entry() {
            let expired = self.by_token[oldest.get()].expires <= now;
            let full = self.by_token.len() >= self.limits.confs
                || self.bytes.saturating_add(size) > self.limits.bytes;
            if !expired && !full {
                break;
            }
            let token = oldest.remove();
            let kept = self
                .by_token
                .remove(&token)
                .expect("by_age holds tokens of by_token");
            self.bytes -= kept.prepared.size;
            if self.by_key.get(&kept.prepared.key) == Some(&token) {
                self.by_key.remove(&kept.prepared.key);
            }
            evicted.push(kept.conf);
        }
        Evicted(evicted)
    }

    /// A number that no living token has and that did not occur among the
    /// last four billion: never 0, which is no token.
    fn unused_token(&mut self) -> u32 {
        loop {
            let token = self.next_token;
            self.next_token = token.wrapping_add(1);
            if token != 0 && !self.by_token.contains_key(&token) {
                return token;
            }
        }
    }
}

#[cfg(test)]
mod tests;
