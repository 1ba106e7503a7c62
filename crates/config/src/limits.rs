//! Every bound of this crate.

use std::time::Duration;

/// Largest configuration file that is read, in bytes.
pub const FILE_LEN: u64 = 256 * 1024 * 1024;
/// Most nodes (scalars, sequences and mappings) of a YAML document; 10,000 routes
/// of a hundred properties each fit in twice.
pub const YAML_NODES: usize = 4_000_000;
/// Most parser events of a YAML document: each node has one or two.
pub const YAML_EVENTS: usize = 2 * YAML_NODES;
/// Deepest nesting of a YAML document. The parser recurses this deep, and unoptimised
/// takes 40 KiB of stack for each level; a thread has 2 MiB.
pub const YAML_DEPTH: usize = 32;
/// Most problems that a report shows; a count stands for the others.
pub const SHOWN_PROBLEMS: usize = 50;
/// How often a watched file is looked at.
pub const WATCH_PERIOD: Duration = Duration::from_millis(200);
/// How long a watched file may be absent or unfinished before that is reported:
/// whoever replaces it may need a moment.
pub const WATCH_PATIENCE: Duration = Duration::from_secs(1);
/// A file that was changed within this time is read again even if its metadata
/// stayed the same: two changes within one tick of the file system's clock look alike.
pub const WATCH_CLOCK_DOUBT: Duration = Duration::from_secs(2);
/// Longest path of a unix socket, in bytes (`sun_path` of Linux holds one more for a NUL).
pub const SOCKET_PATH_LEN: usize = 107;
/// Longest time that a setting can ask for. One that is longer is a slip of the
/// unit, and would overflow deadlines.
pub const LONGEST_DURATION: Duration = outrigger_model::limits::LONGEST_DURATION;
/// Most worker threads.
pub const WORKERS: i64 = 1024;
/// Longest name of a runner, in characters.
pub const RUNNER_NAME_CHARS: usize = 64;
/// Longest key of a resource, in bytes: a consumer's name, a credential's id, and
/// the names of their collections, with room.
pub const KEY_LEN: usize = 512;
/// Longest text about the gateway in traces, in characters.
pub const TRACE_TEXT: usize = 1024;
/// Most spans that may wait to be sent; each has some hundred bytes.
pub const TRACE_QUEUE: i64 = 1_000_000;
/// Most bytes of the access log that one worker gathers.
pub(crate) const ACCESS_LOG_BUFFER: usize = 1024 * 1024;
/// Most processes of one runner side by side.
pub const RUNNER_INSTANCES: i64 = 256;
/// Most calls of one runner that a setting can ask for, under way or waiting.
pub const RUNNER_CALLS: i64 = 1_000_000;
/// Least bytes for long messages of one runner: the longest one.
pub const LEAST_BUFFERED: u64 = 16 * 1024 * 1024;
/// Most calls that a circuit breaker can be told to wait for; it counts no further.
pub const BREAKER_CALLS: i64 = 30_000;
/// Most lines of a runner's output in a second, or at once.
pub const OUTPUT_LINES: i64 = 1_000_000;
/// Most tries to reach etcd at the start.
pub const ETCD_STARTS: i64 = 1000;
/// Longest prefix of etcd's keys, in bytes.
pub const ETCD_PREFIX: usize = 512;
/// First pause after etcd, or a member of it, has failed; each further one is twice as long.
pub(crate) const ETCD_FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How long a connection to etcd may take to be made, if `timeout` is not shorter.
pub(crate) const ETCD_CONNECT: Duration = Duration::from_secs(5);
/// Most keys that are asked for at once.
pub(crate) const ETCD_PAGE: u64 = 1000;
/// Longest answer of etcd, in bytes: a page of keys, each of some kilobytes. One that is
/// longer is asked for in smaller pages.
pub(crate) const ETCD_ANSWER: usize = 64 * 1024 * 1024;
/// Longest line of a watch, in bytes. etcd cuts what it sends at little more than
/// the largest request that it takes, of 1.5 MiB unless it is configured otherwise.
pub(crate) const ETCD_LINE: usize = 64 * 1024 * 1024;
/// Most events of one revision that come in pieces: far beyond what one transaction may
/// hold (`--max-txn-ops`).
pub(crate) const ETCD_EVENTS: usize = 100_000;
/// Most changes and conditions of one transaction (etcd's `--max-txn-ops`).
pub(crate) const ETCD_CHANGES: usize = 128;
/// Longest text of etcd's that an error shows, in characters.
pub(crate) const ETCD_WORDS: usize = 300;
/// How often etcd is asked whether it is there while it has nothing to tell.
pub(crate) const ETCD_PROBE: Duration = Duration::from_secs(5);
/// How long it may take to say so.
pub(crate) const ETCD_PROBE_ANSWER: Duration = Duration::from_secs(5);
/// How long a write may take: etcd itself gives one up after seven seconds.
pub(crate) const ETCD_WRITE: Duration = Duration::from_secs(10);
/// How long a start waits for the first word of etcd where there is a snapshot to
/// start from.
pub(crate) const ETCD_PATIENCE: Duration = Duration::from_secs(5);
/// How long a write waits for an etcd that is away to come back.
pub(crate) const ETCD_WRITE_PATIENCE: Duration = Duration::from_secs(1);
/// How long a write that was made, or was too late, waits until the gateway has
/// heard of what changed.
pub(crate) const ETCD_ECHO: Duration = Duration::from_secs(5);
/// How long changes are gathered before a snapshot is written.
pub(crate) const SNAPSHOT_PAUSE: Duration = Duration::from_millis(500);
/// How much longer than the last snapshot took to be written the pause is: so that
/// this never takes more than a small part of a core.
pub(crate) const SNAPSHOT_DUTY: u32 = 20;
/// Largest snapshot that is read, in bytes.
pub(crate) const SNAPSHOT_LEN: u64 = 1024 * 1024 * 1024;
/// How long to wait after something whose time was over could not be deleted.
pub(crate) const EXPIRY_RETRY: Duration = Duration::from_secs(5);
/// How often to look for resources whose time is over, if none is known to be near: the
/// clock may be set.
pub(crate) const EXPIRY_LOOK: Duration = Duration::from_secs(30);
/// Bytes of the embedded store's file that are held in memory beside what they mean.
pub(crate) const STORE_CACHE: usize = 4 * 1024 * 1024;

/// How much the thread that parses a changed file stands back behind others, as nice(2) has
/// it: it takes a tenth of a core that requests want too, and all of one that is idle.
pub const PARSER_NICE: i32 = 10;
