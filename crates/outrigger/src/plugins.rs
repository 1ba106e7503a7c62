//! The plugins that the configuration allows, with the runners that it names.

use outrigger_config::Settings;
use outrigger_config::store::seal::SecretFields;
use outrigger_engine::plugin::{Registry, Secrets};
use outrigger_plugins::{Attributes, External, Runners};
use outrigger_telemetry::metrics::Metrics;

/// What plugins share for as long as the gateway runs.
pub(crate) struct Plugins {
    external: External,
    attributes: Attributes,
}

impl Plugins {
    /// Calls are counted in `metrics`. Of `runners` only the default one is kept:
    /// the others come and go.
    pub(crate) fn new(settings: &Settings, runners: &Runners, metrics: &Metrics) -> Self {
        let plugins = Plugins {
            external: External::new(runners.without_named(), metrics),
            attributes: Attributes::default(),
        };
        plugins.reconfigure(settings);
        plugins
    }

    /// Puts into effect what all plugins share.
    pub(crate) fn reconfigure(&self, settings: &Settings) {
        let bytes = settings.body_memory;
        let bytes = bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        self.external.limit_body_memory(bytes);
        self.attributes.set_https_port(settings.redirect_https_port);
    }

    /// Those that `settings` allow, calling `runners`.
    pub(crate) fn registry(&self, settings: &Settings, runners: &Runners) -> Registry {
        let external = self.external.with_runners(runners.clone());
        let registry = outrigger_plugins::registry(&external, &self.attributes);
        match &settings.plugins {
            None => registry,
            Some(names) => registry.only(names),
        }
    }

    /// Which properties of all plugins' configurations hold secrets, be the plugins
    /// allowed or not.
    pub(crate) fn secret_fields(&self) -> SecretFields {
        let registry = outrigger_plugins::registry(&self.external, &self.attributes);
        let mut fields = SecretFields::default();
        for factory in registry.names().filter_map(|name| registry.get(name).ok()) {
            let Secrets {
                requests,
                consumers,
            } = factory.secrets();
            fields = fields.with(factory.name(), requests, consumers);
        }
        fields
    }

    /// The names in the list `plugins` that no plugin here has.
    pub(crate) fn missing<'s>(&self, settings: &'s Settings) -> Vec<&'s str> {
        let registry = outrigger_plugins::registry(&self.external, &self.attributes);
        let listed = settings.plugins.iter().flatten().map(String::as_str);
        listed
            .filter(|name| !registry.names().any(|known| known == *name))
            .collect()
    }
}
