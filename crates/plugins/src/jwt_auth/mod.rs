//! `jwt-auth`: a signed token tells who makes a request (RFC 7519).
//!
//! A token names a consumer's key; that consumer's own algorithm and key decide
//! whether the signature holds, never what the token says of itself. Tokens
//! are checked here and made elsewhere.

mod crypto;
mod key;

use std::fmt;
use std::future::ready;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use outrigger_engine::args::{Arg, ArgEdit, edit};
use outrigger_engine::consumer::{Credential, Identity};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture, Secrets};
use outrigger_engine::response::Refusal;
use outrigger_model::Fault;
use outrigger_model::read::{At, Object};
use serde_json::{Map, Value};

use crate::auth::Terms;
use crate::conf;
use key::Key;

const NAME: &str = "jwt-auth";

/// Makes `jwt-auth` plugins.
pub(crate) struct JwtAuthFactory;

impl Factory for JwtAuthFactory {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        2510
    }

    fn secrets(&self) -> Secrets {
        Secrets {
            consumers: &["secret", "private_key"],
            ..Secrets::default()
        }
    }

    fn build(&self, json: &Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        Ok(Arc::new(conf::read_with(json, JwtAuth::read)?))
    }

    fn credential(&self, json: &Value) -> Option<Result<Credential, Fault>> {
        Some(conf::read_with(json, |object| {
            let name = object
                .require("key")
                .and_then(|at| crate::auth::secret(&at));
            let key = Key::read(object);
            Some(Credential {
                key: name?.into_bytes(),
                secret: Arc::new(key?),
            })
        }))
    }
}

/// One configuration.
struct JwtAuth {
    field: HeaderName,
    query: String,
    cookie: String,
    /// The claim with the consumer's key.
    key_claim: String,
    /// Claims that a token must have.
    required: Vec<&'static str>,
    terms: Terms,
}

/// Where a token was found.
#[derive(Debug, Clone, Copy)]
enum Place {
    Header,
    Query,
    Cookie,
}

impl JwtAuth {
    fn read(object: &Object<'_>) -> Option<Self> {
        let field = object.read("header", |at| at.accept(at.string()?.parse::<HeaderName>()));
        let query = object.read("query", At::string);
        let cookie = object.read("cookie", At::string);
        let key_claim = object.read("key_claim_name", |at| at.text(1..=usize::MAX));
        let required = object.read("claims_to_verify", |at| {
            let claims = at.items()?.map(|item| item.one_of(&key::CLAIMS));
            claims.collect::<Option<Vec<_>>>()
        });
        // What APISIX leaves to plugins in Lua; here nobody could read it.
        object.read("store_in_ctx", At::boolean);
        Some(Self {
            field: field.unwrap_or(header::AUTHORIZATION),
            query: query.unwrap_or("jwt").to_owned(),
            cookie: cookie.unwrap_or("jwt").to_owned(),
            key_claim: key_claim.unwrap_or("key").to_owned(),
            required: required.unwrap_or_default(),
            terms: Terms::read(object, "jwt"),
        })
    }

    fn run(&self, exchange: &mut Exchange) -> Flow {
        let found = self.find(exchange).ok_or("Missing JWT token in request");
        let outcome =
            found.and_then(|(token, place)| Ok((self.identify(exchange, &token)?, place)));
        match outcome {
            Ok((identity, place)) => {
                if self.terms.hide_credentials {
                    self.hide(exchange, place);
                }
                exchange.attach(identity);
                Flow::Continue
            }
            Err(message) => self.terms.refuse(exchange, NAME, "Bearer", message),
        }
    }

