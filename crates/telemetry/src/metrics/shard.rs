//! Numbers that many workers count: each worker in memory of its own, added up
//! when somebody looks.
//!
//! One counter for all would be one cache line that all workers pull to and
//! fro. A worker's part is made when it first counts, so that what is never
//! used costs a few words.

use std::sync::OnceLock;

/// One `T` for each worker.
#[derive(Debug)]
pub(crate) struct Sharded<T> {
    shards: Box<[OnceLock<Box<Alone<T>>>]>,
}

/// Two cache lines: processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Alone<T>(T);

impl<T: Default> Sharded<T> {
    /// For so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        let shards = std::iter::repeat_with(OnceLock::new);
        Sharded {
            shards: shards.take(workers.max(1)).collect(),
        }
    }

    /// The part of the worker of this number. Workers beyond those that were
    /// told of share; nothing is lost then but speed.
    pub(crate) fn of(&self, worker: usize) -> &T {
        let shard = &self.shards[worker % self.shards.len()];
        &shard.get_or_init(Box::default).0
    }

    /// The parts that were used.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &T> {
        let used = self.shards.iter().filter_map(OnceLock::get);
        used.map(|part| &part.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::cells::Counter;

    #[test]
    fn workers_count_apart_and_nothing_is_lost() {
        let sharded: Sharded<Counter> = Sharded::new(2);
        for worker in [0, 1, 1, 2] {
            sharded.of(worker).add(1);
        }
        let mut parts: Vec<u64> = sharded.parts().map(Counter::get).collect();
        parts.sort_unstable();
        assert_eq!(parts, [2, 2]);
    }

    #[test]
    fn parts_that_nobody_used_do_not_exist() {
        let sharded: Sharded<Counter> = Sharded::new(64);
        sharded.of(7).add(1);
        assert_eq!(sharded.parts().count(), 1);
    }

    #[test]
    fn parts_share_no_cache_line() {
        assert_eq!(align_of::<Alone<Counter>>(), 128);
    }
}
