//! A client's connection, with TLS or without, with what the HTTP library leaves
//! open: how long the client may take to receive, and a close that does not cut off the
//! answer.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::finish::Outgoing;
use crate::head_limit::Awaited;
use crate::head_watch::HeadWatch;
use crate::limits::{GATHER, HEAD_CHUNK, LINGER, LINGER_CHUNK, LINGER_IDLE};

/// Whether a request's body is left unread: more of it may come after the
/// response. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Unread(Rc<Cell<bool>>);

impl Unread {
    pub(crate) fn set(&self, unread: bool) {
        self.0.set(unread);
    }

    pub(crate) fn get(&self) -> bool {
        self.0.get()
    }
}

pub(crate) struct ClientStream<S> {
    io: TokioIo<S>,
    /// What has been read before anybody knew what it is; comes first.
    ahead: Vec<u8>,
    send_timeout: Duration,
    /// Set while the client does not take what is there for it.
    stuck: Option<Pin<Box<Sleep>>>,
    unread: Unread,
    outgoing: Rc<Outgoing>,
    lingering: Option<Linger>,
    awaited: Awaited,
    watch: HeadWatch,
    ambiguous: Ambiguous,
    turn: Turn,
    /// The turn in which there was last nothing to read.
    dry: Option<u64>,
    /// Where small pieces are put together.
    gathered: Vec<u8>,
}

/// Counts how often the connection's task has had its turn. The runtime looks for
/// news of sockets between turns only: one that had nothing to read has nothing
/// for the rest of the turn, however often the HTTP library asks. Clones are
/// the same.
#[derive(Clone, Default)]
pub(crate) struct Turn(Rc<Cell<u64>>);

impl Turn {
    pub(crate) fn begin(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Whether the head that came last has both `Content-Length` and
/// `Transfer-Encoding`. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Ambiguous(Rc<Cell<bool>>);

impl Ambiguous {
    pub(crate) fn get(&self) -> bool {
        self.0.get()
    }
}

/// A socket that is closed while the peer still sends answers with a reset,
/// and a reset takes away what the peer has not read yet: the response. So
/// what the peer sends is read for a while, and thrown away.
struct Linger {
    until: Instant,
    quiet: Pin<Box<Sleep>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientStream<S> {
    pub(crate) fn new(
        stream: S,
        send_timeout: Duration,
        unread: Unread,
        outgoing: Rc<Outgoing>,
        awaited: Awaited,
    ) -> Self {
        ClientStream {
            io: TokioIo::new(stream),
            ahead: Vec::new(),
            send_timeout,
            stuck: None,
            unread,
            outgoing,
            lingering: None,
            awaited,
            watch: HeadWatch::default(),
            ambiguous: Ambiguous::default(),
            turn: Turn::default(),
            dry: None,
            gathered: Vec::new(),
        }
    }

    /// The bytes as they are, once HTTP has been left, and those of them that were read
    /// already.
    pub(crate) fn into_inner(self) -> (S, Vec<u8>) {
        (self.io.into_inner(), self.ahead)
    }

    /// To be told when a turn begins.
    pub(crate) fn turn(&self) -> Turn {
        self.turn.clone()
    }

    /// What is seen in heads that come.
    pub(crate) fn ambiguous(&self) -> Ambiguous {
        self.ambiguous.clone()
    }

    /// Reads ahead until it is clear whether what comes begins with `preface`.
    pub(crate) async fn begins_with(&mut self, preface: &[u8]) -> io::Result<bool> {
        loop {
            let known = self.ahead.len().min(preface.len());
            if self.ahead[..known] != preface[..known] {
                return Ok(false);
            }
            if known == preface.len() {
                return Ok(true);
            }
            self.ahead.reserve(HEAD_CHUNK);
            if self.io.inner_mut().read_buf(&mut self.ahead).await? == 0 {
                return Ok(false);
            }
        }
    }

    /// Reads into `buf`, first what was read ahead.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(self.io.inner_mut()).poll_read(cx, buf);
        }
        self.take_ahead(buf.remaining(), |bytes| buf.put_slice(bytes));
        Poll::Ready(Ok(()))
    }

    /// Has `put` take what was read ahead, `room` bytes at most.
    fn take_ahead(&mut self, room: usize, put: impl FnOnce(&[u8])) {
        let count = self.ahead.len().min(room);
        put(&self.ahead[..count]);
        self.ahead.drain(..count);
        if self.ahead.is_empty() {
            self.ahead = Vec::new();
        }
    }

    /// Reads while a head is waited for, and looks at it.
    fn poll_read_head(
        &mut self,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
        round: u64,
    ) -> Poll<io::Result<()>> {
        let mut chunk = [MaybeUninit::uninit(); HEAD_CHUNK];
        let room = buf.remaining().min(HEAD_CHUNK);
        let mut chunk = ReadBuf::uninit(&mut chunk[..room]);
        ready!(self.poll_fill(cx, &mut chunk))?;
        let read = chunk.filled();
        if !read.is_empty() {
            self.awaited.heard();
            self.ambiguous.0.set(self.watch.read(round, read));
        }
        buf.put_slice(read);
        Poll::Ready(Ok(()))
    }

    /// Writes pieces that are small together as one: copying them costs less
    /// than telling the system of each.
    fn poll_write_all(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if length > GATHER {
            return Write::poll_write_vectored(Pin::new(&mut self.io), cx, slices);
        }
        self.gathered.clear();
        for slice in slices {
            self.gathered.extend_from_slice(slice);
        }
        Write::poll_write(Pin::new(&mut self.io), cx, &self.gathered)
    }

    fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        sent: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.stuck = None;
            return sent;
        }
        let limit = self.send_timeout;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stuck.as_mut().poll(cx));
        let error = "the client does not take the response";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, error)))
    }

    /// Ready once the client has closed its side, or long enough was waited
    /// for that.
    fn poll_lingered(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(something) = self.poll_discard(cx) {
            if !something || self.linger().is_over() {
                return Poll::Ready(());
            }
        }
        if self.lingering.is_none() && !self.unread.0.get() {
            return Poll::Ready(());
        }
        let lingering = self.lingering.get_or_insert_with(Linger::new);
        lingering.quiet.as_mut().poll(cx)
    }

    /// Whether something came, and not the end.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut chunk = [MaybeUninit::uninit(); LINGER_CHUNK];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        let read = ready!(Pin::new(self.io.inner_mut()).poll_read(cx, &mut chunk));
        Poll::Ready(read.is_ok() && !chunk.filled().is_empty())
    }

    /// Something came just now.
    fn linger(&mut self) -> &Linger {
        let lingering = self.lingering.get_or_insert_with(Linger::new);
        lingering.go_on();
        lingering
    }
}

