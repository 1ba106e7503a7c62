//! Counterparts for tests: a host for those of plugins and runners, a runner for
//! those of hosts.
mod answer;
mod calls;
mod fake_host;
mod fake_runner;
mod fields;
mod frames;
pub mod limits;
mod outcome;

pub use answer::{Answer, Gate};
pub use calls::{RequestCall, ResponseCall};
pub use fake_host::FakeHost;
pub use fake_runner::{FakeRunner, History, Received};
pub use fields::{Field, Fields};
pub use frames::{FrameStream, OwnedFrame, frame};
pub use outcome::{Asked, Failure, Outcome, RequestVerdict, ResponseChange, Rewritten, Stopped};
