//! What a plugin is.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Request, Response, Result};

/// A plugin: code that sees requests on their way to an upstream, and responses
/// on their way back.
///
/// Both methods are called with the configuration that the route has for this
/// plugin. They are written as `async fn`; the default of each does nothing.
///
/// # What a call may rely on
/// - Plugins of one route run in the order of its configuration; each sees what
///   the earlier ones changed. One that [stops](Request::stop) ends the chain.
/// - Calls run at the same time, as many as the host makes. State of a route
///   belongs into [`Conf`](Self::Conf), shared state into the plugin.
/// - Calls share the runtime's threads: what blocks one (files, long computing)
///   belongs into `tokio::task::spawn_blocking`.
/// - A call that has begun runs to its end, even where the host hangs up.
/// - An error or a panic fails this one call with SERVICE_UNAVAILABLE; with
///   `panic = "abort"` a panic ends the whole runner.
///
/// # Example
/// ```
/// use outrigger_runner::{Plugin, Request, Result};
///
/// /// Lets only clients with the right key pass.
/// struct KeyAuth;
///
/// #[derive(serde::Deserialize)]
/// struct Conf {
///     key: String,
/// }
///
/// impl Plugin for KeyAuth {
///     type Conf = Conf;
///
///     fn name(&self) -> &str {
///         "key-auth"
///     }
///
///     async fn request(&self, conf: &Conf, request: &mut Request) -> Result {
///         if request.headers().get("x-key") != Some(conf.key.as_bytes()) {
///             request.stop(401).body("a key is needed\n");
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Plugin: Send + Sync + 'static {
    /// The configuration in a route, as JSON. A configuration that does not
    /// parse is refused before any request comes.
    ///
    /// To check more than types, parse with `#[serde(try_from = "…")]`; what
    /// that makes may also hold a route's state, such as a counter. It lives
    /// until the host changes the configuration or lets it expire. An empty
    /// configuration is read as `{}`; [`NoConf`] is for plugins without one.
    type Conf: DeserializeOwned + Send + Sync + 'static;

    /// The name by which a route asks for this plugin. Asked once, when the
    /// plugin is registered.
    fn name(&self) -> &str;

    /// A request, before it is sent to the upstream.
    fn request(
        &self,
        conf: &Self::Conf,
        request: &mut Request,
    ) -> impl Future<Output = Result> + Send {
        let _ = (conf, request);
        async { Ok(()) }
    }

    /// A response of the upstream, before it is sent to the client.
    fn response(
        &self,
        conf: &Self::Conf,
        response: &mut Response,
    ) -> impl Future<Output = Result> + Send {
        let _ = (conf, response);
        async { Ok(()) }
    }
}

/// The configuration of a plugin that has none: `{}`, or nothing at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConf {}
