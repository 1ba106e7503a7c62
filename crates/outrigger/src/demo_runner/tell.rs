//! Wraps a plugin so that each request it sees is told on standard output:
//! the gateway's log shows it, and the demo lives by it.

use outrigger_runner::{Plugin, Request, Response, Result};

/// How the line begins.
pub(crate) const PLUGIN_SAW: &str = "plugin saw: ";

/// A plugin that tells what it sees before it acts.
pub(super) struct Tell<P>(pub(super) P);

impl<P: Plugin> Plugin for Tell<P> {
    type Conf = P::Conf;

    fn name(&self) -> &str {
        self.0.name()
    }

    #[allow(
        clippy::print_stdout,
        reason = "a runner's output goes to the gateway's log"
    )]
    async fn request(&self, conf: &P::Conf, request: &mut Request) -> Result {
        let method = request.method().as_str();
        let path = String::from_utf8_lossy(request.path()).into_owned();
        let from = request
            .source_ip()
            .map(|ip| ip.to_string())
            .unwrap_or_default();
        let (headers, args) = (request.headers().len(), request.args().len());
        println!(
            "{PLUGIN_SAW}{method} {path}, {args} arguments, {headers} headers, from {from} (plugin {})",
            self.name()
        );
        self.0.request(conf, request).await
    }

    async fn response(&self, conf: &P::Conf, response: &mut Response) -> Result {
        self.0.response(conf, response).await
    }
}
