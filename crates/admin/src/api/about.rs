//! What there is to know of plugins and schemas.

use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::{AdminApi, kind_of};
use crate::answer;
use crate::resources::{Catalogue, Kind, PluginInfo, check_schema, schema_of};

impl AdminApi {
    /// `plugins/list`, `plugins/reload`, `plugins/NAME`, `plugins?all=true`.
    pub(super) async fn plugins(&self, call: &Call, rest: &[&str]) -> Response {
        let catalogue = self.catalogue.load_full();
        match (&call.method, rest) {
            (&Method::PUT, ["reload"]) => match self.gateway.reload().await {
                Ok(()) => (StatusCode::OK, "done").into_response(),
                Err(why) => answer::error(StatusCode::BAD_REQUEST, why),
            },
            (method, ["reload"]) => answer::error(
                StatusCode::METHOD_NOT_ALLOWED,
                format!(
                    "please use PUT method to reload the plugins, {method} method is not allowed."
                ),
            ),
            (&Method::GET, [] | [_]) if call.query("all") == Some("true") => {
                match call.query("subsystem") {
                    None | Some("http") => answer::json(StatusCode::OK, &plugins(&catalogue)),
                    Some("stream") => answer::json(StatusCode::OK, &json!({})),
                    Some(other) => no_subsystem(other),
                }
            }
            (&Method::GET, ["list"]) => match call.query("subsystem") {
                None | Some("http") => {
                    let names = catalogue.iter().map(|plugin| plugin.name.as_str());
                    answer::json(StatusCode::OK, &names.collect::<Vec<_>>())
                }
                Some("stream") => answer::json(StatusCode::OK, &json!([])),
                Some(_) => (StatusCode::BAD_REQUEST, "invalid subsystem passed").into_response(),
            },
            (&Method::GET, [name]) => match (call.query("subsystem"), catalogue.get(name)) {
                (None | Some("http"), Some(plugin)) => schema_asked_for(call, plugin),
                (None | Some("http" | "stream"), _) => {
                    answer::error(StatusCode::NOT_FOUND, "plugin not found")
                }
                (Some(other), _) => no_subsystem(other),
            },
            _ => answer::error(StatusCode::NOT_FOUND, "not found"),
        }
    }

    /// `schema/NAME`, `schema/plugins/NAME`, `schema/validate/COLLECTION`.
    pub(super) fn schema(&self, call: &Call, rest: &[&str]) -> Response {
        let catalogue = self.catalogue.load();
        match (&call.method, rest) {
            (&Method::POST, ["validate", collection]) => self.validate(call, collection),
            (&Method::GET, ["plugins", name]) => match catalogue.get(name) {
                Some(plugin) => schema_asked_for(call, plugin),
                None => no_schema(name),
            },
            (&Method::GET, [name]) => match Kind::of_schema(name) {
                Some(kind) => answer::json(StatusCode::OK, schema_of(kind).json()),
                None => no_schema(name),
            },
            _ => answer::error(StatusCode::NOT_FOUND, "not found"),
        }
    }

    /// Says what is wrong with a resource by its schema, and keeps nothing.
    fn validate(&self, call: &Call, collection: &str) -> Response {
        let kind = match kind_of(collection) {
            Ok(kind) => kind,
            Err((status, why)) => return answer::error(status, why),
        };
        let Some(body) = &call.body else {
            return answer::error(StatusCode::BAD_REQUEST, "missing configurations");
        };
        match check_schema(kind, body) {
            Ok(()) => StatusCode::OK.into_response(),
            Err(why) => answer::error(StatusCode::BAD_REQUEST, why),
        }
    }
}

fn no_schema(name: &str) -> Response {
    answer::error(StatusCode::BAD_REQUEST, format!("not found schema: {name}"))
}

fn no_subsystem(name: &str) -> Response {
    answer::error(
        StatusCode::BAD_REQUEST,
        format!("unsupported subsystem: {name}"),
    )
}

/// The schema of a plugin's configuration, for requests or, with
/// `schema_type`, for consumers or its metadata.
fn schema_asked_for(call: &Call, plugin: &PluginInfo) -> Response {
    let asked = match call.query("schema_type") {
        Some("consumer") => plugin.consumer_schema.as_ref(),
        Some("metadata") => plugin.metadata_schema.as_ref(),
        _ => Some(&plugin.schema),
    };
    match asked {
        Some(schema) => answer::json(StatusCode::OK, schema),
        None => answer::error(StatusCode::BAD_REQUEST, "not found schema"),
    }
}

/// All schemas, in the shape of `GET /v1/schema` of the control API.
pub(crate) fn schemas(catalogue: &Catalogue) -> Value {
    let main: Map<_, _> = Kind::all()
        .map(|kind| {
            (
                kind.schema_name().to_owned(),
                schema_of(kind).json().clone(),
            )
        })
        .collect();
    json!({"main": main, "plugins": plugins(catalogue), "stream_plugins": {}})
}

fn plugins(catalogue: &Catalogue) -> Value {
    let shown = |plugin: &PluginInfo| {
        let mut shown = json!({
            "priority": plugin.priority,
            "version": 0.1,
            "schema": plugin.schema,
        });
        let more = [
            ("consumer_schema", plugin.consumer_schema.clone()),
            ("metadata_schema", plugin.metadata_schema.clone()),
            ("type", plugin.is_auth.then(|| "auth".into())),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                shown[name] = value;
            }
        }
        (plugin.name.clone(), shown)
    };
    Value::Object(catalogue.iter().map(shown).collect())
}
