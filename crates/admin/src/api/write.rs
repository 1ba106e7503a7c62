//! Changing: whole resources, parts of them, deletions.
//!
//! A change is decided on one state of the store, and made only if what the
//! decision rests on is still so; otherwise it is decided anew.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::response::Response;
use http::StatusCode;
use outrigger_config::store::{Change, Condition, Inventory, Key, StoreError, Write};
use serde_json::{Map, Value, json};

use super::call::Place;
use super::merge::{merge, replace};
use super::{AdminApi, key_not_found};
use crate::answer;
use crate::limits;
use crate::resources::{self, Kind, text_of};

/// What to do, what it rests on, and what to say when it is done.
pub(super) struct Decision {
    conditions: Vec<Condition>,
    changes: Vec<Change>,
    answer: (StatusCode, Value),
}

impl Decision {
    /// The change, as it was decided on the revision `base`.
    pub(super) fn into_write(self, base: u64) -> Write {
        Write {
            base,
            conditions: self.conditions,
            changes: self.changes,
        }
    }
}

/// What is said instead of a change.
type Refusal = (StatusCode, Value);

/// What to do with a whole resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Put it where it says, be there one or not.
    Whole,
    /// Give it an id.
    New,
}

/// When it was made and last changed.
const TIMES: [&str; 2] = ["create_time", "update_time"];

impl AdminApi {
    /// Carries out what `decide` decides.
    pub(super) async fn write(
        &self,
        decide: impl Fn(&Inventory) -> Result<Decision, Refusal>,
    ) -> Response {
        for _ in 0..limits::DECISIONS {
            let inventory = self.store.inventory();
            let mut decision = match decide(&inventory) {
                Ok(decision) => decision,
                Err((status, body)) => return answer::json(status, &body),
            };
            let (status, body) = std::mem::take(&mut decision.answer);
            match self
                .store
                .commit(decision.into_write(inventory.revision()))
                .await
            {
                Ok(revision) => {
                    self.gateway.applied(revision).await;
                    return answer::json(status, &body);
                }
                Err(StoreError::Conflict) => {}
                Err(error @ StoreError::Unavailable(_)) => {
                    tracing::error!("Admin API: {error}");
                    return answer::error(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
                }
            }
        }
        answer::error(
            StatusCode::SERVICE_UNAVAILABLE,
            StoreError::Conflict.to_string(),
        )
    }

    /// Decides on a whole resource.
    pub(super) fn put(
        &self,
        place: &Place,
        wanted: Wanted,
        body: Option<&Value>,
        expires: Option<SystemTime>,
        now: &Inventory,
    ) -> Result<Decision, Refusal> {
        if !place.part.is_empty() {
            return Err(key_not_found());
        }
        let body = body.ok_or_else(|| refuse("missing configurations"))?;
        let Value::Object(conf) = body else {
            let why = resources::check_schema(place.kind, body).err();
            let why = why.unwrap_or_else(|| "wrong type: expected object, got array".to_owned());
            return Err(refuse(format!("invalid configuration: {why}")));
        };
        let mut conf = conf.clone();
        for time in TIMES {
            if conf.contains_key(time) {
                return Err(refuse(format!("the property is forbidden: {time}")));
            }
        }
        match wanted {
            Wanted::Whole => give_id(place, &mut conf)?,
            Wanted::New => {
                if place.id.is_some() || conf.contains_key("id") {
                    let kind = place.kind.name();
                    return Err(refuse(format!("wrong {kind} id, do not need it")));
                }
                // As etcd's clients number what they add.
                let id = format!("{:020}", now.revision() + 1);
                conf.insert("id".to_owned(), id.into());
            }
        }
        let conf = self.opened(place, conf);
        self.keep(place, conf, expires, now)
    }

    /// Decides on a change of a part.
    pub(super) fn patch(
        &self,
        place: &Place,
        body: Option<&Value>,
        expires: Option<SystemTime>,
        now: &Inventory,
    ) -> Result<Decision, Refusal> {
        let (key, entry) = find(place, now)?;
        let body = body.ok_or_else(|| refuse("missing new configuration"))?;
        let Value::Object(mut conf) = Value::clone(&entry.value) else {
            return Err(key_not_found());
        };
        if place.part.is_empty() {
            let Value::Object(patch) = body else {
                return Err(refuse("invalid configuration: expected an object"));
            };
            let patch = self.seal.submitted_as(&key, patch.clone());
            merge(&mut conf, &patch);
        } else {
            let part = self.opened_part(&key, &place.part, body);
            replace(&mut conf, &place.part, &part).map_err(refuse)?;
        }
        let own = own_id(key.id());
        if conf.get("id").is_some_and(|id| text_of(id) != own) {
            return Err(refuse(format!("wrong {} id", place.kind.name())));
        }
        if !conf.contains_key("id") {
            conf.insert("id".to_owned(), own.into());
        }
        let mut decision = self.keep(place, conf, expires.or(entry.expires), now)?;
        decision.answer.0 = StatusCode::OK;
        Ok(decision)
    }

    /// What is meant by a whole resource: it may be one that was shown, changed.
    fn opened(&self, place: &Place, conf: Map<String, Value>) -> Map<String, Value> {
        // Which one it is does not matter, and may still be wrong.
        match Key::new(&place.collection, place.kind.any_id()) {
            Ok(key) => self.seal.submitted_as(&key, conf),
            Err(_) => conf,
        }
    }

    /// What is meant by a part of a resource.
    pub(super) fn opened_part(&self, key: &Key, part: &[String], value: &Value) -> Value {
        let mut around = Map::new();
        if replace(&mut around, part, value).is_err() {
            return value.clone();
        }
        let opened = Value::Object(self.seal.submitted_as(key, around));
        let found = part.iter().try_fold(&opened, |at, name| at.get(name));
        // `null` takes away, and is not there.
        found.cloned().unwrap_or(Value::Null)
    }

    /// Decides to keep `conf`, which has its id.
    fn keep(
        &self,
        place: &Place,
        mut conf: Map<String, Value>,
        expires: Option<SystemTime>,
        now: &Inventory,
    ) -> Result<Decision, Refusal> {
        let kind = place.kind;
        resources::check_schema(kind, &Value::Object(conf.clone()))
            .map_err(|why| refuse(format!("invalid configuration: {why}")))?;
        let id = match kind {
            Kind::Consumer => conf.get("username").map(text_of),
            Kind::Secret => place.id.clone(),
            _ => conf.get("id").map(text_of),
        };
        let id = id.unwrap_or_default();
        let key = Key::new(&place.collection, &id)
            .map_err(|error| refuse(format!("invalid configuration: {error}")))?;
        let mut conditions = match place.consumer() {
            Some(consumer) => vec![Condition::Same(consumer_of(consumer, now)?)],
            None => Vec::new(),
        };
        let catalogue = self.catalogue.load();
        let checked =
            resources::check(kind, &key, &conf, now, &catalogue, self.env).map_err(refuse)?;
        conditions.extend(checked);
        let before = now.get(&key);
        conditions.push(match before {
            Some(_) => Condition::Same(key.clone()),
            None => Condition::Absent(key.clone()),
        });
        if kind.has_times() {
            let time = Value::from(seconds_since_1970());
            let made = before.and_then(|entry| entry.value.get("create_time"));
            let made = made.unwrap_or(&time).clone();
            conf.insert("create_time".to_owned(), made);
            conf.insert("update_time".to_owned(), time);
        }
        let value = Arc::new(Value::Object(conf));
        let status = match before {
            Some(_) => StatusCode::OK,
            None => StatusCode::CREATED,
        };
        let shown = self.seal.seal_all(&key, &value);
        let body = json!({"key": self.shown_key(&key), "value": shown});
        let changes = vec![Change::Put {
            key: key.clone(),
            value,
            expires,
        }];
        let tried = self.gateway.try_out(&now.after(&changes), &key);
        tried.map_err(|why| refuse(format!("invalid configuration: {why}")))?;
        Ok(Decision {
            conditions,
            changes,
            answer: (status, body),
        })
    }

    /// Decides on a deletion.
    pub(super) fn delete(
        &self,
        place: &Place,
        force: bool,
        now: &Inventory,
    ) -> Result<Decision, Refusal> {
        let (key, _) = find(place, now)?;
        let mut conditions = vec![Condition::Same(key.clone())];
        if !force {
            conditions.extend(resources::users_of(place.kind, key.id(), now).map_err(refuse)?);
        }
        let mut changes = vec![Change::Delete(key.clone())];
        if place.kind == Kind::Consumer {
            // A consumer's credentials are nothing without it.
            let below = format!("{key}/");
            changes.extend(
                now.below(&below)
                    .map(|(key, _)| Change::Delete(key.clone())),
            );
            conditions.push(Condition::NothingNewer(below));
        }
        let body = json!({"key": self.shown_key(&key), "deleted": "1"});
        Ok(Decision {
            conditions,
            changes,
            answer: (StatusCode::OK, body),
        })
    }
}

fn refuse(message: impl Into<String>) -> Refusal {
    let message: String = message.into();
    (StatusCode::BAD_REQUEST, json!({"error_msg": message}))
}

/// The resource at `place`.
fn find<'i>(
    place: &Place,
    now: &'i Inventory,
) -> Result<(Key, &'i outrigger_config::store::Entry), Refusal> {
    let id = place.id.as_deref();
    let id = id.ok_or_else(|| refuse(format!("missing {} id", place.kind.name())))?;
    let key = Key::new(&place.collection, id).map_err(|_| key_not_found())?;
    let entry = now.get(&key).ok_or_else(key_not_found)?;
    Ok((key, entry))
}

