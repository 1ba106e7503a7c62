//! A connection that has left HTTP: bytes pass between client and node, both ways,
//! until one of them has ended it or nothing has moved for too long.
//!
//! An idle tunnel holds no buffer. Deliberately absent: what the bytes mean.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use outrigger_engine::upstream::Busy;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::limits::{TUNNEL_CHUNK, TUNNEL_TURN};

/// The node's side, before there is a client's.
pub(crate) struct Tunnel<S> {
    node: S,
    /// What the node has said already.
    early: Bytes,
    /// How long nothing may move.
    idle: Duration,
    _busy: Option<Busy>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Tunnel<S> {
    pub(crate) fn new(node: S, early: Bytes, idle: Duration, busy: Option<Busy>) -> Self {
        Tunnel {
            node,
            early,
            idle,
            _busy: busy,
        }
    }

    /// Passes bytes on, of which the client has sent `early` already. `sent` is
    /// told how many the client has taken.
    ///
    /// # Errors
    /// A side broke off, or nothing has moved for too long.
    pub(crate) async fn run<C: AsyncRead + AsyncWrite + Unpin>(
        mut self,
        mut client: C,
        early: Bytes,
        mut sent: impl FnMut(usize),
    ) -> io::Result<()> {
        let mut up = Pipe::new(early);
        let mut down = Pipe::new(self.early);
        let mut alarm = Alarm::new(Instant::now() + self.idle);
        poll_fn(|cx| {
            let upwards = up.poll(cx, &mut client, &mut self.node)?;
            let downwards = down.poll(cx, &mut self.node, &mut client)?;
            sent(std::mem::take(&mut down.moved));
            if upwards.is_ready() && downwards.is_ready() {
                return Poll::Ready(Ok(()));
            }
            // Bytes that are only read have moved, too.
            if std::mem::take(&mut up.active) | std::mem::take(&mut down.active) {
                alarm.set(Instant::now() + self.idle);
            }
            ready!(alarm.poll(cx));
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        })
        .await
    }
}

/// One direction.
struct Pipe {
    /// What was read and could not be written at once.
    left: Vec<u8>,
    written: usize,
    stage: Stage,
    /// How many bytes were written since somebody last looked.
    moved: usize,
    /// Whether anything has happened since somebody last looked.
    active: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// The reader is at its end: the writer is to be told.
    Ended,
    Done,
}

impl Pipe {
    fn new(first: Bytes) -> Self {
        Pipe {
            left: first.into(),
            written: 0,
            stage: Stage::Open,
            moved: 0,
            active: false,
        }
    }

    /// Ready once the reader's end has been passed on.
    fn poll<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        // Whoever has much to say leaves room for others.
        for _ in 0..TUNNEL_TURN {
            match self.stage {
                Stage::Done => return Poll::Ready(Ok(())),
                _ if self.written < self.left.len() => ready!(self.poll_write(cx, to))?,
                Stage::Ended => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.stage = Stage::Done;
                }
                Stage::Open => {
                    let read = self.poll_read(cx, from)?;
                    if read.is_pending() {
                        ready!(Pin::new(&mut *to).poll_flush(cx))?;
                        return Poll::Pending;
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
    ) -> Poll<io::Result<()>> {
        let mut chunk = [MaybeUninit::uninit(); TUNNEL_CHUNK];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(from).poll_read(cx, &mut chunk))?;
        self.active = true;
        if chunk.filled().is_empty() {
            self.stage = Stage::Ended;
        } else {
            self.left.extend_from_slice(chunk.filled());
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        let count = ready!(Pin::new(to).poll_write(cx, &self.left[self.written..]))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.active = true;
        self.moved += count;
        self.written += count;
        if self.written == self.left.len() {
            (self.left, self.written) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const IDLE: Duration = Duration::from_secs(60);

    /// The far ends of client and node, and the tunnel at work.
    fn tunnel() -> (
        DuplexStream,
        DuplexStream,
        tokio::task::JoinHandle<(io::Result<()>, usize)>,
    ) {
        let (client, near_client) = duplex(10);
        let (node, near_node) = duplex(10);
        let tunnel = Tunnel::new(near_node, Bytes::from_static(b"hi "), IDLE, None);
        let running = tokio::spawn(async move {
            let mut sent = 0;
            let early = Bytes::from_static(b"oh ");
            let ended = tunnel.run(near_client, early, |count| sent += count);
            (ended.await, sent)
        });
        (client, node, running)
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_until_both_have_ended() {
        let (mut client, mut node, running) = tunnel();
        let long = vec![b'x'; 100_000];
        let (mut at_client, mut at_node) = (String::new(), String::new());
        let (mut client_in, mut client_out) = tokio::io::split(&mut client);
        let (mut node_in, mut node_out) = tokio::io::split(&mut node);
        let (a, b, c, d) = tokio::join!(
            async {
                client_out.write_all(&long).await?;
                client_out.shutdown().await
            },
            async {
                node_out.write_all(b"there").await?;
                node_out.shutdown().await
            },
            client_in.read_to_string(&mut at_client),
            node_in.read_to_string(&mut at_node),
        );
        assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
        assert_eq!((&*at_client, at_node.len()), ("hi there", 100_003));
        let (ended, sent) = running.await.unwrap();
        assert!(ended.is_ok());
        assert_eq!(sent, "hi there".len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_in_which_nothing_moves_is_closed() {
        let (mut client, _node, running) = tunnel();
        let began = Instant::now();
        tokio::time::sleep(IDLE / 2).await;
        client.write_all(b"x").await.unwrap();
        let (ended, _) = running.await.unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 90);
    }

    #[tokio::test]
    async fn a_side_that_breaks_off_ends_the_tunnel() {
        let (client, mut node, running) = tunnel();
        drop(client);
        // What cannot be delivered any more is no longer waited for.
        while node.write_all(b"x").await.is_ok() {}
        assert!(running.await.unwrap().0.is_err());
    }
}
