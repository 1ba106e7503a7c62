//! One client connection: requests come one after the other, each answered by
//! the handler, until either side ends it.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use hyper::server::conn::http1::{self, Parts};
use hyper::service::service_fn;
use outrigger_engine::exchange::Client;
use tokio::net::TcpStream;

use crate::client_stream::{ClientStream, Unread};
use crate::finish::Outgoing;
use crate::handler::{self, Seen};
use crate::head_limit::{HeadLimit, Limits};
use crate::settings::{ConnectionSettings, Settings};
use crate::terms::Terms;
use crate::upstream::{Stream, Tunnel};
use crate::worker::Worker;

/// How a connection has come.
pub(crate) struct Arrival {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// Set once its address is not listened on any more.
    pub(crate) closed: Rc<Cell<bool>>,
}

/// What a connection has begun with.
pub(crate) struct Accepted {
    edition: u64,
    closed: Rc<Cell<bool>>,
}

impl Accepted {
    /// Whether a connection would not begin like this any more by `newest`. It
    /// ends after a response then, which tells the client: to close it while it is
    /// idle could lose a request that is on its way.
    pub(crate) fn is_outdated(&self, newest: &Terms) -> bool {
        self.edition != newest.edition || self.closed.get()
    }
}

pub(crate) async fn serve(stream: TcpStream, arrival: Arrival, worker: Rc<Worker>) {
    let Arrival {
        peer,
        local,
        closed,
    } = arrival;
    let number = worker.number_connection();
    let _counted = worker.metrics.connected();
    let (settings, accepted) = begin(&worker, closed);
    let settings = &settings.connections;
    let trusted = trusts(settings, peer.ip());
    let client = Client::new(peer, local, "http", number, trusted);
    let client = Rc::new(client.told_by(settings.real_ip.as_ref()));
    let mut member = worker.drain.join(number);
    let mut head_limit = HeadLimit::new(Limits {
        head: settings.head_timeout,
        idle: settings.idle_timeout,
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(head_limit.timer())
        .header_read_timeout(settings.head_timeout)
        .keep_alive(!settings.idle_timeout.is_zero())
        .max_buf_size(settings.max_head.max(MIN_BUFFER))
        .max_header_size(settings.max_head);
    let unread = Unread::default();
    let outgoing = Rc::new(Outgoing::new(Rc::clone(&client), Rc::clone(&worker)));
    let stream = ClientStream::new(
        stream,
        settings.send_timeout,
        unread.clone(),
        Rc::clone(&outgoing),
        head_limit.awaited(),
    );
    let (ambiguous, turn) = (stream.ambiguous(), stream.turn());
    let service = service_fn(|request| {
        let (client, worker) = (Rc::clone(&client), Rc::clone(&worker));
        let seen = Seen {
            arrival: &accepted,
            unread: &unread,
            ambiguous: &ambiguous,
        };
        handler::handle(request, client, worker, seen, &outgoing)
    });
    let mut connection = builder.serve_connection(stream, service);
    let mut told = false;
    let serving = poll_fn(|cx| {
        turn.begin();
        if member.poll_draining(cx) && !told {
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        let ended = Pin::new(&mut connection).poll(cx);
        if ended.is_pending() && head_limit.poll_overdue(cx).is_ready() {
            return Pin::new(&mut connection).poll(cx);
        }
        ended
    });
    let ended = serving.await;
    if let (Some(tunnel), Ok(())) = (outgoing.switched.take(), &ended) {
        let Parts { io, read_buf, .. } = connection.into_parts();
        leave_http(*tunnel, io.into_inner(), read_buf, &outgoing).await;
    }
    outgoing.closed();
    if let Err(error) = ended {
        // The client's doing: it went away, or sent what is no HTTP and was
        // told so.
        tracing::debug!(%peer, %error, "a client connection ended early");
    }
}

/// Whether a client is believed about whom it speaks for.
fn trusts(settings: &ConnectionSettings, peer: IpAddr) -> bool {
    let mut trusted = settings.trusted.iter();
    trusted.any(|range| range.contains(peer))
}

/// Serves the rest of a connection on which HTTP is over; the client has sent
/// `early` of it already.
async fn leave_http(tunnel: Tunnel<Stream>, client: TcpStream, early: Bytes, outgoing: &Outgoing) {
    let ended = tunnel.run(client, early, |count| outgoing.passed(count));
    let ended = ended.await;
    outgoing.left(ended.is_ok());
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection that had left HTTP ended early");
    }
}

/// The settings of a connection, which keeps nothing else of its first terms.
fn begin(worker: &Worker, closed: Rc<Cell<bool>>) -> (Arc<Settings>, Accepted) {
    let terms = worker.terms();
    let edition = terms.edition;
    (Arc::clone(&terms.settings), Accepted { edition, closed })
}

/// The least that the HTTP library takes for its buffer.
const MIN_BUFFER: usize = 8192;
