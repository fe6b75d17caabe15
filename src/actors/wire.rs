//! What crosses the supervisor's socket: frames of a `u32` big-endian length and JSON.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::calls::Request;
use super::hub::Caller;
use crate::domain::Failure;

/// Changes whenever frames of an older program would be misread.
pub const PROTOCOL: u32 = 1;

/// This program's version, as shown and compared: a supervisor of another one would drop, without a word,
/// what it does not know of a call.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a frame holds.
pub trait Frame: Serialize + DeserializeOwned {
    /// The most bytes of one that either side sends or accepts.
    const MAX_BYTES: u32;
}

impl Frame for Envelope {
    const MAX_BYTES: u32 = 32 << 20;
}

/// More than a call has: what a client asked for is its own to hold, and an item that was taken from a
/// mailbox must fit.
impl Frame for Answer {
    const MAX_BYTES: u32 = 128 << 20;
}

/// What a client sends: one call, and what the supervisor needs to know before serving it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// [`PROTOCOL`] of the client.
    pub protocol: u32,
    /// [`VERSION`] of the client.
    pub version: String,
    /// The database the client means; a supervisor of another one does not serve it.
    pub database: PathBuf,
    /// Who asks.
    pub caller: Caller,
    /// The call. Kept as plain JSON until the protocol is known to match.
    pub request: Value,
}

/// What the supervisor sends back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The call's reply.
    Done {
        /// The reply of the call that was made.
        reply: Value,
        /// [`VERSION`] of the supervisor.
        version: String,
    },
    /// The call was refused or failed.
    Failed(Failure),
    /// This supervisor cannot serve this client; the client serves itself.
    NotServed {
        /// Why.
        reason: String,
    },
}

impl Envelope {
    /// The call, once the protocol is known to match.
    ///
    /// # Errors
    /// A usage failure that says what in the call could not be read.
    pub fn request(&self) -> Result<Request, Failure> {
        serde_json::from_value(self.request.clone())
            .map_err(|error| Failure::usage(format!("failed to read the call: {error}")))
    }
}

fn too_long<M: Frame>(length: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a frame of {length} bytes is over the limit of {}", M::MAX_BYTES),
    )
}

fn encode<M: Frame>(message: &M) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - 4;
    let header = u32::try_from(length)
        .ok()
        .filter(|length| *length <= M::MAX_BYTES)
        .ok_or_else(|| too_long::<M>(length))?;
    frame[..4].copy_from_slice(&header.to_be_bytes());
    Ok(frame)
}

fn body_length<M: Frame>(header: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_be_bytes(header);
    if length > M::MAX_BYTES { Err(too_long::<M>(length as usize)) } else { Ok(length as usize) }
}

/// Writes one frame from an async task.
///
/// # Errors
/// The transport's own, or `InvalidData` for a message over the limit.
pub async fn send(to: &mut (impl AsyncWrite + Unpin), message: &impl Frame) -> io::Result<()> {
    to.write_all(&encode(message)?).await
}

/// Reads one frame in an async task.
///
/// # Errors
/// The transport's own, or `InvalidData` for a frame over the limit or of the wrong shape.
pub async fn receive<M: Frame>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<M> {
    let mut header = [0; 4];
    from.read_exact(&mut header).await?;
    let mut body = vec![0; body_length::<M>(header)?];
    from.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// Writes one frame from a plain thread.
///
/// # Errors
/// As [`send`].
pub fn send_blocking(to: &mut impl Write, message: &impl Frame) -> io::Result<()> {
    to.write_all(&encode(message)?)
}

/// Reads one frame in a plain thread.
///
/// # Errors
/// As [`receive`].
pub fn receive_blocking<M: Frame>(from: &mut impl Read) -> io::Result<M> {
    let mut header = [0; 4];
    from.read_exact(&mut header)?;
    let mut body = vec![0; body_length::<M>(header)?];
    from.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_and_a_hostile_length_is_refused_before_memory_is_taken() {
        let mut wire = Vec::new();
        send_blocking(&mut wire, &Answer::NotServed { reason: "older".into() }).unwrap();
        let Answer::NotServed { reason } = receive_blocking(&mut wire.as_slice()).unwrap() else {
            panic!("another answer")
        };
        assert_eq!(reason, "older");
        let hostile = u32::MAX.to_be_bytes();
        assert_eq!(
            receive_blocking::<Answer>(&mut hostile.as_slice()).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
