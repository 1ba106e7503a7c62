//! One connection to a runner: frames out, frames in.
//!
//! A frame is written at once, whole wherever the socket takes it: runners
//! exist that read a frame with a single `recv`. What does not go at once goes
//! while the connection waits for the runner's bytes. So a runner that answers,
//! or hangs up, before it has read everything is heard, and the two sides never
//! wait for each other.

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use outrigger_a6::{Frame, FrameDecoder};
use rustix::net::sockopt;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::attempts::Used;
use crate::buffered::Held;
use crate::limits::{READ_AHEAD, SEND_BUFFER_DEFAULT};
use crate::process::{Process, SocketFile};
use crate::runner::Shared;
use crate::target::{Encounter, Target};
use crate::{CallError, CloseReason, Event, Stage};

/// One connection. Closed when dropped.
pub(crate) struct Connection {
    stream: UnixStream,
    decoder: FrameDecoder,
    outbox: Outbox,
    /// The runner does not take, or does not send, anything more.
    broken: bool,
    /// Frames that were to be sent since the call began.
    frames: u32,
    /// Bytes that were taken by the socket since the call began.
    sent: u64,
    /// Bytes that came since the call began.
    received: u64,
    /// Whether it was idle before this call.
    reused: bool,
    idle_since: Instant,
    /// The longest frame that fits into the send buffer, as far as is known.
    send_buffer: usize,
    /// Bytes that the runner certainly did not read were left when it ended.
    unread: bool,
    held: Held,
    process: Process,
    encounter: Encounter,
    target: Arc<Target>,
    runner: Arc<Shared>,
    close_reason: CloseReason,
}

/// Connects to `socket`, and tells who listens there.
///
/// # Errors
/// [`CallError::Connect`], and [`CallError::WrongUser`] where it is a process of
/// a user who is neither root, nor the gateway's own, nor allowed.
pub(crate) async fn dial(
    socket: &Path,
    is_allowed: impl Fn(u32) -> bool,
) -> Result<(UnixStream, Process), CallError> {
    let failed = |source| CallError::Connect {
        socket: socket.into(),
        source: Arc::new(source),
    };
    let file = SocketFile::of(socket);
    let stream = UnixStream::connect(socket).await.map_err(failed)?;
    let peer = stream.peer_cred().map_err(failed)?;
    let uid = peer.uid();
    if !is_trusted(uid, rustix::process::geteuid().as_raw()) && !is_allowed(uid) {
        return Err(CallError::WrongUser {
            uid,
            socket: socket.into(),
        });
    }
    let pid = peer.pid().and_then(|pid| pid.try_into().ok()).unwrap_or(0);
    let process = Process::of(pid, socket, file).map_err(failed)?;
    Ok((stream, process))
}

/// Whoever could do anything with a gateway of user `own` anyway.
fn is_trusted(uid: u32, own: u32) -> bool {
    uid == 0 || uid == own
}

/// What the socket did not take at once.
#[derive(Default)]
struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    fn is_empty(&self) -> bool {
        self.unsent().is_empty()
    }

    fn clear(&mut self) {
        // With its memory: a frame that did not fit into a socket is a long one.
        *self = Self::default();
    }
}

impl Connection {
    /// Connects to `target`, where somebody accepts at once.
    ///
    /// # Errors
    /// [`CallError::Connect`] and [`CallError::WrongUser`]
    pub(crate) async fn open(
        runner: &Arc<Shared>,
        target: &Arc<Target>,
    ) -> Result<Self, CallError> {
        let is_allowed = |uid| runner.settings().allowed_uids.contains(&uid);
        let (stream, process) = dial(target.socket(), is_allowed).await?;
        target.connection_opens();
        runner.event(Event::ConnectionOpened { pid: process.pid() });
        let encounter = runner.met(target, process);
        Ok(Self {
            stream,
            decoder: FrameDecoder::new(),
            outbox: Outbox::default(),
            broken: false,
            frames: 0,
            sent: 0,
            received: 0,
            reused: false,
            idle_since: Instant::now(),
            send_buffer: SEND_BUFFER_DEFAULT,
            unread: false,
            held: Held::nothing(runner.budget()),
            process,
            encounter,
            target: Arc::clone(target),
            runner: Arc::clone(runner),
            close_reason: CloseReason::Cancelled,
        })
    }

    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// When its process was found.
    pub(crate) fn encounter(&self) -> Encounter {
        self.encounter
    }