/// Gives a resource the id that the path has, or sees that it has one.
fn give_id(place: &Place, conf: &mut Map<String, Value>) -> Result<(), Refusal> {
    let kind = place.kind;
    if kind == Kind::Consumer {
        // A consumer's name is its id.
        return match (&place.id, conf.get("username")) {
            (Some(id), Some(name)) if text_of(name) != *id => Err(refuse("wrong username")),
            _ => Ok(()),
        };
    }
    if kind == Kind::Secret {
        match &place.id {
            None => return Err(refuse("missing secret type")),
            Some(id) if !id.contains('/') => return Err(refuse("missing secret id")),
            Some(_) => {}
        }
    }
    match (&place.id, conf.get("id")) {
        (None, None) => Err(refuse(format!("missing {} id", kind.name()))),
        (None, Some(_)) => Ok(()),
        (Some(id), Some(own)) if text_of(own) != own_id(id) => {
            Err(refuse(format!("wrong {} id", kind.name())))
        }
        (Some(id), _) => {
            conf.insert("id".to_owned(), own_id(id).into());
            Ok(())
        }
    }
}

/// The id that a resource itself has, of one that may begin with who keeps the secrets:
/// `vault/1` is `1`.
fn own_id(id: &str) -> &str {
    id.rsplit_once('/').map_or(id, |(_, own)| own)
}

/// The consumer that a credential is for, if there is one.
fn consumer_of(name: &str, now: &Inventory) -> Result<Key, Refusal> {
    let key = Key::new(Kind::Consumer.collection(), name).ok();
    key.filter(|key| now.get(key).is_some()).ok_or_else(|| {
        (
            StatusCode::NOT_FOUND,
            json!({"error_msg": "consumer not found"}),
        )
    })
}

fn seconds_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
