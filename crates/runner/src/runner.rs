//! A runner: plugins, settings, and the ways to serve them.
//!
//! Nothing here reads the environment or handles signals; see
//! [`serve`](crate::serve) for the one function that does.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tracing::info;

use crate::call::Plugins;
use crate::conf::ConfLimits;
use crate::limits::{DEFAULT_CONF_EXPIRE_TIME, DEFAULT_DRAIN_TIME};
use crate::registry::{Registered, Registry};
use crate::response::NamedHeaders;
use crate::{BuildError, Plugin, accept, connection};

/// Plugins and how to serve them.
///
/// ```no_run
/// # use outrigger_runner::{NoConf, Plugin, Runner, ServeError};
/// # struct Say;
/// # impl Plugin for Say { type Conf = NoConf; fn name(&self) -> &str { "say" } }
/// #[tokio::main]
/// async fn main() -> Result<(), ServeError> {
///     Runner::new().plugin(Say).serve_from_env().await
/// }
/// ```
pub struct Runner {
    plugins: Vec<Registered>,
    conf_expire_time: Duration,
    named_headers: NamedHeaders,
    pub(crate) drain_time: Duration,
    pub(crate) socket_mode: u32,
}

impl Default for Runner {
    fn default() -> Self {
        Self::new()
    }
}

impl Runner {
    /// A runner without plugins.
    pub fn new() -> Self {
        Self {
            plugins: Vec::new(),
            conf_expire_time: DEFAULT_CONF_EXPIRE_TIME,
            named_headers: NamedHeaders::Changed,
            drain_time: DEFAULT_DRAIN_TIME,
            socket_mode: 0o600,
        }
    }

    /// Adds a plugin. Its name must be its own; that is checked when the runner
    /// starts.
    pub fn plugin(mut self, plugin: impl Plugin) -> Self {
        self.plugins.push(Registered::new(plugin));
        self
    }

    /// How long the host keeps a conf token: 3600 seconds unless set here. A
    /// configuration lives 1.2 times as long, so that the host renews it before
    /// it is gone.
    pub fn conf_expire_time(mut self, time: Duration) -> Self {
        self.conf_expire_time = time;
        self
    }

    /// How long calls in flight may take to end after the shutdown began: 10
    /// seconds unless set here. What is left then is cut off. A gateway that
    /// stops its runner may have less patience.
    pub fn drain_time(mut self, time: Duration) -> Self {
        self.drain_time = time;
        self
    }

    /// The mode of the socket's file: 0600 unless set here, so only the user
    /// that the runner runs as may connect.
    ///
    /// APISIX started as root runs its runner as root and its workers as
    /// `nobody`; there it has to be `0o666`, and the folder decides who gets in.
    pub fn socket_mode(mut self, mode: u32) -> Self {
        self.socket_mode = mode;
        self
    }

    /// Makes answers to response calls name all headers instead of the changed
    /// ones only.
    ///
    /// For plugins that are to run under APISIX, too, which drops what is not
    /// named. Under Outrigger it makes no difference but bytes.
    pub fn send_all_response_headers(mut self) -> Self {
        self.named_headers = NamedHeaders::All;
        self
    }

    /// Serves connections of `listener` until `shutdown` is ready; then lets
    /// calls in flight end, for as long as the [drain time](Self::drain_time)
    /// allows.
    ///
    /// The listener is the caller's: its file stays. To have a socket made and
    /// removed, use [`serve_at`](Self::serve_at).
    ///
    /// # Errors
    /// [`BuildError`] before anything is served.
    pub async fn run(
        self,
        listener: UnixListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), BuildError> {
        let drain_time = self.drain_time;
        let service = self.into_service()?;
        service.run(listener, shutdown, drain_time).await;
        Ok(())
    }

    /// Fixes plugins and settings, for whoever brings connections of another
    /// kind.
    ///
    /// # Errors
    /// [`BuildError`] where plugins do not fit together.
    pub fn into_service(self) -> Result<Service, BuildError> {
        let registry = Registry::new(self.plugins)?;
        let limits = ConfLimits::new(self.conf_expire_time);
        // RandomState is what the standard library has for randomness.
        let first_token = RandomState::new().hash_one("first token") as u32;
        let plugins = Plugins::new(registry, limits, first_token, self.named_headers);
        Ok(Service {
            plugins: Arc::new(plugins),
        })
    }
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("plugins", &self.plugins.len())
            .field("conf_expire_time", &self.conf_expire_time)
            .finish_non_exhaustive()
    }
}

/// A runner ready to serve connections. Clones are the same runner: they share
/// plugins and prepared configurations.
#[derive(Clone)]
pub struct Service {
    plugins: Arc<Plugins>,
}

impl Service {
    /// Serves one connection of a host until the host closes it or breaks the
    /// protocol. Any stream will do; hosts bring unix sockets.
    pub async fn serve_connection(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let (_never, drain) = watch::channel(false);
        connection::serve(stream, &self.plugins, drain).await;
    }

    pub(crate) async fn run(
        self,
        listener: UnixListener,
        shutdown: impl Future<Output = ()>,
        drain_time: Duration,
    ) {
        info!(plugins = self.plugins.registry().names(), "runner is ready");
        accept::run(&self.plugins, listener, shutdown, drain_time).await;
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("plugins", &self.plugins.registry().names())
            .finish()
    }
}
