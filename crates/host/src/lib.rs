//! The gateway's side of a plugin runner: calls, connections, conf tokens.
//!
//! A [`Runner`] is one configured runner, shared by all worker threads; the
//! control thread tells it where its processes listen. A [`Conf`] is what one
//! route says to a runner's plugins; it is prepared once at each process, and
//! named by a token there from then on. [`Connections`] belong to one worker
//! thread and make the calls; while a call runs, its [`Answers`] reply to the
//! runner's questions.
//!
//! A call needs a place among the runner's calls (`admission`), the circuit
//! breaker's leave (`breaker`), then a seat at the least busy process, a token
//! and a connection (`ready`). It is sent again where its connection dies
//! (`attempts`), and waits where no process listens.
//!
//! What happens is told to an [`Observer`]; what goes wrong with a call is a
//! [`CallError`], which ends that call and its connection, and nothing else.
//! Everything a runner sends is untrusted.
//!
//! Architecture invariants
//! - No lock and no thread hop on the way of a call whose configuration is
//!   prepared: what workers share is read through atomic pointers.
//! - A token is only ever sent to the process that gave it.
//! - A process that is [drained](Retired::drained) is never called again.
//! - A connection is used again only if nothing is left unread or unsent on it.
//!   Whatever ends a call early, dropping its future included, closes it.
//!
//! Deliberately absent: the runner's process (that is the supervisor's), HTTP,
//! and what an answer means for a request.

mod admission;
mod ahead;
mod attempts;
mod breaker;
mod buffered;
mod call;
mod clock;
mod close;
mod conf;
mod connection;
mod connections;
pub mod error;
mod extra_info;
mod flight;
mod follow;
pub mod limits;
mod log_call;
mod observer;
mod options;
mod pool;
mod process;
mod ready;
mod runner;
mod settings;
mod status;
mod target;
mod token;

/// The protocol's messages, which calls and errors are made of.
pub use outrigger_a6 as a6;

pub use breaker::BreakerState;
pub use close::CloseReason;
pub use conf::Conf;
pub use connections::Connections;
pub use error::{BodyError, CallError, Overload, Stage};
pub use extra_info::Answers;
pub use log_call::LogCall;
pub use observer::{Event, Observer};
pub use options::{CallOptions, CallStats};
pub use runner::Runner;
pub use settings::{BreakerSettings, Limits, Settings, Timeouts};
pub use status::{InstanceStatus, RunnerStatus};
pub use target::{Absence, Retired};
