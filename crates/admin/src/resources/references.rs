//! Which resources name which.

use outrigger_config::store::{Condition, Inventory, Key};
use serde_json::{Map, Value};

use super::Kind;

/// The property of each kind that names one of another kind.
const REFERENCES: [(Kind, &str, Kind); 5] = [
    (Kind::Route, "upstream_id", Kind::Upstream),
    (Kind::Route, "service_id", Kind::Service),
    (Kind::Route, "plugin_config_id", Kind::PluginConfig),
    (Kind::Service, "upstream_id", Kind::Upstream),
    (Kind::Consumer, "group_id", Kind::ConsumerGroup),
];

/// Checks that everything that `conf` names is there. Returns what has to stay
/// so for this to be right.
///
/// # Errors
/// What is not there.
pub(super) fn check(
    kind: Kind,
    conf: &Map<String, Value>,
    inventory: &Inventory,
) -> Result<Vec<Condition>, String> {
    let mut conditions = Vec::new();
    for (_, property, of) in REFERENCES.iter().filter(|(by, ..)| *by == kind) {
        if let Some(id) = conf.get(*property) {
            conditions.push(find(*of, id, inventory)?);
        }
    }
    let upstream = match kind {
        Kind::Upstream => Some(conf),
        _ => conf.get("upstream").and_then(Value::as_object),
    };
    let certificate = upstream.and_then(|upstream| upstream.get("tls")?.get("client_cert_id"));
    if let Some(id) = certificate {
        let found = find(Kind::Ssl, id, inventory)?;
        if let Condition::Same(key) = &found
            && let Some(ssl) = inventory.get(key)
            && ssl.value.get("type").and_then(Value::as_str) != Some("client")
        {
            let id = text_of(id);
            return Err(format!(
                "failed to fetch ssl info by ssl id [{id}], wrong ssl type"
            ));
        }
        conditions.push(found);
    }
    Ok(conditions)
}

fn find(kind: Kind, id: &Value, inventory: &Inventory) -> Result<Condition, String> {
    let text = text_of(id);
    let key = Key::new(kind.collection(), &text).ok();
    match key.filter(|key| inventory.get(key).is_some()) {
        Some(key) => Ok(Condition::Same(key)),
        None => {
            let name = kind.name();
            Err(format!(
                "failed to fetch {name} info by {name} id [{text}], response code: 404"
            ))
        }
    }
}

/// Who names the resource `id`: what to say to whoever wants to delete it; or
/// what has to stay so for nobody to.
pub(crate) fn users_of(
    kind: Kind,
    id: &str,
    inventory: &Inventory,
) -> Result<Vec<Condition>, String> {
    let mut conditions = Vec::new();
    for (by, property, _) in REFERENCES.iter().filter(|(.., of)| *of == kind) {
        let prefix = Key::prefix_of(by.collection());
        let names = |value: &Value| value.get(*property).is_some_and(|it| text_of(it) == id);
        let user = inventory
            .collection(by.collection())
            .find(|(_, entry)| names(&entry.value));
        if let Some((user, _)) = user {
            return Err(in_use(kind, *by, user.id()));
        }
        conditions.push(Condition::NothingNewer(prefix));
    }
    if kind == Kind::Ssl {
        for by in [Kind::Upstream, Kind::Route, Kind::Service] {
            let path = match by {
                Kind::Upstream => "/tls/client_cert_id",
                _ => "/upstream/tls/client_cert_id",
            };
            let names = |value: &Value| value.pointer(path).is_some_and(|it| text_of(it) == id);
            let mut all = inventory.collection(by.collection());
            if let Some((user, _)) = all.find(|(_, entry)| names(&entry.value)) {
                return Err(in_use(kind, by, user.id()));
            }
            conditions.push(Condition::NothingNewer(Key::prefix_of(by.collection())));
        }
    }
    Ok(conditions)
}

fn in_use(kind: Kind, by: Kind, user: &str) -> String {
    let directly = match kind {
        Kind::Service => " directly",
        _ => "",
    };
    format!(
        "can not delete this {}{directly}, {} [{user}] is still using it now",
        kind.name(),
        by.name()
    )
}

/// An id as the key has it: `7` and `"7"` are the same.
pub(crate) fn text_of(id: &Value) -> String {
    match id {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
