//! Frames on any stream, for either side.

use std::fmt;
use std::io;

use outrigger_a6::{Decode, DecodeError, Encode, Encoder, Frame, FrameDecoder, RpcType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Any stream that frames can travel on.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The bytes of a frame that carries `message`.
///
/// # Panics
/// Where the message does not fit into a frame.
pub fn frame(message: &impl Encode) -> Vec<u8> {
    match Encoder::new().encode(message) {
        Ok(frame) => frame.to_vec(),
        Err(error) => panic!("{error}"),
    }
}

/// A frame that was received.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedFrame {
    /// What the payload is.
    pub ty: RpcType,
    /// One message, not verified.
    pub payload: Vec<u8>,
}

impl OwnedFrame {
    /// The message in it.
    ///
    /// # Errors
    /// [`DecodeError`] where it is not an `M`.
    pub fn decode<'a, M: Decode<'a>>(&'a self) -> Result<M, DecodeError> {
        Frame {
            ty: self.ty,
            payload: &self.payload,
        }
        .decode()
    }
}

impl fmt::Debug for OwnedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Frame {
            ty: self.ty,
            payload: &self.payload,
        }
        .fmt(f)
    }
}

/// One end of a connection: sends whatever it is told to, right or wrong, and
/// receives frames.
pub struct FrameStream {
    stream: Box<dyn Stream>,
    decoder: FrameDecoder,
}

impl FrameStream {
    /// Speaks on this stream.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            decoder: FrameDecoder::new(),
        }
    }

    /// Sends a message in a frame.
    ///
    /// # Errors
    /// What the stream says, most likely that the peer is gone.
    pub async fn send(&mut self, message: &impl Encode) -> io::Result<()> {
        let bytes = frame(message);
        self.send_bytes(&bytes).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// What the stream says, most likely that the peer is gone.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Sends bytes one at a time, and lets the peer run after each.
    ///
    /// # Errors
    /// What the stream says, most likely that the peer is gone.
    pub async fn send_byte_by_byte(&mut self, bytes: &[u8]) -> io::Result<()> {
        for byte in bytes.chunks(1) {
            self.send_bytes(byte).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// The next frame; `None` where the peer has closed its end.
    ///
    /// # Errors
    /// What the stream says, and `InvalidData` where the peer sent no frame.
    pub async fn receive(&mut self) -> io::Result<Option<OwnedFrame>> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(invalid)? {
                return Ok(Some(OwnedFrame {
                    ty: frame.ty,
                    payload: frame.payload.to_vec(),
                }));
            }
            if self.stream.read_buf(self.decoder.buffer()).await? == 0 {
                return self.decoder.finish().map(|()| None).map_err(invalid);
            }
        }
    }

    /// Says that nothing more will be sent; receiving goes on.
    ///
    /// # Errors
    /// What the stream says.
    pub async fn close_sending(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }
}

impl fmt::Debug for FrameStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameStream")
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}
