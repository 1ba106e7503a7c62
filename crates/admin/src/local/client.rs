//! A command's end.

use std::io;
use std::path::{Path, PathBuf};

use outrigger_config::store::{Change, Inventory};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Asked, Changed, Reply, Request, VERSION};
use crate::limits;

/// A running gateway, as its own commands see it.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
}

/// What was asked was not done.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody who answers.
    #[error("the gateway cannot be asked at {socket}: {source}")]
    Connection {
        /// Where it was tried.
        socket: String,
        /// What came of it.
        source: io::Error,
    },
    /// The resources have changed since they were looked at.
    #[error("the resources have changed meanwhile; try again")]
    Conflict,
    /// The gateway could not run on what the changes would make.
    #[error("{}", lines(.0))]
    Refused(Vec<(String, String)>),
    /// The gateway did not do it, and says why.
    #[error("the gateway did not do it: {0}")]
    Failed(String),
}

fn lines(faults: &[(String, String)]) -> String {
    let lines: Vec<_> = faults
        .iter()
        .map(|(key, why)| format!("the gateway refuses {key}: {why}"))
        .collect();
    lines.join("\n")
}

impl Client {
    /// Whoever listens at `socket`.
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// All resources as they are now.
    ///
    /// # Errors
    /// The gateway does not answer.
    pub async fn inventory(&self) -> Result<Inventory, AskError> {
        match self.ask(Request::Read).await? {
            Reply::Resources {
                revision,
                resources,
            } => {
                let entries = resources.into_iter().map(super::Row::into_entry);
                let entries: Result<Vec<_>, _> = entries.collect();
                let entries = entries.map_err(|error| AskError::Failed(error.to_string()))?;
                Ok(Inventory::of_entries(revision, entries))
            }
            other => Err(error_of(other)),
        }
    }

    /// Makes changes to the resources of the revision `base`: all, or none. Returns
    /// the revision that they made, on which requests run then.
    ///
    /// # Errors
    /// Why they were not made.
    pub async fn write(&self, base: u64, changes: &[Change]) -> Result<u64, AskError> {
        let changes = changes.iter().map(Changed::of).collect();
        match self.ask(Request::Write { base, changes }).await? {
            Reply::Written { revision } => Ok(revision),
            other => Err(error_of(other)),
        }
    }

    async fn ask(&self, request: Request) -> Result<Reply, AskError> {
        let asked = Asked {
            version: VERSION,
            request,
        };
        let text = serde_json::to_vec(&asked).map_err(|error| self.lost(error))?;
        let talk = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            stream.write_all(&text).await?;
            stream.shutdown().await?;
            let mut answer = Vec::new();
            stream
                .take(limits::LOCAL_LEN)
                .read_to_end(&mut answer)
                .await?;
            Ok(answer)
        };
        let answer = match timeout(limits::LOCAL, talk).await {
            Ok(answer) => answer.map_err(|source| self.lost_by(source))?,
            Err(_) => return Err(self.lost_by(io::ErrorKind::TimedOut.into())),
        };
        serde_json::from_slice(&answer).map_err(|error| self.lost(error))
    }

    fn lost(&self, error: serde_json::Error) -> AskError {
        self.lost_by(io::Error::from(error))
    }

    fn lost_by(&self, source: io::Error) -> AskError {
        AskError::Connection {
            socket: self.socket.display().to_string(),
            source,
        }
    }
}

fn error_of(reply: Reply) -> AskError {
    match reply {
        Reply::Conflict => AskError::Conflict,
        Reply::Refused { faults } => AskError::Refused(faults),
        Reply::Failed { why } => AskError::Failed(why),
        Reply::Resources { .. } | Reply::Written { .. } => {
            AskError::Failed("it answered something else".to_owned())
        }
    }
}
