//! One connection of a host: frames in, frames out, one call at a time.
//!
//! A call and the questions it asks run side by side, and only this module
//! touches the wire. So a plugin may give up waiting for an answer at any time;
//! the answer still comes in before the reply goes out, and the connection stays
//! in step with the host.
//!
//! Deliberately absent: a time limit. How long a call may take is the host's
//! decision, and it closes the connection when it is over.

use std::io;
use std::pin::pin;

use bytes::Bytes;
use outrigger_a6::error::Code;
use outrigger_a6::{DecodeError, Encoder, FrameDecoder, FrameError, RpcType, extra_info};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::sync::watch;
use tracing::{debug, error, warn};

use crate::AskError;
use crate::call::{Plugins, Reply};
use crate::extra_info::{Answer, Asker, Question};

/// Serves one connection until the host closes it, breaks the protocol, or
/// `drain` becomes true and no call is under way.
pub(crate) async fn serve<S>(stream: S, plugins: &Plugins, drain: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (asker, questions) = Asker::new();
    let wire = Wire {
        stream,
        decoder: FrameDecoder::new(),
        encoder: Encoder::new(),
    };
    let mut connection = Connection {
        wire,
        asker,
        questions,
        drain,
    };
    match connection.run(plugins).await {
        Ok(()) => debug!("connection closed"),
        Err(Broken::Io(error)) => debug!("connection lost: {error}"),
        Err(broken) => {
            warn!("connection given up: {broken}");
            // The host may be gone already; then nobody misses this.
            let _ = connection
                .wire
                .send_reply(&Reply::Error(Code::BadRequest))
                .await;
        }
    }
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the answer to a question inside a call is wrong: {0}")]
    Answer(#[from] DecodeError),
}

struct Connection<S> {
    wire: Wire<S>,
    /// Given to each call. As this one lives as long, there is always a sender
    /// for `questions`.
    asker: Asker,
    questions: mpsc::Receiver<Question>,
    drain: watch::Receiver<bool>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn run(&mut self, plugins: &Plugins) -> Result<(), Broken> {
        while let Some((ty, message)) = self.next_call().await? {
            let call = plugins.call(ty, message, self.asker.clone());
            let reply = self.converse(call).await;
            // A question that its plugin gave up before it was sent.
            while self.questions.try_recv().is_ok() {}
            let reply = reply?;
            self.wire.send_reply(&reply).await?;
        }
        Ok(())
    }

    /// The next frame; `None` where the host is done, or the runner is.
    async fn next_call(&mut self) -> Result<Option<(RpcType, Bytes)>, Broken> {
        let mut looked_again = false;
        // What the host has begun to send is taken, however little it is.
        while self.wire.decoder.is_empty() {
            let draining = async {
                // An error means that nobody is left to say it: the end, too.
                let _ = self.drain.wait_for(|drain| *drain).await;
            };
            tokio::select! {
                biased;
                read = self.wire.read() => if !read? { return Ok(None) },
                () = draining => {
                    if looked_again {
                        return Ok(None);
                    }
                    // A call may have arrived that the runtime has not heard
                    // of yet.
                    tokio::task::yield_now().await;
                    looked_again = true;
                }
            }
        }
        self.wire.next_frame().await
    }

    /// Drives a call to its end and brings its questions to the host. Where the
    /// connection breaks meanwhile, the call still ends as it would.
    async fn converse(&mut self, call: impl Future<Output = Reply>) -> Result<Reply, Broken> {
        let mut call = pin!(call);
        let mut broken = None;
        loop {
            let question = tokio::select! {
                biased;
                reply = &mut call => return broken.map_or(Ok(reply), Err),
                Some(question) = self.questions.recv() => question,
            };
            if broken.is_some() {
                // Dropped, which tells the plugin that nobody answers.
                continue;
            }
            let mut reply = None;
            let answer = {
                let mut answer = pin!(self.wire.ask(&question));
                loop {
                    tokio::select! {
                        biased;
                        answer = &mut answer => break answer,
                        done = &mut call, if reply.is_none() => reply = Some(done),
                    }
                }
            };
            match answer {
                Ok(answer) => question.answer(answer),
                Err(error) => broken = Some(error),
            }
            if let Some(reply) = reply {
                return broken.map_or(Ok(reply), Err);
            }
        }
    }
}

/// Frames on a stream.
struct Wire<S> {
    stream: S,
    decoder: FrameDecoder,
    encoder: Encoder,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Reads what there is; false at the end of the stream. May be cancelled.
    async fn read(&mut self) -> Result<bool, Broken> {
        if self.stream.read_buf(self.decoder.buffer()).await? > 0 {
            return Ok(true);
        }
        self.decoder.finish()?;
        Ok(false)
    }

    /// The next frame; `None` at the end of the stream.
    async fn next_frame(&mut self) -> Result<Option<(RpcType, Bytes)>, Broken> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(Some((frame.ty, Bytes::copy_from_slice(frame.payload))));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// Sends a question and takes the host's answer. Not to be cancelled.
    async fn ask(&mut self, question: &Question) -> Result<Answer, Broken> {
        let message = extra_info::Request(question.topic.as_info());
        let Ok(frame) = self.encoder.encode(&message) else {
            return Ok(Err(AskError::NameTooLong));
        };
        self.stream.write_all(frame).await?;
        self.stream.flush().await?;
        let Some((ty, message)) = self.next_frame().await? else {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        };
        let frame = outrigger_a6::Frame {
            ty,
            payload: &message,
        };
        let answer: extra_info::Response<'_> = frame.decode()?;
        Ok(Ok(answer.result.map(|result| message.slice_ref(result))))
    }

    /// Sends the answer to a call, or an error where it does not fit in a frame.
    async fn send_reply(&mut self, reply: &Reply) -> Result<(), Broken> {
        let frame = match reply.encode(&mut self.encoder) {
            Ok(frame) => frame,
            Err(error) => {
                error!("plugins made an answer that is too large: {error}");
                let error = Reply::Error(Code::ServiceUnavailable);
                error
                    .encode(&mut self.encoder)
                    .expect("an error fits into a frame")
            }
        };
        self.stream.write_all(frame).await?;
        self.stream.flush().await?;
        // The next call may be long in coming.
        self.encoder.trim();
        Ok(())
    }
}