    fn identify(&self, exchange: &Exchange, token: &[u8]) -> Result<Identity, &'static str> {
        let claims = jsonwebtoken::decode_header(token)
            .and_then(|_| jsonwebtoken::dangerous::insecure_decode_claims::<Map<_, _>>(token))
            .map_err(|_| "JWT token invalid")?;
        let name: Option<&Value> = claims.get(&self.key_claim);
        let name = name.ok_or("missing user key in JWT token")?;
        let identity = name
            .as_str()
            .and_then(|name| exchange.identify(NAME, name.as_bytes()))
            .ok_or("Invalid user key in JWT token")?;
        let key = identity.secret.downcast_ref::<Key>();
        match key.map(|key| key.verify(token, &self.required)) {
            Some(Ok(())) => Ok(identity),
            Some(Err(error)) => {
                let consumer = &*identity.consumer.name;
                tracing::debug!(plugin = NAME, consumer, "a token does not hold: {error}");
                Err("failed to verify jwt")
            }
            None => Err("failed to verify jwt"),
        }
    }

    /// The header goes first, then the query. Several tokens in one place are none.
    fn find(&self, exchange: &Exchange) -> Option<(Vec<u8>, Place)> {
        if let Some(field) = exchange.headers.get(&self.field) {
            return Some((bare(field.as_bytes()).to_vec(), Place::Header));
        }
        let named = |arg: &Arg<'_>| *arg.name == *self.query.as_bytes();
        let mut args = exchange.target.args().filter(named);
        if let Some(first) = args.next() {
            let token = match args.next() {
                None => first.value.unwrap_or_default().into_owned(),
                Some(_) => Vec::new(),
            };
            return Some((token, Place::Query));
        }
        let mut cookies = cookies(&exchange.headers).filter(|it| it.name == self.cookie.as_bytes());
        let first = cookies.next()?.value;
        let token = if cookies.next().is_some() { b"" } else { first };
        Some((token.to_vec(), Place::Cookie))
    }

    fn hide(&self, exchange: &mut Exchange, place: Place) {
        match place {
            Place::Header => {
                exchange.headers.remove(&self.field);
            }
            Place::Query => {
                let query = exchange.target.query().unwrap_or_default();
                let left = edit(query, &[ArgEdit::Remove(self.query.as_bytes())]);
                exchange.target.set_query(left.map(Into::into));
            }
            Place::Cookie => {
                let name = self.cookie.as_bytes();
                let others = cookies(&exchange.headers).filter(|it| it.name != name);
                let others: Vec<&[u8]> = others.map(|it| it.whole).collect();
                let left = HeaderValue::from_bytes(&others.join(&b"; "[..]));
                exchange.headers.remove(header::COOKIE);
                // Parts of what was a field's value are one, too.
                if let Some(left) = left.ok().filter(|left| !left.is_empty()) {
                    exchange.headers.insert(header::COOKIE, left);
                }
            }
        }
    }
}

/// A token without the scheme that may stand before it (RFC 6750, section 2.1).
fn bare(field: &[u8]) -> &[u8] {
    match field.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
        _ => field,
    }
}

/// One pair of a `Cookie` field.
struct Cookie<'a> {
    name: &'a [u8],
    value: &'a [u8],
    /// The pair as it was sent.
    whole: &'a [u8],
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    let fields = headers.get_all(header::COOKIE).iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    let pairs = pairs.map(<[u8]>::trim_ascii);
    pairs.filter(|pair| !pair.is_empty()).map(|whole| {
        let equals = whole.iter().position(|byte| *byte == b'=');
        let (name, value) = equals.map_or((whole, &b""[..]), |at| (&whole[..at], &whole[at + 1..]));
        Cookie { name, value, whole }
    })
}

impl fmt::Debug for JwtAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

impl Plugin for JwtAuth {
    fn phases(&self) -> Phases {
        Phases::REWRITE
    }

    fn rewrite<'a>(
        &'a self,
        exchange: &'a mut Exchange,
    ) -> PluginFuture<'a, Result<Flow, Refusal>> {
        Box::pin(ready(Ok(self.run(exchange))))
    }
}

#[cfg(test)]
mod tests;
