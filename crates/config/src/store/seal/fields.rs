//! Where secrets stand in documents.

use std::collections::HashMap;

use serde_json::Value;

use super::super::Key;
use crate::way::Step;

/// What a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// A property of a plugin's configuration.
    OfPlugin,
    /// A certificate's key.
    PrivateKey,
    /// What a secret manager lets the gateway in by.
    OfManager,
}

/// A secret in a document.
pub(super) struct Found<'v> {
    pub(super) sort: Sort,
    pub(super) text: &'v str,
    pub(super) way: Vec<Step<'v>>,
}

/// Which properties of plugins' configurations hold secrets.
///
/// A property is named by its path: `password`, `session.secret`; `keys[]` names every
/// item of an array.
#[derive(Debug, Clone, Default)]
pub struct SecretFields {
    plugins: HashMap<String, OfPlugin>,
}

#[derive(Debug, Clone, Default)]
struct OfPlugin {
    requests: Vec<String>,
    consumers: Vec<String>,
}

impl SecretFields {
    /// The same with those of the plugin `name`: in what it is configured with for
    /// requests, and in what it knows consumers by. A plugin that knows nobody
    /// is configured for a consumer's requests as for others.
    #[must_use]
    pub fn with(mut self, name: &str, requests: &[&str], consumers: &[&str]) -> Self {
        let owned = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
        let requests: Vec<String> = owned(requests);
        let consumers = match consumers {
            [] => requests.clone(),
            consumers => owned(consumers),
        };
        if !consumers.is_empty() {
            let fields = OfPlugin {
                requests,
                consumers,
            };
            self.plugins.insert(name.to_owned(), fields);
        }
        self
    }

    /// The secrets in a document.
    pub(super) fn find<'v>(&'v self, key: &Key, value: &'v Value) -> Vec<Found<'v>> {
        let mut search = Search::default();
        match key.kind() {
            "routes" | "services" => {
                self.plugins(&mut search, value, false);
                search.find(value, "upstream.tls.client_key", Sort::PrivateKey);
            }
            "plugin_configs" | "global_rules" | "consumer_groups" => {
                self.plugins(&mut search, value, false);
            }
            "consumers" | "credentials" => self.plugins(&mut search, value, true),
            "upstreams" => search.find(value, "tls.client_key", Sort::PrivateKey),
            "ssls" => {
                search.find(value, "key", Sort::PrivateKey);
                search.find(value, "keys[]", Sort::PrivateKey);
            }
            "secrets" => {
                for path in MANAGERS {
                    search.find(value, path, Sort::OfManager);
                }
            }
            _ => {}
        }
        search.found
    }

    fn plugins<'v>(&'v self, search: &mut Search<'v>, value: &'v Value, of_consumer: bool) {
        let Some(Value::Object(plugins)) = value.get("plugins") else {
            return;
        };
        for (name, conf) in plugins {
            let Some(fields) = self.plugins.get(name) else {
                continue;
            };
            let paths = match of_consumer {
                true => &fields.consumers,
                false => &fields.requests,
            };
            search.way = vec![Step::Key("plugins"), Step::Key(name)];
            for path in paths {
                search.find(conf, path, Sort::OfPlugin);
            }
            search.way.clear();
        }
    }
}

/// Of Vault, AWS and GCP.
const MANAGERS: [&str; 4] = [
    "token",
    "secret_access_key",
    "session_token",
    "auth_config.private_key",
];

#[derive(Default)]
struct Search<'v> {
    way: Vec<Step<'v>>,
    found: Vec<Found<'v>>,
}

impl<'v> Search<'v> {
    fn find(&mut self, value: &'v Value, path: &'v str, sort: Sort) {
        let (step, rest) = path.split_once('.').unwrap_or((path, ""));
        let name = step.strip_suffix("[]").unwrap_or(step);
        let Some(next) = value.get(name) else {
            return;
        };
        self.way.push(Step::Key(name));
        if name == step {
            self.go_on(next, rest, sort);
        } else {
            for (index, item) in next.as_array().into_iter().flatten().enumerate() {
                self.way.push(Step::Index(index));
                self.go_on(item, rest, sort);
                self.way.pop();
            }
        }
        self.way.pop();
    }

    fn go_on(&mut self, value: &'v Value, rest: &'v str, sort: Sort) {
        match value {
            Value::String(text) if rest.is_empty() => {
                let way = self.way.clone();
                self.found.push(Found { sort, text, way });
            }
            _ if rest.is_empty() => {}
            _ => self.find(value, rest, sort),
        }
    }
}
