//! One connection to the runner, at the level of frames.
//!
//! It hides nothing: no second attempt, no pool, no other reading of what came.
//! Every wait has a limit, and nothing that the runner sends is trusted.

use std::io;
use std::path::Path;
use std::time::Duration;

use outrigger_a6::error::{self, Code};
use outrigger_a6::{Decode, Encode, Encoder, Frame, FrameDecoder, FrameError, RpcType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::limits;
use crate::times::Times;
use crate::verdict::Fault;

/// Why nothing came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("it does not accept a connection: {0}")]
    Connect(io::Error),
    #[error("no answer within {0:?}")]
    Silence(Duration),
    #[error("it did not take the message within {0:?}")]
    Stuck(Duration),
    #[error("it closed the connection")]
    Closed,
    #[error("it sent what is no frame: {0}")]
    NoFrame(FrameError),
}

impl From<Lost> for Fault {
    fn from(lost: Lost) -> Self {
        Self::Wrong(lost.to_string())
    }
}

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) ty: RpcType,
    pub(crate) payload: Vec<u8>,
}

impl Got {
    /// The message that must be in it.
    pub(crate) fn read<'a, M: Decode<'a>>(&'a self) -> Result<M, Fault> {
        let Self { ty, payload } = self;
        if *ty != M::TYPE {
            let what = match self.error() {
                Some(code) => format!("RPC_ERROR {code}"),
                None => format!("a frame of type {ty}"),
            };
            return Err(Fault::Wrong(format!(
                "it answered with {what}, not with {}",
                M::NAME
            )));
        }
        Frame { ty: *ty, payload }
            .decode()
            .map_err(|error| Fault::Wrong(format!("its answer cannot be read: {error}")))
    }

    /// The error in it, if it is one.
    pub(crate) fn error(&self) -> Option<Code> {
        let frame = Frame {
            ty: self.ty,
            payload: &self.payload,
        };
        frame
            .decode::<error::Response>()
            .ok()
            .map(|error| error.code)
    }
}

/// How a runner takes what it cannot carry out.
#[derive(Debug)]
pub(crate) enum Reaction {
    /// RPC_ERROR.
    Error(Code),
    /// Another frame.
    Frame(Got),
    /// Bytes that are no frame.
    Rubbish(FrameError),
    /// It hangs up.
    Closed,
    /// It neither says anything nor hangs up.
    Silence,
}

/// One connection, of which the suite has the host's end.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: UnixStream,
    decoder: FrameDecoder,
    times: Times,
}

impl Wire {
    pub(crate) async fn connect(path: &Path, times: Times) -> Result<Self, Lost> {
        let stream = match timeout(limits::CONNECT, UnixStream::connect(path)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Lost::Connect(error)),
            Err(_) => return Err(Lost::Connect(io::ErrorKind::TimedOut.into())),
        };
        Ok(Self {
            stream,
            decoder: FrameDecoder::new(),
            times,
        })
    }

    /// Who listens there: process id, where the system tells it, and user id.
    pub(crate) fn peer(&self) -> io::Result<(Option<i32>, u32)> {
        let peer = self.stream.peer_cred()?;
        Ok((peer.pid(), peer.uid()))
    }

    pub(crate) async fn send(&mut self, message: &impl Encode) -> Result<(), Lost> {
        self.send_bytes(&encoded(message)).await
    }

    /// Sends bytes as they are, in as few writes as the system needs.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        let limit = self.times.answer;
        match timeout(limit, self.stream.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Lost::Closed),
            Err(_) => Err(Lost::Stuck(limit)),
        }
    }

    /// Sends pieces, each after the runner had time to see the ones before.
    pub(crate) async fn send_pieces(&mut self, pieces: &[&[u8]]) -> Result<(), Lost> {
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                tokio::time::sleep(self.times.settle).await;
            }
            self.send_bytes(piece).await?;
        }
        Ok(())
    }

    /// Sends a byte at a time, with a pause that lets most of them be read alone.
    pub(crate) async fn send_byte_by_byte(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        for byte in bytes.chunks(1) {
            self.send_bytes(byte).await?;
            tokio::time::sleep(self.times.settle / 100).await;
        }
        Ok(())
    }

    /// The next frame.
    pub(crate) async fn receive(&mut self) -> Result<Got, Lost> {
        self.receive_within(self.times.answer).await
    }

    async fn receive_within(&mut self, limit: Duration) -> Result<Got, Lost> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(Lost::NoFrame)? {
                return Ok(Got {
                    ty: frame.ty,
                    payload: frame.payload.to_vec(),
                });
            }
            let read = self.stream.read_buf(self.decoder.buffer());
            match timeout_at(deadline, read).await {
                Err(_) => return Err(Lost::Silence(limit)),
                // A connection that was reset is closed as well.
                Ok(Ok(0) | Err(_)) => {
                    self.decoder.finish().map_err(Lost::NoFrame)?;
                    return Err(Lost::Closed);
                }
                Ok(Ok(_)) => {}
            }
        }
    }

    /// What comes within a moment although nothing was asked; `None` where
    /// nothing comes, or the end.
    pub(crate) async fn surplus(&mut self) -> Option<Surplus> {
        match self.receive_within(self.times.settle).await {
            Ok(got) => Some(Surplus::Frame(got)),
            Err(Lost::NoFrame(_)) => Some(Surplus::Bytes),
            Err(_) if !self.decoder.is_empty() => Some(Surplus::Bytes),
            Err(_) => None,
        }
    }

    /// Waits for whatever comes next. It may have hung up while it was being
    /// sent to, so an error of sending is no reason not to ask this.
    pub(crate) async fn reaction(&mut self) -> Reaction {
        match self.receive().await {
            Ok(got) => match got.error() {
                Some(code) => Reaction::Error(code),
                None => Reaction::Frame(got),
            },
            Err(Lost::NoFrame(FrameError::Truncated { .. }) | Lost::Closed) => Reaction::Closed,
            Err(Lost::NoFrame(error)) => Reaction::Rubbish(error),
            Err(Lost::Silence(_) | Lost::Stuck(_) | Lost::Connect(_)) => Reaction::Silence,
        }
    }
}

/// What came unasked.
#[derive(Debug)]
pub(crate) enum Surplus {
    Frame(Got),
    /// Not even a frame.
    Bytes,
}

/// A message as a whole frame.
pub(crate) fn encoded(message: &impl Encode) -> Vec<u8> {
    Encoder::new()
        .encode(message)
        .expect("the suite's own messages fit into a frame")
        .to_vec()
}

/// A frame of any type with any payload, which must fit.
pub(crate) fn raw(ty: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("the suite's own payloads are short");
    let [_, length @ ..] = length.to_be_bytes();
    [&[ty][..], &length, payload].concat()
}
