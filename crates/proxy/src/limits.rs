//! Named limits of this crate.

use std::time::Duration;

/// Connections that wait in a listener's queue to be accepted.
pub const LISTEN_BACKLOG: i32 = 1024;

/// How long accepting pauses after an error such as too many open files, so
/// that the error is not met again at once.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a listener that is given up accepts what has begun: so long a client
/// may take to complete a connection, one way and back.
pub const RETIRE: Duration = Duration::from_secs(1);

/// How long workers may take to hear of other settings before that is said.
pub const HEAR: Duration = Duration::from_secs(5);

/// How often a worker that stops looks whether its connections have ended.
pub const DRAIN_POLL: Duration = Duration::from_millis(50);

/// How often idle upstream connections are looked over.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Idle upstream connections of one worker to all nodes together.
pub const MAX_IDLE_LINKS: usize = 4096;

/// Parts of a response that are read before its head is sent on, in the hope
/// that they are all of it and head and body go out in one write.
pub const EAGER_PARTS: usize = 2;

/// Bytes of a response's head.
pub const MAX_RESPONSE_HEAD: usize = 64 << 10;

/// Fields of a response's head.
pub const MAX_RESPONSE_FIELDS: usize = 128;

/// Interim responses (1xx) before the one that counts.
pub const MAX_INTERIM_RESPONSES: usize = 16;

/// Bytes of a response's trailer section.
pub const MAX_TRAILERS: usize = 16 << 10;

/// Fields of a response's trailer section.
pub const MAX_TRAILER_FIELDS: usize = 64;

/// Bytes of the extensions of all chunks of a response together; they mean
/// nothing, and somebody who sends many wants to be read for ever.
pub const MAX_CHUNK_EXTENSIONS: usize = 16 << 10;

/// Bytes that are read from an upstream at once: at first, and at most, which
/// is reached while they come faster than they are read.
pub const READ_CHUNK: usize = 8 << 10;

/// See [`READ_CHUNK`].
pub const MAX_READ_CHUNK: usize = 64 << 10;

/// Bytes of a request that wait to be written to an upstream: once there are
/// so many, no more of its body is taken from the client.
pub const SEND_BUFFER: usize = 16 << 10;

/// Bytes up to which a part of a request's body is copied behind what is there
/// already, so that both go out in one write of one buffer.
pub const COPY_PART: usize = 4 << 10;

/// Bytes of memory that an idle upstream connection may keep for its next
/// request's head.
pub const IDLE_SEND_BUFFER: usize = 4 << 10;

/// Bytes that are read from a client at once while its request's head is
/// waited for.
pub const HEAD_CHUNK: usize = 8 << 10;

/// Bytes of a response's pieces up to which they are written to a client as one.
pub const GATHER: usize = 4 << 10;

/// Parts of a request's body that nobody wanted that are read at most, in the
/// hope that they are all of it and the connection can be kept.
pub const DRAIN_PARTS: usize = 4;

/// How long a connection that is closed is read from at most, so that the
/// client can take its response (nginx's `lingering_time`).
pub const LINGER: Duration = Duration::from_secs(30);

/// How long it is read from while nothing comes (nginx's `lingering_timeout`).
pub const LINGER_IDLE: Duration = Duration::from_secs(5);

/// Bytes that are read and thrown away at once.
pub const LINGER_CHUNK: usize = 4096;

/// How long a line of the access log waits for others to be written with.
pub const ACCESS_LOG_FLUSH: Duration = Duration::from_secs(1);

/// How often a request is sent again at most, whatever its upstream says.
pub const MAX_RETRIES: usize = 128;

/// Bytes of a request's body that are kept while it is sent, so that it can be sent
/// again; a longer one is sent once (nginx keeps all of any body, on disk).
pub const REPEATED_BODY: usize = 64 << 10;

/// Twice the bytes of such bodies of all requests of one worker.
pub const REPEATED_BODIES: usize = 32 << 20;

/// For how long the addresses of a name are used without looking it up again.
pub const NAME_VALID: Duration = Duration::from_secs(5);

/// For how long an address that a name had is taken for one that it has: servers often
/// tell only some of them at a time.
pub const NAME_KEPT: Duration = Duration::from_secs(60);

/// For how long the addresses of a name are used while it cannot be looked up.
pub const NAME_STALE: Duration = Duration::from_secs(3600);

/// Names that a worker remembers, before it forgets those that nobody has used of late.
pub const MAX_NAMES: usize = 4096;

/// How often it is looked for other upstreams whose health is to be checked.
pub const SNAPSHOT_LOOK: Duration = Duration::from_millis(200);

/// Bytes of an answer to a health check up to the end of its first line.
pub const PROBE_HEAD: usize = 8 << 10;

/// Bytes that are read at once of a connection that has left HTTP.
pub const TUNNEL_CHUNK: usize = 16 << 10;

/// Reads and writes of one direction before other connections have their turn.
pub const TUNNEL_TURN: usize = 32;

/// Sessions over TLS that clients may take up again, of all certificates together; each
/// is some hundred bytes, and those with a client's certificate have that too.
pub const TLS_SESSIONS: usize = 16 << 10;

/// Parts of their memory, of which a handshake locks one.
pub const TLS_SESSION_SHARDS: usize = 16;

/// How long the log says nothing more of handshakes that came to nothing for want of a
/// certificate, once it has told of one.
pub const TLS_LOG_PAUSE: Duration = Duration::from_secs(1);

/// Requests of one connection of HTTP/2 at a time (nginx's `http2_max_concurrent_streams`).
pub const HTTP2_STREAMS: u32 = 128;

/// Bytes of a request's body that may be on their way, before they are wanted.
pub const HTTP2_STREAM_WINDOW: u32 = 128 << 10;

/// The same of all requests of one connection.
pub const HTTP2_CONNECTION_WINDOW: u32 = 1 << 20;

/// Bytes of a frame that a client may send (the protocol's least).
pub const HTTP2_FRAME: u32 = 16 << 10;

/// Bytes of a response that wait to be sent.
pub const HTTP2_SEND_BUFFER: usize = 128 << 10;

/// Requests that were taken back before they were looked at, at a time; more end the
/// connection.
pub const HTTP2_PENDING_RESETS: usize = 20;

/// Faults of single requests that a connection may have.
pub const HTTP2_STREAM_ERRORS: usize = 256;

/// Requests of one connection that may be taken back before they have a response,
/// whatever became of others. More are abuse if they are more than every second.
pub const HTTP2_RESETS: u64 = 100;
