//! The Admin API: `/apisix/admin/…`, as APISIX answers it.
//!
//! `access` lets in who has a key; `call` takes a request apart; `read` and
//! `write` answer it, `about` where it is about plugins and schemas. What is right
//! for a resource is the business of `resources`, where it is kept that of
//! the store.

mod about;
mod access;
mod call;
mod merge;
mod read;
mod whole;
mod write;

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use outrigger_config::store::{Inventory, Key as ResourceKey, ReaderEnv, Seal, Store};
use serde_json::{Value, json};

use crate::answer;
use crate::control::Answer;
use crate::limits;
use crate::resources::{Catalogue, Kind};
use crate::server::Peer;

pub(crate) use about::schemas;
pub use access::{Access, Key, Role};
use call::{Call, Place};
pub use whole::Whole;

/// What the gateway does for the Admin API.
pub trait Gateway: Send + Sync + 'static {
    /// Whether requests could run on `next`, which differs from the store in
    /// the resource `key`.
    ///
    /// # Errors
    /// What would not hold that holds now.
    fn try_out(&self, next: &Inventory, key: &ResourceKey) -> Result<(), String>;

    /// As [`try_out`](Self::try_out), for many resources at once.
    ///
    /// # Errors
    /// All that would not hold: of what is `written`, and of what holds now.
    fn try_out_all(
        &self,
        next: &Inventory,
        written: &HashSet<ResourceKey>,
    ) -> Result<(), Vec<(ResourceKey, String)>>;

    /// Waits until requests run on this revision of the store, or on a later
    /// one, or until it is clear that they will not soon.
    fn applied(&self, revision: u64) -> Answer<'_, ()>;

    /// Does what SIGHUP does.
    ///
    /// # Errors
    /// What is wrong with the configuration; nothing was reloaded then.
    fn reload(&self) -> Answer<'_, Result<(), String>>;
}

/// What the Admin API is made of.
pub struct AdminApi {
    /// Who may use it.
    pub access: Access,
    /// Where resources are kept.
    pub store: Arc<dyn Store>,
    /// The plugins that resources may use.
    pub catalogue: Arc<ArcSwap<Catalogue>>,
    /// The gateway that runs on the resources.
    pub gateway: Arc<dyn Gateway>,
    /// Seals the secrets in answers, and opens those that come back.
    pub seal: Arc<Seal>,
    /// Looks up what resources refer to in the environment.
    pub env: ReaderEnv,
    /// Where resources are in memory alone, and told all at once.
    pub whole: Option<Arc<Whole>>,
    /// What keys begin with in answers: `/apisix`.
    pub prefix: String,
    /// Whether web pages of any origin may use it, if they have a key.
    pub cors: bool,
}

/// What the path of every request begins with.
const BASE: &str = "/apisix/admin";

impl AdminApi {
    /// The API, to be [served](crate::server::Bound::serve).
    pub fn router(self) -> Router {
        Router::new().fallback(handle).with_state(Arc::new(self))
    }

