//! Tests against real processes: the gateway, an upstream, a client that shows
//! exactly what came back.
//!
//! ```no_run
//! use outrigger_harness::{Gateway, Upstream};
//!
//! let upstream = Upstream::echo();
//! let gateway = Gateway::build()
//!     .routes(format!(
//!         "routes: [{{uri: /hello, upstream: {{nodes: {{'{}': 1}}}}}}]",
//!         upstream.node()
//!     ))
//!     .start();
//!
//! let response = gateway.get("/hello").send();
//! assert_eq!(response.status, 200);
//! assert_eq!(response.text(), "hello world\n");
//! assert_eq!(upstream.last().header("x-forwarded-proto"), Some("http"));
//! ```
//!
//! Ports are chosen by the system, files lie in temporary folders, conditions
//! are waited for, and whatever was started is gone when its value is dropped.
//! A broken expectation of the harness itself is a panic, since a test could do
//! nothing else about it.
//!
//! Deliberately absent: any code of the gateway. What speaks HTTP here is
//! written apart from it, small and strict, so that the two cannot be wrong
//! alike.

mod client;
mod etcd;
mod gateway;
mod headers;
pub mod limits;
mod output;
mod processes;
mod program;
mod tls;
mod traffic;
mod upstream;
mod wait;
mod wire;

pub use client::{Client, ClientError, Connection, Request, Response, together};
pub use etcd::Etcd;
pub use gateway::{Document, Gateway, GatewayBuilder};
pub use headers::{Header, Headers};
pub use output::Output;
pub use processes::{Process, Signal};
pub use program::{Exit, Program, Running};
pub use tls::{Authority, Certified, Secured, TlsServer};
pub use traffic::{Tally, Traffic};
pub use upstream::{Deaf, RawConnection, Received, Upstream};
pub use wait::{eventually, until};
pub use wire::WireError;
