//! What counts: counters, gauges and histograms of plain atomics.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Goes up and down. One worker's part may be negative: what was counted up
/// elsewhere is counted down here.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicI64);

impl Gauge {
    pub(crate) fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub(crate) fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of a histogram's buckets, ascending, and the unit in which
/// they are told.
#[derive(Debug)]
pub(crate) struct Bounds {
    pub(crate) upper: &'static [Duration],
    pub(crate) unit: Duration,
}

/// Times sorted into `N` buckets; the last one is for those beyond all bounds.
#[derive(Debug)]
pub(crate) struct Histogram<const N: usize> {
    buckets: [AtomicU64; N],
    nanos: AtomicU64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Histogram {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            nanos: AtomicU64::new(0),
        }
    }
}

impl<const N: usize> Histogram<N> {
    pub(crate) fn observe(&self, bounds: &Bounds, time: Duration) {
        let bucket = bounds.upper.partition_point(|upper| *upper < time);
        self.buckets[bucket.min(N - 1)].fetch_add(1, Relaxed);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Relaxed);
    }
}

/// A histogram's numbers, added up over workers.
#[derive(Debug)]
pub(crate) struct Distribution {
    /// How many in each bucket alone.
    pub(crate) buckets: Vec<u64>,
    pub(crate) sum: Duration,
}

impl Distribution {
    /// Nothing yet, for histograms of so many buckets.
    pub(crate) fn new(buckets: usize) -> Self {
        Distribution {
            buckets: vec![0; buckets],
            sum: Duration::ZERO,
        }
    }

    pub(crate) fn add<const N: usize>(&mut self, histogram: &Histogram<N>) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *sum += bucket.load(Relaxed);
        }
        self.sum += Duration::from_nanos(histogram.nanos.load(Relaxed));
    }

    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPPER: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(10)];

    #[test]
    fn a_time_goes_into_the_first_bucket_that_is_long_enough() {
        let bounds = Bounds {
            upper: &UPPER,
            unit: Duration::from_secs(1),
        };
        let histogram = Histogram::<3>::default();
        for micros in [0, 1000, 1001, 10_000, 10_001, 99_000_000] {
            histogram.observe(&bounds, Duration::from_micros(micros));
        }
        let mut all = Distribution::new(3);
        all.add(&histogram);
        assert_eq!(all.buckets, [2, 2, 2]);
        assert_eq!(all.sum, Duration::from_micros(99_022_002));
        all.add(&histogram);
        assert_eq!((all.count(), all.buckets), (12, vec![4, 4, 4]));
    }
}