    async fn answer(&self, call: Call) -> Response {
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        match (&call.method, &segments[..]) {
            (&Method::OPTIONS, _) => StatusCode::OK.into_response(),
            (&(Method::GET | Method::PUT | Method::POST | Method::PATCH | Method::DELETE), _) => {
                match segments.first().copied().unwrap_or_default() {
                    "plugins" => self.plugins(&call, &segments[1..]).await,
                    "schema" => self.schema(&call, &segments[1..]),
                    _ if self.whole.is_some() => whole::not_one_by_one(),
                    _ => self.resource(&call).await,
                }
            }
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }

    async fn resource(&self, call: &Call) -> Response {
        let place = match Place::of(&call.segments) {
            Ok(place) => place,
            Err((status, why)) => return answer::error(status, why),
        };
        let kind = place.kind;
        let ttl = match call.ttl() {
            Ok(ttl) => ttl,
            Err(why) => return answer::error(StatusCode::BAD_REQUEST, why),
        };
        let supported = match call.method {
            Method::POST => kind.takes_post(),
            Method::PATCH => kind.takes_patch(),
            _ => true,
        };
        if !supported {
            return answer::error(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("not supported `{}` method for {}", call.method, kind.name()),
            );
        }
        match call.method {
            Method::GET => self.read(call, &place),
            Method::DELETE => {
                let force = call.query("force") == Some("true");
                self.write(|now| self.delete(&place, force, now)).await
            }
            Method::PATCH => {
                self.write(|now| self.patch(&place, call.body.as_ref(), ttl, now))
                    .await
            }
            _ => {
                let wanted = if call.method == Method::POST {
                    write::Wanted::New
                } else {
                    write::Wanted::Whole
                };
                self.write(|now| self.put(&place, wanted, call.body.as_ref(), ttl, now))
                    .await
            }
        }
    }

    /// The key of a resource as answers have it.
    fn shown_key(&self, key: &ResourceKey) -> String {
        format!("{}/{key}", self.prefix)
    }
}

async fn handle(
    State(api): State<Arc<AdminApi>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let mut response = admit(&api, peer, request).await;
    let headers = response.headers_mut();
    headers.insert("x-api-version", HeaderValue::from_static("v3"));
    if api.cors {
        allow_pages(headers);
    }
    response
}

/// Checks who asks, and answers.
async fn admit(api: &AdminApi, peer: std::net::SocketAddr, request: Request) -> Response {
    if let Err(why) = api.access.admit_address(peer.ip()) {
        return answer::error(StatusCode::FORBIDDEN, why);
    }
    let (head, body) = request.into_parts();
    let Some(mut call) = Call::of(&head, BASE) else {
        return answer::error(StatusCode::NOT_FOUND, "not found");
    };
    if call.method != Method::OPTIONS {
        let shown = head.headers.get("x-api-key").map(HeaderValue::as_bytes);
        let shown = shown.or_else(|| call.query("api_key").map(str::as_bytes));
        if let Err(why) = api.access.admit(shown, &call.method) {
            let refusal = json!({"error_msg": "failed to check token", "description": why});
            return answer::json(StatusCode::UNAUTHORIZED, &refusal);
        }
    }
    let whole = api.whole.as_ref().filter(|_| call.segments == ["configs"]);
    let limit = whole.map_or(limits::BODY, |_| limits::WHOLE_BODY);
    let Ok(body) = to_bytes(body, limit).await else {
        return answer::error(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body was not read to its end: it has to be of at most {limit} bytes"),
        );
    };
    if let Some(whole) = whole
        && call.method != Method::OPTIONS
    {
        return api.configs(whole, &call.method, &head.headers, &body).await;
    }
    if let Err(why) = call.take_body(&body) {
        return answer::error(
            StatusCode::BAD_REQUEST,
            format!("invalid request body: {why}"),
        );
    }
    api.answer(call).await
}

/// A page needs a key like everybody else, and gets no credentials of the browser's.
fn allow_pages(headers: &mut HeaderMap) {
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "*"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "*"),
        (header::ACCESS_CONTROL_MAX_AGE, "3600"),
    ];
    for (name, value) in allowed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// `{"message": "Key not found"}`, which is what etcd says and APISIX hands on.
fn key_not_found() -> (StatusCode, Value) {
    (StatusCode::NOT_FOUND, json!({"message": "Key not found"}))
}

/// A kind that a collection's name leads to, or what to say of the name.
fn kind_of(collection: &str) -> Result<Kind, (StatusCode, String)> {
    if collection == "stream_routes" {
        let why = "stream mode is disabled, can not add stream routes";
        return Err((StatusCode::BAD_REQUEST, why.to_owned()));
    }
    Kind::of_collection(collection).ok_or_else(|| {
        (
            StatusCode::NOT_FOUND,
            format!("Unsupported resource type: {collection}"),
        )
    })
}

#[cfg(test)]
mod tests;
