//! Runs one plugin runner as a child process and keeps it running.
//!
//! [`Supervisor::start`] takes a [`Spec`] and an [`Observer`]. From then on a
//! process of the runner exists or is about to: it is spawned with exactly the
//! environment it is given, watched until it listens, its output is handed on
//! line by line, and when it exits another one follows after a growing delay.
//! Each process is a [`Generation`] with a socket path of its own, so that a
//! restart can overlap: the successor listens before its predecessor is stopped.
//!
//! What this crate deliberately does not do: it writes no log (it reports
//! [`Event`]s), it speaks no protocol (being ready means accepting a
//! connection), it reads no environment variable, it installs no signal handler,
//! and it never gives up (an operator does, through [`Handle::stop`]).
//!
//! # The layout
//! `machine` decides, in simulated time if need be; `driver` carries out what it
//! decided; `process` looks after one child; `launch` and `between` bring it to
//! life; `lookup` finds the program; `socket` owns the path; `lines` cuts output.
//!
//! # Platform
//! Linux. The death of the child with the gateway and the closing of inherited
//! descriptors have no portable form.

mod between;
mod driver;
mod error;
mod event;
mod group;
mod handle;
mod launch;
mod limits;
mod lines;
mod lookup;
mod machine;
mod process;
mod socket;
mod spec;
mod status;

pub use error::{EmptyCommand, SpawnError};
pub use event::{Event, Exit, Observer, Stream, Trouble};
pub use handle::{Drainer, Handle, Supervisor};
pub use spec::{Argv, Backoff, Generation, SocketPath, Spec};
pub use status::{State, Status};
