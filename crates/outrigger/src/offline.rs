//! What the gateway would run on, without running it.

use std::collections::HashSet;
use std::sync::Arc;

use outrigger_config::Settings;
use outrigger_config::store::{Inventory, Key};
use outrigger_model::Invalid;
use outrigger_telemetry::metrics::Metrics;

use crate::Failure;
use crate::gateway::missing_plugins;
use crate::plugins::Plugins;
use crate::proxy_settings::mode;
use crate::runners;
use crate::source::{self, Live};

/// What resources would be compiled with, and what there is to note of it.
pub(crate) fn live(settings: &Settings) -> Result<(Arc<Live>, Option<String>), Failure> {
    let runners = runners::without_processes(settings);
    let metrics = Metrics::new(1);
    let plugins = Plugins::new(settings, &runners, &metrics);
    let note = missing_plugins(&plugins, settings);
    let registry = plugins.registry(settings, &runners);
    let seal = settings.data_encryption.seal(plugins.secret_fields());
    Ok((
        Live::new(registry, seal, mode(settings.router), &metrics)?,
        note,
    ))
}

/// The resources that requests would not run on.
///
/// # Errors
/// The resources do not agree with each other.
pub(crate) fn broken(live: &Live, inventory: &Inventory) -> Result<Vec<Key>, Failure> {
    let left_out = source::left_out(live, inventory)?;
    Ok(left_out.into_iter().map(|(key, _)| key).collect())
}

/// All that is wrong with resources, but for those `without`.
pub(crate) fn faults(live: &Live, inventory: &Inventory, without: HashSet<Key>) -> Vec<Invalid> {
    source::faults(live, inventory, &without)
}
