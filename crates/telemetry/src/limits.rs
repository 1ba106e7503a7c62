//! Limits of what is measured and logged.

use std::time::Duration;

/// Batches of lines that wait for the access log's file; one has about the size
/// of a worker's buffer.
pub const ACCESS_LOG_QUEUE: usize = 256;

/// How often at most it is said that the access log has lost lines.
pub(crate) const ACCESS_LOG_WARNING_INTERVAL: Duration = Duration::from_secs(1);

/// Routes (and services and so on) that have series of their own; further ones
/// are counted together, as `other`.
pub const MEASURED_OWNERS: usize = 1000;

/// Kinds of failure that one series tells apart; there are fewer.
pub(crate) const FAILURE_KINDS: usize = 32;

/// Pairs of an upstream's node and a consumer that one worker tells apart for
/// one route; further ones are counted together, as `other`.
pub const REQUEST_PARTIES: usize = 100;

/// Pairs of status and pattern that one worker tells apart for one route, node
/// and consumer; further ones are not counted by status.
pub const REQUEST_STATUSES: usize = 100;

/// Reasons for closing a connection to a runner that are told apart; there are
/// fewer.
pub(crate) const RUNNER_REASONS: usize = 32;

/// Upper bounds of the buckets for a request's time: APISIX's.
pub(crate) const REQUEST_BUCKETS: [Duration; 15] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// Upper bounds of the buckets for a call's time.
pub(crate) const CALL_BUCKETS: [Duration; 18] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// Spans that are sent to the collector at once.
pub(crate) const SPANS_PER_BATCH: usize = 512;

/// How often a batch is sent at most, until the collector takes it.
pub(crate) const BATCH_TRIES: u32 = 3;

/// The pause before a batch is sent again; it doubles with every further try.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest answer of a collector that is read, in bytes.
pub(crate) const COLLECTOR_ANSWER: usize = 64 << 10;
