//! What goes wrong in a runner, and whose fault it is.

use std::io;
use std::path::PathBuf;

/// A plugin's error. Any error type turns into it by `?`, and so does text by
/// `.into()`.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a plugin's methods return. An error fails the call with
/// SERVICE_UNAVAILABLE, and the log says which plugin it was.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Why a question to the host has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The host hung up or broke the protocol inside this call, so nothing
    /// reaches it any more.
    #[error("the host closed the connection inside the call")]
    HostGone,
    /// The plugin asked for a variable whose name does not fit into a message.
    #[error("the variable's name is too long for a message")]
    NameTooLong,
}

/// Why a [`Runner`](crate::Runner) cannot run: its plugins do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Two plugins have the same name.
    #[error("two plugins are named {0:?}; a route could only ever mean one of them")]
    DuplicatePlugin(String),
    /// A plugin's name is empty.
    #[error("a plugin of type {0} has an empty name")]
    UnnamedPlugin(&'static str),
}

/// Why a runner does not serve.
///
/// Its `Debug` output is the message for people, since that is what
/// `fn main() -> Result<…>` prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The runner itself is wrong.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// `APISIX_LISTEN_ADDRESS` is not set, most likely because a person and not
    /// a gateway started the process.
    #[error(
        "APISIX_LISTEN_ADDRESS is not set, so there is nowhere to listen.\n\
         A plugin runner is started by its gateway: name this program in `ext-plugin.cmd` of the \
         gateway's config.yaml.\n\
         To start it by hand, set APISIX_LISTEN_ADDRESS=unix:/tmp/runner.sock for this program \
         and `ext-plugin.path_for_test: /tmp/runner.sock` in config.yaml."
    )]
    NoAddress,
    /// `APISIX_LISTEN_ADDRESS` is not `unix:` and a path.
    #[error("APISIX_LISTEN_ADDRESS is {0:?}; it has to be `unix:` and a path")]
    Address(String),
    /// `APISIX_CONF_EXPIRE_TIME` is not a lifetime.
    #[error("APISIX_CONF_EXPIRE_TIME is {0:?}; it has to be a number of seconds above 0")]
    ExpireTime(String),
    /// A runner is listening there already.
    #[error("{}: another process is listening there already", .0.display())]
    InUse(PathBuf),
    /// Something that is not a socket is in the way; it is left alone.
    #[error("{}: this file is not a socket, so it is left as it is", .0.display())]
    NotASocket(PathBuf),
    /// The socket cannot be made.
    #[error("{}: cannot listen there: {source}", path.display())]
    Listen {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Signals cannot be handled.
    #[error("cannot handle SIGTERM and SIGINT: {0}")]
    Signals(io::Error),
}

impl std::fmt::Debug for ServeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
