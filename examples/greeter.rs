//! The smallest useful plugin: a header for the upstream, a header for the client.
//!
//! Start it by hand with
//! `APISIX_LISTEN_ADDRESS=unix:/tmp/runner.sock cargo run -p outrigger-runner --example greeter`
//! and give the gateway `ext-plugin: {path_for_test: /tmp/runner.sock}`, or name
//! the program in `ext-plugin.cmd`.

use outrigger_runner::{Plugin, Request, Response, Result, Runner, ServeError};
use serde::Deserialize;

struct Greeter;

#[derive(Deserialize)]
struct Conf {
    greeting: String,
}

impl Plugin for Greeter {
    type Conf = Conf;

    fn name(&self) -> &str {
        "greeter"
    }

    async fn request(&self, conf: &Conf, request: &mut Request) -> Result {
        request.headers_mut().set("x-greeting", &conf.greeting);
        Ok(())
    }

    async fn response(&self, conf: &Conf, response: &mut Response) -> Result {
        response.headers_mut().set("x-greeting", &conf.greeting);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), ServeError> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    Runner::new().plugin(Greeter).serve_from_env().await
}
