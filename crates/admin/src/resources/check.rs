//! Whether a resource may be kept: by its schema, what it names, its plugins,
//! and last by the model, which is what requests will run on.

use outrigger_config::store::{Condition, Inventory, Key};
use outrigger_model::{
    Consumer, ConsumerGroup, Credential, Faults, GlobalRule, PluginConfig, Route, Service, Upstream,
};
use serde_json::{Map, Value};

use super::fault::worded;
use super::plugins::check_vars;
use super::{Catalogue, Kind, PluginUse, references, schema_of, upstream};

/// Checks a resource that agrees with its schema ([`check_schema`]) and is to be
/// kept under `key`. Returns what has to stay so for this to be right.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub(crate) fn check(
    kind: Kind,
    key: &Key,
    conf: &Map<String, Value>,
    inventory: &Inventory,
    catalogue: &Catalogue,
) -> Result<Vec<Condition>, String> {
    let document = Value::Object(conf.clone());
    if let Some(why) = kind.unsupported() {
        return Err(why.to_owned());
    }
    let own_upstream = match kind {
        Kind::Upstream => Some(conf),
        _ => conf.get("upstream").and_then(Value::as_object),
    };
    own_upstream.map_or(Ok(()), upstream::check)?;
    let mut conditions = references::check(kind, conf, inventory)?;
    check_plugins(kind, key, conf, catalogue)?;
    if kind == Kind::GlobalRule {
        conditions.extend(check_global_rule(key, conf, inventory)?);
    }
    if kind == Kind::Ssl {
        check_certificates(conf)?;
    }
    conf.get("vars").map_or(Ok(()), check_vars)?;
    check_model(kind, key, &document).map_err(|faults| {
        let first = faults.iter().next().map(worded).unwrap_or_default();
        format!("invalid configuration: {first}")
    })?;
    Ok(conditions)
}

/// Checks a document by the schema of its kind alone.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_schema(kind: Kind, document: &Value) -> Result<(), String> {
    schema_of(kind).schema.check(document)
}

fn check_plugins(
    kind: Kind,
    key: &Key,
    conf: &Map<String, Value>,
    catalogue: &Catalogue,
) -> Result<(), String> {
    if kind == Kind::PluginMetadata {
        return catalogue.check_metadata(key.id(), &Value::Object(conf.clone()));
    }
    let Some(plugins) = conf.get("plugins") else {
        return Ok(());
    };
    if !matches!(kind, Kind::Consumer | Kind::Credential) {
        return catalogue.check_all(plugins, PluginUse::Requests, key);
    }
    catalogue
        .check_all(plugins, PluginUse::Consumer, key)
        .map_err(|why| format!("invalid plugins configuration: {why}"))?;
    let is_auth = |name: &String| catalogue.get(name).is_some_and(|plugin| plugin.is_auth);
    let mut names = plugins.as_object().into_iter().flat_map(Map::keys);
    if kind == Kind::Credential && !names.all(is_auth) {
        return Err("only supports auth type plugins in consumer credential".to_owned());
    }
    Ok(())
}

/// Which of two global rules a plugin would run for is nobody's guess.
fn check_global_rule(
    key: &Key,
    conf: &Map<String, Value>,
    inventory: &Inventory,
) -> Result<Vec<Condition>, String> {
    let collection = key.collection();
    let of = |plugins: Option<&Value>, name: &str| plugins.is_some_and(|it| it.get(name).is_some());
    for (other, entry) in inventory.collection(collection) {
        let plugins = conf.get("plugins").and_then(Value::as_object);
        let twice = plugins
            .into_iter()
            .flat_map(Map::keys)
            .find(|name| of(entry.value.get("plugins"), name));
        if let Some(name) = twice.filter(|_| other != key) {
            let id = other.id();
            return Err(format!(
                "plugin '{name}' already exists in global rule with id '{id}'"
            ));
        }
    }
    Ok(vec![Condition::NothingNewer(Key::prefix_of(collection))])
}

fn check_certificates(conf: &Map<String, Value>) -> Result<(), String> {
    let count = |name: &str| conf.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    if count("certs") != count("keys") {
        return Err("mismatched number of certs and keys".to_owned());
    }
    let all = |one: &str, many: &str| -> Vec<&str> {
        let more = conf.get(many).and_then(Value::as_array);
        let all = conf.get(one).into_iter().chain(more.into_iter().flatten());
        all.filter_map(Value::as_str)
            .filter(|text| !text.starts_with('$'))
            .collect()
    };
    let is_pem = |text: &&str, what: &str| {
        text.contains("-----BEGIN ") && text.contains(&format!("{what}-----\n"))
    };
    if !all("cert", "certs")
        .iter()
        .all(|it| is_pem(it, "CERTIFICATE"))
    {
        return Err("failed to parse cert: it is not in PEM format".to_owned());
    }
    if !all("key", "keys")
        .iter()
        .all(|it| is_pem(it, "PRIVATE KEY"))
    {
        return Err("failed to parse key: it is not in PEM format".to_owned());
    }
    Ok(())
}

/// What the model has no type for yet serves no request.
fn check_model(kind: Kind, key: &Key, document: &Value) -> Result<(), Faults> {
    match kind {
        Kind::Route => Route::from_json(document).map(drop),
        Kind::Service => Service::from_json(document).map(drop),
        Kind::Upstream => Upstream::from_json(document).map(drop),
        Kind::Consumer => Consumer::from_json(document).map(drop),
        Kind::ConsumerGroup => ConsumerGroup::from_json(document).map(drop),
        Kind::PluginConfig => PluginConfig::from_json(document).map(drop),
        Kind::GlobalRule => GlobalRule::from_json(document).map(drop),
        Kind::Credential => {
            let below = Key::prefix_of(Kind::Consumer.collection());
            let key = key.as_str().strip_prefix(&below).unwrap_or_default();
            Credential::from_json(document, key).map(drop)
        }
        Kind::Ssl | Kind::PluginMetadata | Kind::Proto | Kind::Secret => Ok(()),
    }
}
