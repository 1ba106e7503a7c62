//! One client connection from its acceptance to its end: over TLS or not, of HTTP/1 or of
//! HTTP/2.
//!
//! Here is HTTP/1: requests come one after the other, each answered by the handler,
//! until either side ends it.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use hyper::server::conn::http1::{self, Parts};
use hyper::service::service_fn;
use outrigger_engine::exchange::Client;
use outrigger_engine::tls_session::TlsSession;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client_stream::{ClientStream, Unread};
use crate::drain::Member;
use crate::finish::Outgoing;
use crate::handler::{self, Seen};
use crate::head_limit::{HeadLimit, Limits};
use crate::http2;
use crate::limits::TLS_LOG_PAUSE;
use crate::settings::{ConnectionSettings, Settings};
use crate::terms::Terms;
use crate::tls::{self, NotSecured, Secured};
use crate::upstream::{Stream, Tunnel};
use crate::worker::Worker;

/// How a connection has come.
pub(crate) struct Arrival {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// Whether it may be of HTTP/2.
    pub(crate) http2: bool,
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

/// A connection with all that lasts as long as it does.
pub(crate) struct Guest {
    pub(crate) client: Rc<Client>,
    pub(crate) accepted: Rc<Accepted>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) member: Member,
}

/// Which protocol a connection is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
    /// What it begins with says so.
    Either,
}

/// Serves a connection without TLS.
pub(crate) async fn serve(stream: TcpStream, arrival: Arrival, worker: Rc<Worker>) {
    let _counted = worker.metrics.connected();
    let number = worker.number_connection();
    let member = worker.drain.join(number);
    let protocol = match arrival.http2 {
        true => Protocol::Either,
        false => Protocol::Http1,
    };
    let guest = guest(arrival, number, member, None, &worker);
    serve_stream(stream, protocol, guest, Rc::clone(&worker)).await;
}

/// Serves a connection over TLS.
pub(crate) async fn serve_tls(stream: TcpStream, arrival: Arrival, worker: Rc<Worker>) {
    let _counted = worker.metrics.connected();
    let number = worker.number_connection();
    let mut member = worker.drain.join(number);
    let Some(secured) = secure(stream, &arrival, &mut member, &worker).await else {
        return;
    };
    let protocol = match secured.http2 {
        true => Protocol::Http2,
        false => Protocol::Http1,
    };
    let guest = guest(arrival, number, member, Some(secured.session), &worker);
    serve_stream(secured.stream, protocol, guest, Rc::clone(&worker)).await;
}

/// The handshake, as long as it may take and the worker serves. A client that has not
/// said what it wants loses nothing.
async fn secure(
    stream: TcpStream,
    arrival: &Arrival,
    member: &mut Member,
    worker: &Worker,
) -> Option<Secured> {
    let terms = worker.terms();
    let find = |name: &str| {
        let snapshot = worker.current.get();
        snapshot.certificates().find(name).map(Arc::clone)
    };
    let handshake = tls::accept(stream, &terms.tls, find, arrival.http2);
    let limit = terms.settings.connections.head_timeout;
    let mut handshake = pin!(timeout(limit, handshake));
    let ended = poll_fn(|cx| {
        if let Poll::Ready(ended) = handshake.as_mut().poll(cx) {
            return Poll::Ready(Some(ended));
        }
        if member.poll_draining(cx) {
            return Poll::Ready(None);
        }
        Poll::Pending
    });
    let peer = arrival.peer;
    match ended.await? {
        Ok(Ok(secured)) => return Some(secured),
        Ok(Err(error @ NotSecured::Client(_))) => tracing::debug!(%peer, "{error}"),
        Ok(Err(error)) => {
            if let Some(left_out) = worker.uncertified.let_through(TLS_LOG_PAUSE) {
                tracing::warn!(%peer, left_out, "{error}");
            }
        }
        Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
    }
    None
}

fn guest(
    arrival: Arrival,
    number: u64,
    member: Member,
    session: Option<TlsSession>,
    worker: &Worker,
) -> Guest {
    let Arrival {
        peer,
        local,
        closed,
        ..
    } = arrival;
    let (settings, accepted) = begin(worker, closed);
    let trusted = trusts(&settings.connections, peer.ip());
    let scheme = match session {
        Some(_) => "https",
        None => "http",
    };
    let client = Client::new(peer, local, scheme, number, trusted);
    let client = client.told_by(settings.connections.real_ip.as_ref());
    let client = match session {
        Some(session) => client.secured(session),
        None => client,
    };
    Guest {
        client: Rc::new(client),
        accepted: Rc::new(accepted),
        settings,
        member,
    }
}

async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    protocol: Protocol,
    mut guest: Guest,
    worker: Rc<Worker>,
) {
    let settings = &guest.settings.connections;
    let head_limit = HeadLimit::new(Limits {
        head: settings.head_timeout,
        idle: settings.idle_timeout,
    });
    let unread = Unread::default();
    let outgoing = Rc::new(Outgoing::new(Rc::clone(&guest.client), Rc::clone(&worker)));
    let mut stream = ClientStream::new(
        stream,
        settings.send_timeout,
        unread.clone(),
        Rc::clone(&outgoing),
        head_limit.awaited(),
    );
    let http2 = match protocol {
        Protocol::Http1 => false,
        Protocol::Http2 => true,
        Protocol::Either => match begins_http2(&mut stream, &mut guest).await {
            Some(http2) => http2,
            None => return,
        },
    };
    if http2 {
        // Clients have something to say to the very end.
        unread.set(true);
        http2::serve(stream, guest, worker).await;
    } else {
        serve_http1(stream, unread, outgoing, head_limit, guest, worker).await;
    }
}

/// Whether a connection begins as one of HTTP/2; none if it does not begin.
async fn begins_http2<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut ClientStream<S>,
    guest: &mut Guest,
) -> Option<bool> {
    let limit = guest.settings.connections.head_timeout;
    let mut begins = pin!(timeout(limit, stream.begins_with(http2::PREFACE)));
    let begins = poll_fn(|cx| {
        if let Poll::Ready(begins) = begins.as_mut().poll(cx) {
            return Poll::Ready(begins.ok());
        }
        if guest.member.poll_draining(cx) {
            return Poll::Ready(None);
        }
        Poll::Pending
    });
    begins.await?.ok()
}

async fn serve_http1<S: AsyncRead + AsyncWrite + Unpin>(
    stream: ClientStream<S>,
    unread: Unread,
    outgoing: Rc<Outgoing>,
    mut head_limit: HeadLimit,
    guest: Guest,
    worker: Rc<Worker>,
) {
    let Guest {
        client,
        accepted,
        settings,
        mut member,
    } = guest;
    let settings = &settings.connections;
    let mut builder = http1::Builder::new();
    builder
        .timer(head_limit.timer())
        .header_read_timeout(settings.head_timeout)
        .keep_alive(!settings.idle_timeout.is_zero())
        .max_buf_size(settings.max_head.max(MIN_BUFFER))
        .max_header_size(settings.max_head);
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
        let (client, ahead) = io.into_inner();
        let early = match ahead.is_empty() {
            true => read_buf,
            false => [&*read_buf, &ahead].concat().into(),
        };
        leave_http(*tunnel, client, early, &outgoing).await;
    }
    outgoing.closed();
    if let Err(error) = ended {
        // The client's doing: it went away, or sent what is no HTTP and was
        // told so.
        let peer = client.peer;
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
async fn leave_http<S: AsyncRead + AsyncWrite + Unpin>(
    tunnel: Tunnel<Stream>,
    client: S,
    early: Bytes,
    outgoing: &Outgoing,
) {
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
