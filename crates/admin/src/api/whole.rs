//! All resources at once: `/apisix/admin/configs`, of a gateway that keeps them in
//! memory alone, which APISIX calls API-driven standalone.
//!
//! Whoever writes tells all resources, with a digest of what he tells; what he tells
//! again by the same digest changes nothing. Each kind has a version: one that is told
//! with the version that it has is left as it is. All of it takes effect, or none.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use outrigger_config::store::{Change, Inventory, Key, StoreError, Write};
use outrigger_config::{Format, apisix_yaml, portable};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::AdminApi;
use crate::answer;
use crate::resources::{self, Kind, text_of};

const DIGEST: &str = "X-Digest";
const LAST_MODIFIED: &str = "X-Last-Modified";

/// What the name of a kind's version ends with.
const VERSION: &str = "_conf_version";

/// Kinds that APISIX has and this gateway has not; nothing is told of them.
const EMPTY: [&str; 2] = ["stream_routes", "plugins"];

/// What was told last, for as long as the gateway runs.
#[derive(Default)]
pub struct Whole(Mutex<Told>);

/// Shows no value: it may hold secrets.
impl std::fmt::Debug for Whole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Whole")
    }
}

#[derive(Clone, Default)]
struct Told {
    digest: Option<HeaderValue>,
    /// In seconds since 1970.
    modified: Option<u64>,
    /// By collections; those that are not here are 0.
    versions: HashMap<&'static str, u64>,
    /// By collections, as they were told, with secrets in plain.
    resources: HashMap<&'static str, Vec<Value>>,
}

/// A resource that was told, with its place.
struct Item {
    collection: &'static str,
    index: usize,
    kind: Kind,
    key: Key,
    /// As a store keeps it.
    value: Value,
}

impl Item {
    fn refused(&self, why: &str) -> String {
        refused(self.collection, self.index, why)
    }
}

fn refused(collection: &str, index: usize, why: &str) -> String {
    format!("invalid {collection} at index {index}, err: {why}")
}

/// All kinds by their collections. Credentials stand among consumers.
fn collections() -> impl Iterator<Item = (&'static str, Kind)> {
    let kinds = Kind::all().filter(|kind| *kind != Kind::Credential);
    kinds.map(|kind| (kind.collection(), kind))
}

