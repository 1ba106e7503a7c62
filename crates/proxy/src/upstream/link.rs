//! One connection to an upstream node. There is no task of its own behind it:
//! whoever waits for its response drives it.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Waker};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use outrigger_engine::body::Body;
use std::time::Instant;
use tokio::net::TcpStream;

type Connection = http1::Connection<TokioIo<TcpStream>, Body>;

pub(crate) struct Link {
    sender: http1::SendRequest<Body>,
    connection: Pin<Box<Connection>>,
    /// Set once the connection has nothing more to do; it must not be polled
    /// again.
    ended: bool,
    /// How many responses have come on it.
    pub(crate) served: u64,
    /// When it was last put aside.
    pub(crate) idle_since: Instant,
    pub(crate) peer: SocketAddr,
}

impl Link {
    pub(crate) async fn new(stream: TcpStream, peer: SocketAddr) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new()
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Link {
            sender,
            connection: Box::pin(connection),
            ended: false,
            served: 0,
            idle_since: Instant::now(),
            peer,
        })
    }

    /// Lets the connection read and write as far as it can. True once it has
    /// ended; the pending response or body part then tells why.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.ended {
            self.ended = self.connection.as_mut().poll(cx).is_ready();
        }
        self.ended
    }

    /// Whether a request can be sent, as far as is known: that the node has
    /// closed the connection may show only when it is driven.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ended && self.sender.is_ready()
    }

    /// Looks whether the node has closed the connection. Also rids it of the
    /// waker of whoever drove it last.
    pub(crate) fn probe(&mut self) -> bool {
        !self.drive(&mut Context::from_waker(Waker::noop())) && self.sender.is_ready()
    }

    /// Sends a request and drives the connection until the response's head is
    /// there. Not cancel-safe: dropped midway, the link is of no more use.
    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        let (connection, ended) = (&mut self.connection, &mut self.ended);
        poll_fn(|cx| {
            if !*ended {
                *ended = connection.as_mut().poll(cx).is_ready();
            }
            // An ended connection has told the answer why.
            answer.as_mut().poll(cx)
        })
        .await
    }
}
