//! A bare proxy of one route, to measure the data path alone:
//! `plain LISTEN UPSTREAM WORKERS`.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use outrigger_engine::plugin::Registry;
use outrigger_engine::router::Mode;
use outrigger_engine::snapshot::Snapshot;
use outrigger_model::Resources;
use outrigger_proxy::{Bound, ConnectionSettings, Fixed, Listen, Settings, TlsSettings};
use outrigger_telemetry::metrics::Metrics;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, listen, upstream, workers] = &args[..] else {
        return Err("usage: plain LISTEN UPSTREAM WORKERS".into());
    };
    let route = serde_json::json!({
        "id": "1",
        "uri": "/*",
        "upstream": {"nodes": {(upstream.as_str()): 1}},
    });
    let resources = Resources::from_json(&serde_json::json!({"routes": [route]}))?;
    let compiled = Snapshot::compile(
        resources,
        &Registry::default(),
        Mode::default(),
        &Snapshot::empty(),
    )
    .map_err(|invalid| invalid[0].to_string())?;
    let snapshot = Arc::new(ArcSwap::from_pointee(compiled));
    let fixed = Fixed {
        workers: workers.parse()?,
        metrics: Metrics::new(1),
    };
    let settings = Settings {
        listen: vec![Listen {
            address: listen.parse()?,
            tls: false,
            http2: true,
        }],
        tls: TlsSettings::default(),
        connections: ConnectionSettings {
            trusted: Vec::new(),
            real_ip: None,
            max_head: 32 << 10,
            head_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(10),
        },
        max_body: None,
        max_line: 8 << 10,
        body_timeout: Duration::from_secs(60),
        path_rules: outrigger_engine::target::PathRules::default(),
        drop_underscores: false,
        show_upstream_status: false,
        show_version: true,
        tracer: None,
        access_log: None,
        upstream_trust: outrigger_model::Trust::default(),
        upstream_sni: true,
        health_checks: true,
    };
    let bound = Bound::bind(fixed, settings)?;
    let _running = bound.start(&snapshot)?;
    loop {
        std::thread::park();
    }
}