impl Linger {
    fn new() -> Self {
        let now = Instant::now();
        Linger {
            until: now + LINGER,
            quiet: Box::pin(sleep_until(now + LINGER_IDLE)),
        }
    }

    fn go_on(&mut self) {
        let quiet = Instant::now() + LINGER_IDLE;
        self.quiet.as_mut().reset(quiet.min(self.until));
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Read for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let turn = self.turn.0.get();
        if self.dry == Some(turn) {
            // The task is woken by what comes: this turn's first look saw to it.
            return Poll::Pending;
        }
        let read = match self.awaited.round() {
            Some(round) => self.poll_read_head(cx, buf, round),
            None if !self.ahead.is_empty() => {
                self.take_ahead(buf.remaining(), |bytes| buf.put_slice(bytes));
                Poll::Ready(Ok(()))
            }
            None => Pin::new(&mut self.io).poll_read(cx, buf),
        };
        if read.is_pending() {
            self.dry = Some(turn);
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Write::poll_write(Pin::new(&mut self.io), cx, bytes);
        if let Poll::Ready(Ok(count)) = sent {
            self.outgoing.took(&[io::IoSlice::new(bytes)], count);
        }
        self.in_time(cx, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = self.poll_write_all(cx, slices);
        if let Poll::Ready(Ok(count)) = sent {
            self.outgoing.took(slices, count);
        }
        self.in_time(cx, sent)
    }

    fn is_write_vectored(&self) -> bool {
        Write::is_write_vectored(&self.io)
    }

    /// A socket keeps nothing back that could be flushed, TLS may; the HTTP library
    /// does not when it asks for this.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(self.io.inner_mut()).poll_flush(cx);
        if flushed.is_pending() {
            return self.in_time(cx, flushed);
        }
        self.outgoing.flushed();
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(AsyncWrite::poll_shutdown(Pin::new(self.io.inner_mut()), cx))?;
        }
        self.poll_lingered(cx).map(Ok)
    }
}
