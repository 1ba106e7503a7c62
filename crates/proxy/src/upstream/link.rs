//! One connection to an upstream node. There is no task of its own behind it:
//! whoever waits for its response drives it.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use outrigger_engine::body::Body;
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use super::bell::Bell;
use crate::alarm::Alarm;

type Connection = http1::Connection<TokioIo<TcpStream>, Body>;

/// Why a response's head did not come.
pub(crate) enum Lost {
    /// The request was never written; here it is again.
    Unsent(Box<Request<Body>>),
    Broken,
    Timeout,
}

pub(crate) struct Link {
    sender: http1::SendRequest<Body>,
    /// Dropped as soon as it has ended: only then does a request learn of it
    /// that was handed over and never taken up.
    connection: Option<Pin<Box<Connection>>>,
    bell: Bell,
    /// For whatever of a response is waited for.
    pub(crate) alarm: Alarm,
    /// How many responses have come on it.
    pub(crate) served: u64,
    /// About when it was last in use.
    pub(crate) last_used: std::time::Instant,
    pub(crate) peer: SocketAddr,
}

impl Link {
    pub(crate) async fn new(stream: TcpStream, peer: SocketAddr) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new()
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Link {
            sender,
            connection: Some(Box::pin(connection)),
            bell: Bell::new(),
            alarm: Alarm::new(Instant::now()),
            served: 0,
            last_used: std::time::Instant::now(),
            peer,
        })
    }

    /// Lets the connection read and write as far as it can. True once it has
    /// ended; the pending response or body part then tells why.
    pub(crate) fn drive(&mut self) -> bool {
        if let Some(running) = &mut self.connection
            && running.as_mut().poll(&mut self.bell.answer()).is_ready()
        {
            self.connection = None;
        }
        self.connection.is_none()
    }

    /// Has the task woken when the connection is to be driven again.
    pub(crate) fn wait(&self, cx: &mut Context<'_>) {
        self.bell.wait(cx);
    }

    /// Whether a request can be sent, as far as is known: that the node has
    /// closed the connection may show only when it is driven.
    pub(crate) fn is_ready(&self) -> bool {
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Looks whether the node has closed the connection.
    pub(crate) fn probe(&mut self) -> bool {
        !self.drive() && self.sender.is_ready()
    }

    /// Sends a request and drives the connection until the response's head is
    /// there. `limit` counts from `now`, or from when `last_part` says that a part
    /// of the request's body last came. Not cancel-safe: dropped midway, the link
    /// is of no more use.
    pub(crate) fn send(
        &mut self,
        request: Request<Body>,
        now: std::time::Instant,
        limit: Duration,
        last_part: impl Fn() -> Option<Instant>,
    ) -> impl Future<Output = Result<Response<Incoming>, Lost>> {
        self.last_used = now;
        self.alarm.set(Instant::from_std(now) + limit);
        // Sent here and not by the future, which would have to carry it.
        let answer = self.sender.try_send_request(request);
        async move {
            // Only driving the link brings the answer, so nobody need be woken
            // for it; not even for want of the task's budget, hence without one.
            let mut answer = pin!(unconstrained(answer));
            let mut unwoken = Context::from_waker(Waker::noop());
            let answer = poll_fn(|cx| {
                // An ended connection has told the answer why.
                self.drive();
                if let Poll::Ready(answer) = answer.as_mut().poll(&mut unwoken) {
                    return Poll::Ready(Some(answer));
                }
                while self.alarm.poll(cx).is_ready() {
                    match last_part().map(|since| since + limit) {
                        Some(later) if later > Instant::now() => self.alarm.set(later),
                        _ => return Poll::Ready(None),
                    }
                }
                self.wait(cx);
                Poll::Pending
            });
            match answer.await {
                None => Err(Lost::Timeout),
                Some(Ok(head)) => Ok(head),
                Some(Err(mut error)) => match error.take_message() {
                    Some(unsent) => Err(Lost::Unsent(Box::new(unsent))),
                    None => {
                        tracing::debug!(error = %error.error(), "an upstream connection failed");
                        Err(Lost::Broken)
                    }
                },
            }
        }
    }
}
