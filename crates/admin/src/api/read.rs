//! Looking: one resource, or a list with filters and pages.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use outrigger_config::store::{Entry, Key};
use serde::Serialize;
use serde_json::Value;

use super::call::{Call, Place};
use super::{AdminApi, key_not_found};
use crate::answer;
use crate::limits;
use crate::resources::{Kind, text_of};

impl AdminApi {
    pub(super) fn read(&self, call: &Call, place: &Place) -> Response {
        match &place.id {
            Some(id) if place.part.is_empty() => self.one(place, id),
            Some(_) => not_found(),
            None => self
                .list(call, place)
                .unwrap_or_else(|why| (StatusCode::BAD_REQUEST, why).into_response()),
        }
    }

    fn one(&self, place: &Place, id: &str) -> Response {
        let inventory = self.store.inventory();
        let key = Key::new(&place.collection, id).ok();
        match key.and_then(|key| Some((inventory.get(&key)?, key))) {
            Some((entry, key)) => answer::json(StatusCode::OK, &self.shown(&key, entry)),
            None => not_found(),
        }
    }

    fn list(&self, call: &Call, place: &Place) -> Result<Response, String> {
        let page = Page::of(call)?;
        let inventory = self.store.inventory();
        if let Some(consumer) = place.consumer() {
            let key = Key::new(Kind::Consumer.collection(), consumer);
            if key.is_ok_and(|key| inventory.get(&key).is_none()) {
                return Ok(not_found());
            }
        }
        let filter = Filter::of(call);
        let mut found: Vec<_> = inventory
            .collection(&place.collection)
            .filter(|(_, entry)| filter.matches(&entry.value))
            .collect();
        let total = found.len();
        if let Some(Page { number, size }) = page {
            found.sort_by_key(|(_, entry)| entry.created);
            let first = number.saturating_sub(1).saturating_mul(size);
            let first = usize::try_from(first).unwrap_or(usize::MAX);
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            found = found.into_iter().skip(first).take(size).collect();
        }
        let list: Vec<_> = found
            .into_iter()
            .map(|(key, entry)| self.shown(key, entry))
            .collect();
        Ok(answer::json(StatusCode::OK, &List { total, list }))
    }

    fn shown<'e>(&self, key: &Key, entry: &'e Entry) -> Shown<'e> {
        Shown {
            key: self.shown_key(key),
            value: self.seal.seal_all(key, &entry.value),
            created: entry.created,
            modified: entry.modified,
        }
    }
}

fn not_found() -> Response {
    let (status, body) = key_not_found();
    answer::json(status, &body)
}

/// A list as it is answered. It borrows what it shows: there may be tens of thousands.
#[derive(Serialize)]
struct List<'e> {
    total: usize,
    list: Vec<Shown<'e>>,
}

/// A resource as it is answered.
#[derive(Serialize)]
struct Shown<'e> {
    key: String,
    value: Cow<'e, Value>,
    #[serde(rename = "createdIndex")]
    created: u64,
    #[serde(rename = "modifiedIndex")]
    modified: u64,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page {
    /// From 1.
    number: u64,
    size: u64,
}

impl Page {
    /// None unless both a page and its size are given, in numbers.
    fn of(call: &Call) -> Result<Option<Self>, String> {
        let number = |name: &str| call.query(name).and_then(|text| text.parse::<i64>().ok());
        let size = number("page_size");
        if call.query("page_size").is_some()
            && !size
                .and_then(|size| u64::try_from(size).ok())
                .is_some_and(|size| limits::PAGE.contains(&size))
        {
            let (least, most) = (limits::PAGE.start(), limits::PAGE.end());
            return Err(format!("page_size must be between {least} and {most}"));
        }
        Ok(match (number("page"), size) {
            (Some(page), Some(size)) => Some(Self {
                number: u64::try_from(page).unwrap_or(1).max(1),
                size: size.unsigned_abs(),
            }),
            _ => None,
        })
    }
}

/// Which resources of a list are wanted: those that hold all that is given.
struct Filter<'c> {
    /// A part of the name.
    name: Option<&'c str>,
    /// A label, with its value if there is one after a colon.
    label: Option<&'c str>,
    /// A part of one of the uris.
    uri: Option<&'c str>,
    /// Properties with their values.
    properties: Vec<(String, String)>,
}

impl<'c> Filter<'c> {
    fn of(call: &'c Call) -> Self {
        let properties = call.query("filter").unwrap_or_default();
        Self {
            name: call.query("name"),
            label: call.query("label"),
            uri: call.query("uri"),
            properties: form_urlencoded::parse(properties.as_bytes())
                .into_owned()
                .collect(),
        }
    }

    fn matches(&self, value: &Value) -> bool {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let named = |part: &str| text("name").is_some_and(|name| name.contains(part));
        let labelled = |wanted: &str| {
            let (name, value_wanted) = match wanted.split_once(':') {
                Some((name, value)) => (name, Some(value)),
                None => (wanted, None),
            };
            let label = value.get("labels").and_then(|labels| labels.get(name));
            label.is_some_and(|it| value_wanted.is_none_or(|wanted| it == wanted))
        };
        let leads = |part: &str| {
            let uris = value.get("uris").and_then(Value::as_array);
            let uris = uris.into_iter().flatten().filter_map(Value::as_str);
            text("uri")
                .into_iter()
                .chain(uris)
                .any(|uri| uri.contains(part))
        };
        let has = |(name, wanted): &(String, String)| {
            let found = value.get(name).map(text_of);
            found.as_ref() == Some(wanted)
        };
        self.name.is_none_or(named)
            && self.label.is_none_or(labelled)
            && self.uri.is_none_or(leads)
            && self.properties.iter().all(has)
    }
}
