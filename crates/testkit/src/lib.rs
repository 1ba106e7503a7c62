//! Counterparts for tests: a host for those of plugins and runners, a runner for
//! those of hosts.
//!
//! # For authors of plugins: [`FakeHost`]
//! Sends a plugin requests and responses as a gateway does, answers what it asks,
//! and tells what it made of them. It needs neither a gateway nor a socket:
//! ```
//! # use outrigger_runner::{Plugin, Request, Result, Runner};
//! use outrigger_testkit::FakeHost;
//! use serde_json::json;
//!
//! # struct Say;
//! # #[derive(serde::Deserialize)]
//! # struct Conf { body: String }
//! # impl Plugin for Say {
//! #     type Conf = Conf;
//! #     fn name(&self) -> &str { "say" }
//! #     async fn request(&self, conf: &Conf, request: &mut Request) -> Result {
//! #         request.stop(200).body(conf.body.clone());
//! #         Ok(())
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let runner = Runner::new().plugin(Say);
//! let mut host = FakeHost::new(runner).prepare("say", json!({"body": "hi"}));
//! let answer = host.request("GET", "/x").header("accept", "*/*").send().await.expect_stop();
//! assert_eq!(answer.text(), "hi");
//! # }
//! ```
//! [`FakeHost::at`] does the same with any runner that listens on a unix socket,
//! whatever it is written in.
//!
//! # For authors of hosts: [`FakeRunner`]
//! Listens on a unix socket and behaves well, until a test says otherwise: an
//! [`Answer`] sends messages, rubbish, too much, too little, too slowly, or
//! nothing. What came is recorded. It speaks in messages and bytes, and shares
//! no code with the real runner.
//!
//! # For both: [`FrameStream`]
//! One end of a connection that sends any bytes it is given and receives frames.
//!
//! Everything works on any tokio runtime. Methods whose names begin with `expect`
//! panic where a test is to fail; nothing else does on account of a peer.

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
