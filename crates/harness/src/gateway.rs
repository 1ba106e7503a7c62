//! The gateway as a real process on free ports, with a folder of its own.

mod build;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

pub use build::{Document, GatewayBuilder};

use crate::client::{Client, Request};
use crate::limits;
use crate::output::Output;
use crate::processes::{Process, Signal};
use crate::program::{Exit, Running};
use crate::wait;

/// The routes file beside `config.yaml`.
const ROUTES_FILE: &str = "apisix.yaml";

/// The settings file.
const CONFIG_FILE: &str = "config.yaml";

/// What the gateway logs of its control API, before the address.
const CONTROL: &str = "control API: http://";

/// What the gateway logs of its metrics, before the address and the path.
const METRICS: &str = "metrics: http://";

/// What the gateway logs of its Admin API, before the address.
const ADMIN: &str = "Admin API: http://";

/// The key of the Admin API in tests.
const ADMIN_KEY: &str = "a-key-of-tests";

/// What ends the routes file; the gateway reads no file without it.
const END: &str = "#END";

/// A running gateway. Dropping it kills it and its runners; if the test has
/// failed, its log is printed first.
#[derive(Debug)]
pub struct Gateway {
    running: Running,
    addresses: Vec<SocketAddr>,
    folder: TempDir,
}

impl Gateway {
    /// A gateway to configure and start.
    pub fn build() -> GatewayBuilder {
        GatewayBuilder::new()
    }

    /// Where it listens, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A client for its control API.
    ///
    /// # Panics
    /// If it has none.
    #[track_caller]
    pub fn control(&self) -> Client {
        self.client_of(CONTROL)
    }

    /// A client for its Admin API.
    ///
    /// # Panics
    /// If it has none.
    #[track_caller]
    pub fn admin_api(&self) -> Client {
        self.client_of(ADMIN)
    }

    /// A request to its Admin API, with the key of
    /// [`traditional`](GatewayBuilder::traditional); `path` is below `/apisix/admin/`.
    ///
    /// # Panics
    /// If it has no such API.
    #[track_caller]
    pub fn admin(&self, method: &str, path: &str) -> Request<'static> {
        let target = format!("/apisix/admin/{path}");
        let request = self.admin_api().request(method, &target);
        request.header("X-API-KEY", ADMIN_KEY)
    }

    #[track_caller]
    fn client_of(&self, announcement: &str) -> Client {
        let line = self.wait_log(announcement);
        let url = line.split_once(announcement).expect("it was found").1;
        let address = url.split_whitespace().next().unwrap_or(url);
        Client::new(address.parse().expect("an address is logged"))
    }

    /// Its metrics as they are now.
    ///
    /// # Panics
    /// If it does not hand them out.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let line = self.wait_log(METRICS);
        let url = line.split_once(METRICS).expect("it was found").1;
        let url = url.split_whitespace().next().unwrap_or(url);
        let (address, path) = url.split_at(url.find('/').expect("a path is logged"));
        let client = Client::new(address.parse().expect("an address is logged"));
        let response = client.get(path).send();
        assert_eq!(response.status, 200, "{response:?}");
        String::from_utf8(response.body).expect("metrics are text")
    }

    /// A client for its first listener.
    pub fn client(&self) -> Client {
        Client::new(self.addresses[0])
    }

    /// A GET request to its first listener.
    pub fn get(&self, target: &str) -> Request<'static> {
        self.client().get(target)
    }

    /// A POST request to its first listener.
    pub fn post(&self, target: &str) -> Request<'static> {
        self.client().post(target)
    }

    /// A request to its first listener.
    pub fn request(&self, method: &str, target: &str) -> Request<'static> {
        self.client().request(method, target)
    }

    /// The folder that `config.yaml` and `apisix.yaml` lie in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its log.
    pub fn log(&self) -> &Output {
        self.running.stderr()
    }

    /// Waits for a line of the log that contains `text`, be it old or new.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn wait_log(&self, text: &str) -> String {
        self.log().wait(text)
    }

    /// Replaces the routes and waits until the gateway has applied them.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn set_routes(&self, routes: impl Document) {
        let path = self.folder().join(ROUTES_FILE);
        let text = routes_text(&routes);
        if fs::read_to_string(&path).is_ok_and(|present| present == text) {
            // The gateway would not notice.
            return;
        }
        let mark = self.log().mark();
        write_atomically(&path, &text);
        let verdict = self.log().find(mark, limits::WAIT, |line| {
            line.contains("apisix.yaml: ") && line.contains("applied")
        });
        assert!(
            verdict.is_some_and(|line| !line.contains("not applied")),
            "apisix.yaml was not applied; log:\n{}",
            self.log().text()
        );
    }

    /// Replaces the routes file and waits for nothing.
    pub fn write_routes(&self, routes: impl Document) {
        write_atomically(&self.folder().join(ROUTES_FILE), &routes_text(&routes));
    }

    /// Replaces the settings, which takes effect with SIGHUP.
    pub fn write_config(&self, config: impl Document) {
        let text = build::config_text(&config.text(), self.folder());
        write_atomically(&self.folder().join(CONFIG_FILE), &text);
    }

    /// The gateway's process.
    pub fn process(&self) -> Process {
        self.running.process()
    }

    /// The runners that run now, oldest first.
    pub fn runners(&self) -> Vec<Process> {
        self.process().children()
    }

    /// Waits until `count` runners run, and returns them.
    ///
    /// # Panics
    /// If it does not come to that.
    #[track_caller]
    pub fn wait_runners(&self, count: usize) -> Vec<Process> {
        wait::until(&format!("{count} runners"), || {
            Some(self.runners()).filter(|runners| runners.len() == count)
        })
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// Stops it with SIGTERM and waits for its end.
    ///
    /// # Panics
    /// If it does not end.
    #[track_caller]
    pub fn stop(&self) -> Exit {
        self.signal(Signal::TERM);
        self.running.wait()
    }

    /// Waits for its end after a signal.
    ///
    /// # Panics
    /// If it does not end.
    #[track_caller]
    pub fn wait_exit(&self) -> Exit {
        self.running.wait()
    }

    /// Kills it and its runners.
    pub fn kill(&self) {
        self.running.kill();
    }
}

impl Drop for Gateway {
    #[allow(
        clippy::print_stderr,
        reason = "a failed test shows what the gateway said"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the gateway's log\n{}\n---", self.log().text());
        }
    }
}

/// Replaces a file so that no reader ever sees a part of it.
fn write_atomically(path: &Path, text: &str) {
    let new = path.with_extension("new");
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
    if let Err(error) = written {
        panic!("cannot write {}: {error}", path.display());
    }
}

fn routes_text(routes: &impl Document) -> String {
    let text = routes.text();
    if text.lines().any(|line| line.trim_end() == END) {
        return text;
    }
    format!("{text}\n{END}\n")
}
