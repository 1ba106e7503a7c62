//! Plugins made of closures, and the log as text.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use outrigger_runner::{NoConf, Plugin, Request, Response, Result, Runner};
use outrigger_testkit::FakeHost;
use serde_json::json;
use tracing::subscriber::DefaultGuard;

/// A plugin that does this to every request.
pub(crate) struct OnRequest<F>(&'static str, F);

impl<F> OnRequest<F>
where
    F: for<'a> Fn(&'a mut Request) -> BoxFuture<'a, Result> + Send + Sync + 'static,
{
    /// Of this name, doing this.
    pub(crate) fn new(name: &'static str, work: F) -> Self {
        Self(name, work)
    }
}

impl<F> Plugin for OnRequest<F>
where
    F: for<'a> Fn(&'a mut Request) -> BoxFuture<'a, Result> + Send + Sync + 'static,
{
    type Conf = NoConf;

    fn name(&self) -> &str {
        self.0
    }

    async fn request(&self, _: &NoConf, request: &mut Request) -> Result {
        (self.1)(request).await
    }
}

/// A plugin that does this to every response.
pub(crate) struct OnResponse<F>(&'static str, F);

impl<F> OnResponse<F>
where
    F: for<'a> Fn(&'a mut Response) -> BoxFuture<'a, Result> + Send + Sync + 'static,
{
    /// Of this name, doing this.
    pub(crate) fn new(name: &'static str, work: F) -> Self {
        Self(name, work)
    }
}

impl<F> Plugin for OnResponse<F>
where
    F: for<'a> Fn(&'a mut Response) -> BoxFuture<'a, Result> + Send + Sync + 'static,
{
    type Conf = NoConf;

    fn name(&self) -> &str {
        self.0
    }

    async fn response(&self, _: &NoConf, response: &mut Response) -> Result {
        (self.1)(response).await
    }
}

/// A host whose route has one plugin, which does this to every request.
pub(crate) fn on_request<F>(work: F) -> FakeHost
where
    F: for<'a> Fn(&'a mut Request) -> BoxFuture<'a, Result> + Send + Sync + 'static,
{
    let runner = Runner::new().plugin(OnRequest::new("test", work));
    FakeHost::new(runner).prepare("test", json!({}))
}

/// A host whose route has one plugin, which does this to every response.
pub(crate) fn on_response<F>(work: F) -> FakeHost
where
    F: for<'a> Fn(&'a mut Response) -> BoxFuture<'a, Result> + Send + Sync + 'static,
{
    let runner = Runner::new().plugin(OnResponse::new("test", work));
    FakeHost::new(runner).prepare("test", json!({}))
}

/// What is logged on this thread while it lives.
pub(crate) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

impl Log {
    pub(crate) fn new() -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer(Arc::clone(&text));
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_max_level(tracing::Level::WARN);
        let _guard = tracing::subscriber::set_default(subscriber.finish());
        Self { text, _guard }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let text = self.text.lock().unwrap();
        String::from_utf8_lossy(&text)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

#[derive(Clone)]
struct Writer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