    /// Whether calls do not go any more to where it leads.
    pub(crate) fn is_outdated(&self) -> bool {
        self.target.is_retired() || !self.target.is_current(self.encounter)
    }

    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.target
    }

    pub(crate) fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// What it tells about the failure of its call.
    pub(crate) fn used(&self) -> Used {
        let unsent = !self.outbox.is_empty();
        Used {
            reused: self.reused,
            // It hung up with part of the request unread, and said nothing.
            unseen: self.received == 0 && (self.unread || unsent),
            untimely: !self.decoder.is_empty() || (self.frames == 1 && unsent),
        }
    }

    /// How many bytes the socket took since the call began.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// How many bytes came since the call began.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received
    }

    /// What to tell when it is dropped.
    pub(crate) fn closes_as(&mut self, reason: CloseReason) {
        self.close_reason = reason;
    }

    /// Sends `frame`, which goes on in the background of receiving where the
    /// socket does not take all of it. That the runner has hung up is not an
    /// error here: it may have answered before.
    pub(crate) fn send(&mut self, frame: &[u8], during: Stage) -> Result<(), CallError> {
        self.frames = self.frames.saturating_add(1);
        if self.broken {
            return Ok(());
        }
        self.fit_send_buffer(frame.len());
        let written = if self.outbox.is_empty() {
            self.stream.try_write(frame)
        } else {
            Ok(0)
        };
        match written {
            Ok(written) if written == frame.len() => self.sent += written as u64,
            Ok(written) => {
                self.sent += written as u64;
                self.keep_for_later(&frame[written..])?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.keep_for_later(frame)?;
            }
            Err(error) => self.write_failed(error, during)?,
        }
        Ok(())
    }

    fn keep_for_later(&mut self, rest: &[u8]) -> Result<(), CallError> {
        let received = self.decoder.buffer().capacity();
        self.held
            .resize(received + self.outbox.bytes.len() + rest.len())?;
        self.outbox.bytes.extend_from_slice(rest);
        Ok(())
    }

    /// The next whole frame among the bytes that came.
    pub(crate) fn received(&mut self, during: Stage) -> Result<Option<Frame<'_>>, CallError> {
        self.decoder
            .next_frame()
            .map_err(|source| CallError::BadFrame { during, source })
    }

    /// Waits until more bytes came, and sends what is to be sent meanwhile.
    pub(crate) async fn exchange_bytes(&mut self, during: Stage) -> Result<(), CallError> {
        poll_fn(|cx| {
            if !self.outbox.is_empty() {
                // To be written or not: what counts is what comes.
                let _: Poll<()> = self.poll_send(cx, during)?;
            }
            let received = ready!(self.poll_receive(cx, during))?;
            Poll::Ready(if received == 0 {
                Err(self.closed(during))
            } else {
                Ok(())
            })
        })
        .await
    }

    /// Waits until everything is sent, or never can be. Takes in what comes
    /// meanwhile, so that the runner is not kept waiting by us.
    pub(crate) async fn flush(&mut self, during: Stage) -> Result<(), CallError> {
        poll_fn(|cx| {
            while !self.outbox.is_empty() {
                if self.poll_send(cx, during)?.is_ready() {
                    break;
                }
                if self.decoder.buffer().len() >= READ_AHEAD {
                    return Poll::Pending;
                }
                if ready!(self.poll_receive(cx, during))? == 0 {
                    self.give_up_sending();
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Whether the next call may use it.
    pub(crate) fn is_clean(&self) -> bool {
        !self.broken && self.outbox.is_empty() && self.decoder.is_empty()
    }

    /// Between two calls. Only if it [is clean](Self::is_clean).
    pub(crate) fn rest(&mut self, now: Instant) {
        self.decoder.trim();
        // Less than before is always allowed.
        let _ = self.held.resize(0);
        self.idle_since = now;
        self.reused = true;
        (self.frames, self.sent, self.received) = (0, 0, 0);
        self.close_reason = CloseReason::Stopped;
    }

    /// Whether the runner left an idle connection alone, as it should. Costs a
    /// system call only if it did not.
    pub(crate) fn is_quiet(&self) -> bool {
        let unread = self.stream.try_read(&mut [0]);
        unread.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, during: Stage) -> Poll<Result<(), CallError>> {
        while !self.outbox.is_empty() {
            let stream = Pin::new(&mut self.stream);
            match ready!(stream.poll_write(cx, self.outbox.unsent())) {
                Ok(written) => {
                    self.outbox.sent += written;
                    self.sent += written as u64;
                }
                Err(error) => self.write_failed(error, during)?,
            }
        }
        self.outbox.clear();
        Poll::Ready(Ok(()))
    }

    /// How many bytes came; 0 at the end of the stream.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        during: Stage,
    ) -> Poll<Result<usize, CallError>> {
        let outbox = self.outbox.bytes.len();
        let buffer = self.decoder.buffer();
        self.held.resize(buffer.capacity() + outbox)?;
        let received = ready!(pin!(self.stream.read_buf(buffer)).poll(cx));
        Poll::Ready(match received {
            Ok(received) => {
                self.received += received as u64;
                Ok(received)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                // The kernel's word for: the peer closed it with bytes unread.
                self.unread = true;
                Ok(0)
            }
            Err(error) => Err(CallError::Io {
                during,
                source: Arc::new(error),
            }),
        })
    }

    fn write_failed(&mut self, error: io::Error, during: Stage) -> Result<(), CallError> {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                self.give_up_sending();
                Ok(())
            }
            _ => Err(CallError::Io {
                during,
                source: Arc::new(error),
            }),
        }
    }

    /// The runner hung up before it was sent everything.
    fn give_up_sending(&mut self) {
        self.unread = true;
        self.outbox.clear();
        self.broken = true;
    }

    fn closed(&mut self, during: Stage) -> CallError {
        self.broken = true;
        CallError::Closed {
            during,
            cut: self.decoder.finish().err(),
        }
    }

    /// Where the system allows it; otherwise the frame goes in pieces.
    fn fit_send_buffer(&mut self, len: usize) {
        if len <= self.send_buffer {
            return;
        }
        self.send_buffer = len;
        // The kernel doubles what is set and tells what it doubled. The other
        // half is its bookkeeping.
        if sockopt::socket_send_buffer_size(&self.stream).is_ok_and(|size| size < 2 * len) {
            let _ = sockopt::set_socket_send_buffer_size(&self.stream, len);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.runner.event(Event::ConnectionClosed {
            reason: self.close_reason,
        });
        self.target.connection_closed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_gateways_own_user_are_trusted() {
        assert!(is_trusted(0, 1000) && is_trusted(1000, 1000) && is_trusted(0, 0));
        assert!(!is_trusted(1001, 1000) && !is_trusted(1000, 0));
    }
}