impl AdminApi {
    /// Answers `/apisix/admin/configs`.
    pub(super) async fn configs(
        &self,
        whole: &Whole,
        method: &Method,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response {
        // Held to the end: one change after the other.
        let mut told = whole.0.lock().await;
        match *method {
            Method::GET => self.show(&told, headers),
            Method::HEAD => with_marks(&told, StatusCode::OK.into_response()),
            Method::PUT => match self.tell(&told, headers, body).await {
                Ok(Some(next)) => {
                    *told = next;
                    StatusCode::ACCEPTED.into_response()
                }
                Ok(None) => StatusCode::NO_CONTENT.into_response(),
                Err((status, why)) => answer::error(status, why),
            },
            _ => answer::error(StatusCode::NOT_FOUND, "not found"),
        }
    }

    /// Puts what is told into effect. None if it was told before.
    async fn tell(
        &self,
        told: &Told,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Option<Told>, (StatusCode, String)> {
        let bad = |why: String| (StatusCode::BAD_REQUEST, why);
        let digest = headers.get(DIGEST);
        let digest = digest.ok_or_else(|| bad("missing digest header".to_owned()))?;
        let body =
            parsed(headers, body).map_err(|why| bad(format!("invalid request body: {why}")))?;
        if told.digest.as_ref() == Some(digest) {
            return Ok(None);
        }
        let mut next = next(told, &body).map_err(bad)?;
        next.digest = Some(digest.clone());
        next.modified = Some(seconds_since_1970());
        let items = self.items(&mut next).map_err(bad)?;
        let now = self.store.inventory();
        let changes = changes(&items, &now);
        let after = now.after(&changes);
        self.check_all(&items, &changes, &after).map_err(bad)?;
        if !changes.is_empty() {
            let write = Write::of_changes(&now, changes);
            let revision = self
                .store
                .commit(write)
                .await
                .map_err(|error| match error {
                    StoreError::Conflict => (StatusCode::CONFLICT, error.to_string()),
                    StoreError::Unavailable(_) => {
                        (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
                    }
                })?;
            self.gateway.applied(revision).await;
        }
        Ok(Some(next))
    }

    /// All resources of what is told, of which each agrees with its schema and is
    /// there once. Their secrets are opened.
    fn items(&self, told: &mut Told) -> Result<Vec<Item>, String> {
        let mut items = Vec::new();
        for (collection, kind) in collections() {
            let mut seen = HashSet::new();
            let all = told.resources.get_mut(collection).into_iter().flatten();
            for (index, resource) in all.enumerate() {
                let item = self.item((collection, kind), index, resource);
                let item = item.map_err(|why| refused(collection, index, &why))?;
                if !seen.insert(item.key.clone()) {
                    return Err(duplicate(&item));
                }
                items.push(item);
            }
        }
        Ok(items)
    }

    fn item(
        &self,
        (collection, kind): (&'static str, Kind),
        index: usize,
        told: &mut Value,
    ) -> Result<Item, String> {
        let mut resource = told.clone();
        if let Value::Object(resource) = &mut resource {
            // Told by those who write for APISIX; revisions are counted here.
            resource.shift_remove("modifiedIndex");
            if kind != Kind::Consumer && !resource.contains_key("id") {
                // APISIX's name for what has none.
                resource.insert("id".to_owned(), format!("arr_{}", index + 1).into());
            }
        }
        let (key, value) = portable::kept(collection, resource);
        let kind = match &key {
            Ok(key) if key.kind() == Kind::Credential.collection() => Kind::Credential,
            _ => kind,
        };
        resources::check_schema(kind, &value)
            .map_err(|why| format!("invalid configuration: {why}"))?;
        let key = key.map_err(|error| format!("invalid configuration: {error}"))?;
        let value = self.seal.submitted(&key, &value).into_owned();
        *told = as_told(told, &value);
        Ok(Item {
            collection,
            index,
            kind,
            key,
            value,
        })
    }

    /// Whether requests could run on `after`, which consists of `items`.
    fn check_all(
        &self,
        items: &[Item],
        changes: &[Change],
        after: &Inventory,
    ) -> Result<(), String> {
        let catalogue = self.catalogue.load();
        for item in items {
            let Value::Object(conf) = &item.value else {
                return Err(item.refused("invalid configuration: expected an object"));
            };
            resources::check(item.kind, &item.key, conf, after, &catalogue, self.env)
                .map_err(|why| item.refused(&why))?;
        }
        let written = changes.iter().filter_map(|change| match change {
            Change::Put { key, .. } => Some(key.clone()),
            Change::Delete(_) => None,
        });
        let tried = self.gateway.try_out_all(after, &written.collect());
        tried.map_err(|faults| match faults.first() {
            Some((key, why)) => {
                let item = items.iter().find(|item| item.key == *key);
                item.map_or_else(|| format!("{key}: {why}"), |item| item.refused(why))
            }
            None => "requests could not run on it".to_owned(),
        })
    }

    fn show(&self, told: &Told, headers: &HeaderMap) -> Response {
        let mut document = Map::new();
        for (collection, _) in collections() {
            if let Some(all) = told.resources.get(collection) {
                let all = all.iter().map(|resource| self.sealed(collection, resource));
                document.insert(collection.to_owned(), all.collect());
            }
            let version = told.versions.get(collection).copied().unwrap_or(0);
            document.insert(format!("{collection}{VERSION}"), version.into());
        }
        if let (Some(digest), Some(modified)) = (&told.digest, told.modified) {
            document.insert(LAST_MODIFIED.to_owned(), modified.into());
            let digest = String::from_utf8_lossy(digest.as_bytes()).into_owned();
            document.insert(DIGEST.to_owned(), digest.into());
        }
        let accept = headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
        let response = match accept.is_some_and(|accept| accept.starts_with(YAML.as_bytes())) {
            true => {
                let kind = [(header::CONTENT_TYPE, YAML)];
                (kind, portable::plain_yaml(&document)).into_response()
            }
            false => answer::json(StatusCode::OK, &document),
        };
        with_marks(told, response)
    }

    /// A resource as it was told, with its secrets sealed.
    fn sealed(&self, collection: &str, told: &Value) -> Value {
        let (key, value) = portable::kept(collection, told.clone());
        match key {
            Ok(key) => as_told(told, &self.seal.seal_all(&key, &value)),
            Err(_) => told.clone(),
        }
    }
}

const YAML: &str = "application/yaml";

/// The properties that were told, with their values in `resource`, and the id that was
/// told.
fn as_told(told: &Value, resource: &Value) -> Value {
    let (Value::Object(told), Value::Object(resource)) = (told, resource) else {
        return told.clone();
    };
    let property = |(name, value): (&String, &Value)| {
        let value = match name.as_str() {
            "id" => value,
            _ => resource.get(name).unwrap_or(value),
        };
        (name.clone(), value.clone())
    };
    Value::Object(told.iter().map(property).collect())
}

fn with_marks(told: &Told, mut response: Response) -> Response {
    let headers = response.headers_mut();
    if let (Some(digest), Some(modified)) = (&told.digest, told.modified) {
        headers.insert(LAST_MODIFIED, modified.into());
        headers.insert(DIGEST, digest.clone());
    }
    response
}

fn parsed(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, String> {
    if body.trim_ascii().is_empty() {
        return Err("empty request body".to_owned());
    }
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let format = match kind.is_some_and(|kind| kind.starts_with(YAML.as_bytes())) {
        true => Format::Yaml,
        false => Format::Json,
    };
    let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8")?;
    match apisix_yaml::value_of(text, format)? {
        Value::Object(body) => Ok(body),
        _ => Err("expected an object".to_owned()),
    }
}

/// What there is once `body` was told after `told`, unchecked.
fn next(told: &Told, body: &Map<String, Value>) -> Result<Told, String> {
    let mut next = Told::default();
    for (collection, _) in collections() {
        let old = told.versions.get(collection).copied().unwrap_or(0);
        let name = format!("{collection}{VERSION}");
        let version = match body.get(&name) {
            None => old.saturating_add(1),
            Some(told) => told
                .as_u64()
                .ok_or_else(|| format!("{name} must be a number"))?,
        };
        if version < old {
            return Err(format!("{name} must be greater than or equal to ({old})"));
        }
        next.versions.insert(collection, version);
        let all = if version == old {
            told.resources.get(collection).cloned()
        } else {
            match body.get(collection) {
                None | Some(Value::Null) => None,
                Some(Value::Array(all)) => Some(all.clone()),
                Some(_) => return Err(format!("invalid {collection}: expected an array")),
            }
        };
        if let Some(all) = all.filter(|all| !all.is_empty()) {
            next.resources.insert(collection, all);
        }
    }
    let known = |name: &str| {
        let name = name.strip_suffix(VERSION).unwrap_or(name);
        [DIGEST, LAST_MODIFIED].contains(&name) || collections().any(|(known, _)| known == name)
    };
    for (name, value) in body {
        let is_empty = || match value {
            Value::Array(all) => all.is_empty(),
            value => value.is_null() || name.ends_with(VERSION),
        };
        let bare = name.strip_suffix(VERSION).unwrap_or(name);
        let says_nothing = EMPTY.contains(&bare) && is_empty();
        if !known(name) && !says_nothing {
            return Err(format!("there are no resources of the name {name}"));
        }
    }
    Ok(next)
}

/// What has to be done for the store to hold these alone.
fn changes(items: &[Item], now: &Inventory) -> Vec<Change> {
    let wanted: HashSet<&Key> = items.iter().map(|item| &item.key).collect();
    let is_new = |item: &&Item| {
        let present = now.get(&item.key);
        present.is_none_or(|entry| *entry.value != item.value)
    };
    let put = |item: &Item| Change::Put {
        key: item.key.clone(),
        value: Arc::new(item.value.clone()),
        expires: None,
    };
    let puts = items.iter().filter(is_new).map(put);
    let gone = now.iter().filter(|(key, _)| !wanted.contains(key));
    let deletes = gone.map(|(key, _)| Change::Delete(key.clone()));
    puts.chain(deletes).collect()
}

fn duplicate(item: &Item) -> String {
    let (what, id) = match item.kind {
        Kind::Consumer => ("username", item.value.get("username").map(text_of)),
        Kind::Credential => ("credential id", None),
        _ => ("id", item.value.get("id").map(text_of)),
    };
    let id = id.unwrap_or_else(|| {
        let below = Key::prefix_of(item.collection);
        item.key.as_str().trim_start_matches(&below).to_owned()
    });
    format!("found duplicate {what} {id} in {}", item.collection)
}

fn seconds_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// What is answered to whoever wants to change one resource alone.
pub(super) fn not_one_by_one() -> Response {
    let why = "resources are told all at once here: PUT /apisix/admin/configs";
    answer::json(StatusCode::NOT_FOUND, &json!({"error_msg": why}))
}
