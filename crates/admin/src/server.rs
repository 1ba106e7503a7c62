//! An HTTP server of few, patient clients: bounded in connections and time.
//!
//! Deliberately absent: everything that makes the proxy fast. One task per
//! connection on the control thread is enough here.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arc_swap::{ArcSwap, ArcSwapOption};
pub use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use http::StatusCode;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tower_service::Service;

use crate::answer;
use crate::limits;
use crate::tls::{Stream, Tls};

/// An address that is listened on; nobody is answered yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Listens. Must be called in a tokio runtime with I/O.
    ///
    /// # Errors
    /// The address cannot be had.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // A predecessor's closed connections do not keep the port; a process
        // that listens does.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(limits::BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens, with the port that the system may have chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers with `router`, over TLS if `tls` is there, until the [`Serving`] is stopped or
    /// dropped. Handlers find the client's address as `ConnectInfo<Peer>`.
    pub fn serve(self, router: Router, tls: Option<Tls>) -> Serving {
        let tls = Arc::new(ArcSwapOption::from_pointee(tls));
        let listener = Gate {
            tls: Arc::clone(&tls),
            listener: self.listener,
            room: Arc::new(Semaphore::new(limits::CONNECTIONS)),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let content = Arc::new(ArcSwap::from_pointee(router));
        let router = Router::new()
            .fallback(answer_by)
            .with_state(Arc::clone(&content));
        let router = router.layer(middleware::from_fn(in_time));
        let service = router.into_make_service_with_connect_info::<Peer>();
        let server = axum::serve(listener, service).with_graceful_shutdown(async {
            // A dropped sender stops it too.
            let _ = stopped.await;
        });
        let task = tokio::spawn(async move {
            // It ends when it is told to, and has no error to report.
            let _ = server.await;
        });
        Serving {
            address: self.address,
            content,
            tls,
            work: Work { stop, task },
        }
    }
}

/// A server that runs.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    content: Arc<Content>,
    tls: Arc<ArcSwapOption<Tls>>,
    work: Work,
}

/// What runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Work {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What requests that begin now are answered by.
type Content = ArcSwap<Router>;

async fn answer_by(State(content): State<Arc<Content>>, request: Request) -> Response {
    let mut router = Router::clone(&content.load());
    match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

impl Serving {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests that begin from now on with `router`, those of connections that
    /// are open already included. Connections that begin from now on are over TLS if
    /// `tls` is there.
    pub fn replace(&self, router: Router, tls: Option<Tls>) {
        self.content.store(Arc::new(router));
        self.tls.store(tls.map(Arc::new));
    }

    /// Whether connections that begin now are over TLS.
    pub fn is_secure(&self) -> bool {
        self.tls.load().is_some()
    }

    /// Lets requests under way end, for at most [`limits::STOP`].
    pub async fn stop(self) {
        self.work.stop().await;
    }
}

impl Work {
    /// Has this run.
    pub fn of(run: impl Future<Output = ()> + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async {
            tokio::select! {
                () = run => {}
                // A dropped sender stops it too.
                _ = stopped => {}
            }
        });
        Self { stop, task }
    }

    /// Lets it end, for at most [`limits::STOP`].
    pub async fn stop(self) {
        drop(self.stop);
        let mut task = self.task;
        if timeout(limits::STOP, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// A client's address.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, Gate>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Gate>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Ends a request that takes too long, be it the client or we who do.
async fn in_time(request: Request, next: Next) -> Response {
    match timeout(limits::ANSWER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => answer::error(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("it took longer than {:?}", limits::ANSWER),
        ),
    }
}

/// Lets so many connections in at a time.
struct Gate {
    tls: Arc<ArcSwapOption<Tls>>,
    listener: TcpListener,
    room: Arc<Semaphore>,
}

impl Listener for Gate {
    type Io = Visitor;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visitor, SocketAddr) {
        let permit = Arc::clone(&self.room).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let stream = Stream::new(stream, self.tls.load().as_deref());
                    return (Visitor::new(stream, permit), address);
                }
                Err(error) => {
                    tracing::debug!("cannot accept a connection: {error}");
                    sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when it is silent for too long.
struct Visitor {
    stream: Stream,
    silence: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Visitor {
    fn new(stream: Stream, permit: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            silence: Box::pin(sleep(limits::IDLE)),
            _permit: permit,
        }
    }

    /// `result`, unless it is that of waiting for too long.
    fn timed<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.silence.as_mut().reset(Instant::now() + limits::IDLE);
            return result;
        }
        ready!(self.silence.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Visitor {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.timed(context, result)
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.timed(context, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
