//! `outrigger demo`: the gateway between a client and an upstream, with a
//! runner beside it, all on free loopback ports; one request shows what each
//! of them sees.

mod echo;
mod story;

use std::net::SocketAddr;
use std::path::Path;

use outrigger_config::Settings;
use serde_json::json;
use tokio::sync::mpsc;

use crate::Failure;
use crate::gateway::Gateway;
use crate::run::{Signal, Signals, control_runtime};
use crate::source::env;

const CONFIG: &str = "config.yaml";

/// Lines of the runner's output that wait to be shown.
const OUTPUT_LINES: usize = 64;

pub(crate) fn run() -> Result<(), Failure> {
    control_runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let folder = tempfile::tempdir()?;
        let upstream = echo::start().await?;
        let settings = configure(folder.path(), upstream)?;
        let (output, mut runner_says) = mpsc::channel(OUTPUT_LINES);
        let mut gateway = Gateway::start(settings, Some(output)).await?;
        let address = *gateway
            .addresses()
            .first()
            .ok_or("the demo has no listener")?;
        story::tell(address, upstream, folder.path(), &mut runner_says).await?;
        loop {
            match signals.next().await {
                Signal::Reload => {
                    let settings = Settings::load(&folder.path().join(CONFIG), &env)?;
                    gateway.reload(settings).await?;
                }
                Signal::Reopen => gateway.reopen_logs(),
                Signal::Stop => break,
            }
        }
        gateway.stop().await;
        Ok(())
    })
}

/// Writes the files that a person would write, and reads them as `run` does.
fn configure(folder: &Path, upstream: SocketAddr) -> Result<Settings, Failure> {
    let program = std::env::current_exe()?;
    let config = json!({
        "apisix": {
            "node_listen": [{"ip": "127.0.0.1", "port": 0}],
            "enable_control": false,
        },
        "deployment": {"role": "data_plane", "role_data_plane": {"config_provider": "yaml"}},
        "ext-plugin": {"cmd": [program, "demo-runner"]},
        "nginx_config": {"envs": ["OUTRIGGER_DEMO_TELL=1"]},
        "outrigger": {"workers": 1},
        "plugin_attr": {"prometheus": {"enable_export_server": false}},
    });
    let upstream = json!({"nodes": {(upstream.to_string()): 1}});
    let external = |conf: serde_json::Value| json!({"conf": [conf]});
    let routes = json!({"routes": [
        {
            "id": "hello",
            "uri": "/hello/*",
            "plugins": {
                "ext-plugin-pre-req": external(json!({
                    "name": "header-rewrite", "value": {"headers": {"X-Plugin-Was-Here": "yes"}},
                })),
            },
            "upstream": upstream,
        },
        {
            "id": "say",
            "uri": "/say",
            "plugins": {
                "ext-plugin-pre-req": external(json!({
                    "name": "say", "value": {"body": "said by the plugin, not by the upstream\n"},
                })),
            },
            "upstream": upstream,
        },
        {
            "id": "limited",
            "uri": "/limited",
            "plugins": {
                "ext-plugin-pre-req": external(json!({
                    "name": "limit-req", "value": {"rate": 1, "burst": 1},
                })),
            },
            "upstream": upstream,
        },
        {"id": "plain", "uri": "/*", "upstream": upstream},
    ]});
    // JSON is YAML.
    let file = folder.join(CONFIG);
    std::fs::write(&file, format!("{config:#}\n"))?;
    std::fs::write(folder.join("apisix.yaml"), format!("{routes:#}\n#END\n"))?;
    Ok(Settings::load(&file, &env)?)
}
