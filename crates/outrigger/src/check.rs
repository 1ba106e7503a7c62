//! `outrigger check`: reads what `run` would read and says whether it would
//! serve. Starts nothing and listens nowhere.

use std::path::Path;
use std::sync::Arc;

use outrigger_config::{Settings, Source as SourceSettings};
use outrigger_telemetry::metrics::Metrics;

use crate::Failure;
use crate::access_log;
use crate::gateway::{missing_plugins, mode};
use crate::plugins::Plugins;
use crate::run::control_runtime;
use crate::runners;
use crate::source::{Live, Source, env};

#[allow(
    clippy::print_stdout,
    reason = "what the command finds goes to standard output"
)]
pub(crate) fn check(config: &Path) -> Result<(), Failure> {
    let settings = Settings::load(config, &env)?;
    for note in &settings.notes {
        println!("note: {note}");
    }
    for note in settings.access_log.iter().flat_map(access_log::check) {
        println!("note: {note}");
    }
    println!("{}: ok", config.display());
    let runners = runners::without_processes(&settings);
    let metrics = Metrics::new(1);
    let plugins = Plugins::new(&settings, &runners, &metrics);
    if let Some(note) = missing_plugins(&plugins, &settings) {
        println!("note: {note}");
    }
    let registry = plugins.registry(&settings, &runners);
    let seal = settings.data_encryption.seal(plugins.secret_fields());
    let live = Live::new(registry, seal, mode(settings.router), &metrics)?;
    let SourceSettings::File { path, .. } = &settings.source else {
        // The store may be a running gateway's, which lets nobody else in.
        return Ok(());
    };
    control_runtime()?.block_on(Source::open(&settings, Arc::clone(&live)))?;
    println!(
        "{}: ok, {} routes",
        path.display(),
        live.snapshot().load().route_count()
    );
    Ok(())
}
