//! What the demo prints.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http::Method;
use serde::Deserialize;
use tokio::sync::mpsc::Receiver;

use crate::Failure;
use crate::client;
use crate::demo_runner::PLUGIN_SAW;

/// How long the runner may take to say what its plugin saw.
const RUNNER_PATIENCE: Duration = Duration::from_secs(5);

const TARGET: &str = "/hello/world?from=demo";

#[allow(clippy::print_stdout, reason = "the story goes to standard output")]
pub(super) async fn tell(
    gateway: SocketAddr,
    upstream: SocketAddr,
    folder: &Path,
    runner_says: &mut Receiver<String>,
) -> Result<(), Failure> {
    let answer = client::request(Method::GET, gateway, TARGET).await?;
    let plugin = tokio::time::timeout(RUNNER_PATIENCE, what_plugin_saw(runner_says)).await;
    let plugin = plugin
        .ok()
        .flatten()
        .ok_or("the runner did not say what its plugin saw")?;
    println!("One request through the gateway:\n");
    println!("  client    sent       GET {TARGET}  to http://{gateway}");
    println!("  plugin    saw        {plugin}, in the runner's process");
    println!("  upstream  saw        at http://{upstream}:");
    let echoed: Echoed = serde_json::from_slice(&answer.body)?;
    println!("                       {} {}", echoed.method, echoed.uri);
    for (name, value) in &echoed.headers {
        println!("                       {name}: {value}");
    }
    println!("  client    received   {}", answer.status);
    for (name, value) in &answer.headers {
        println!(
            "                       {name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        );
    }
    println!(
        "\nThe configuration is in {}: change a route there, it takes effect.",
        folder.display()
    );
    println!("Try:\n");
    println!("  curl -i http://{gateway}/hello/you        # a plugin adds a header");
    println!("  curl -i http://{gateway}/say              # a plugin answers");
    println!(
        "  curl -i http://{gateway}/limited          # a plugin slows requests down to one a second"
    );
    println!("  curl -i http://{gateway}/plain            # no plugin\n");
    println!("Ctrl-C ends the demo.");
    Ok(())
}

/// What the echo upstream answers.
#[derive(Deserialize)]
struct Echoed {
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
}

async fn what_plugin_saw(runner_says: &mut Receiver<String>) -> Option<String> {
    loop {
        let line = runner_says.recv().await?;
        if let Some((_, seen)) = line.split_once(PLUGIN_SAW) {
            return Some(seen.to_owned());
        }
    }
}
