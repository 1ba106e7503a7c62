//! `jwt-auth`: a signed token tells who makes a request (RFC 7519).
//!
//! A token names a consumer's key; that consumer's own algorithm and key decide
//! whether the signature holds, never what the token says of itself. Tokens
//! are checked here and made elsewhere.

mod crypto;
mod key;

use std::sync::{Arc, LazyLock};

use outrigger_engine::consumer::{Credential, Identity};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::schemas::Schemas;
use outrigger_model::Fault;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::auth::{Carrier, Place, Scheme};
use crate::conf;
use key::{Claim, Key, OfConsumer};

static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| conf::schemas(include_str!("../../schemas/jwt-auth.json")));

/// One configuration.
pub(crate) struct JwtAuth {
    carrier: Carrier,
    /// The claim with the consumer's key.
    key_claim: String,
    /// Claims that a token must have.
    required: Vec<Claim>,
}

/// `store_in_ctx` is what APISIX leaves to plugins in Lua; here nobody could read it.
#[derive(Deserialize)]
struct Conf {
    header: String,
    query: String,
    cookie: String,
    key_claim_name: String,
    #[serde(default)]
    claims_to_verify: Vec<Claim>,
}

impl Scheme for JwtAuth {
    const NAME: &'static str = "jwt-auth";
    const PRIORITY: i32 = 2510;
    const CHALLENGE: &'static str = "Bearer";
    const SECRETS: &'static [&'static str] = &["secret", "private_key"];
    type Place = Place;

    fn schemas() -> &'static Schemas {
        &SCHEMAS
    }

    fn read(json: &Value) -> Result<Self, Fault> {
        let conf: Conf = conf::read(&SCHEMAS.requests, json)?;
        Ok(Self {
            carrier: Carrier {
                field: conf::field("header", &conf.header)?,
                query: conf.query,
                cookie: Some(conf.cookie),
            },
            key_claim: conf.key_claim_name,
            required: conf.claims_to_verify,
        })
    }

    fn credential(json: &Value) -> Result<Credential, Fault> {
        let conf: OfConsumer = conf::read_consumer(&SCHEMAS, json)?;
        Ok(Credential {
            secret: Arc::new(Key::new(&conf)?),
            key: conf.key.into_bytes(),
        })
    }

    fn identify(&self, exchange: &Exchange) -> Result<(Identity, Place), &'static str> {
        let found = self.carrier.find(exchange);
        let (found, place) = found.ok_or("Missing JWT token in request")?;
        let token = match place {
            Place::Header => bare(&found),
            Place::Query | Place::Cookie => &found,
        };
        let claims = jsonwebtoken::decode_header(token)
            .and_then(|_| jsonwebtoken::dangerous::insecure_decode_claims::<Map<_, _>>(token))
            .map_err(|_| "JWT token invalid")?;
        let name: Option<&Value> = claims.get(&self.key_claim);
        let name = name.ok_or("missing user key in JWT token")?;
        let identity = name
            .as_str()
            .and_then(|name| exchange.identify(Self::NAME, name.as_bytes()))
            .ok_or("Invalid user key in JWT token")?;
        let key = identity.secret.downcast_ref::<Key>();
        match key.map(|key| key.verify(token, &self.required)) {
            Some(Ok(())) => Ok((identity, place)),
            Some(Err(error)) => {
                let (plugin, consumer) = (Self::NAME, &*identity.consumer.name);
                tracing::debug!(plugin, consumer, "a token does not hold: {error}");
                Err("failed to verify jwt")
            }
            None => Err("failed to verify jwt"),
        }
    }

    fn hide(&self, exchange: &mut Exchange, place: Place) {
        self.carrier.hide(exchange, place);
    }
}

/// A token without the scheme that may stand before it (RFC 6750, section 2.1).
fn bare(field: &[u8]) -> &[u8] {
    match field.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
        _ => field,
    }
}

#[cfg(test)]
mod tests;
