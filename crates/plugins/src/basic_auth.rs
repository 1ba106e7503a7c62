//! `basic-auth`: a name and a password tell who makes a request (RFC 7617).

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header;
use outrigger_engine::consumer::{Credential, Identity};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::schemas::Schemas;
use outrigger_model::Fault;
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::auth::Scheme;
use crate::conf;

static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| conf::schemas(include_str!("../schemas/basic-auth.json")));

/// One configuration; it has nothing of its own.
pub(crate) struct BasicAuth;

#[derive(Deserialize)]
struct OfConsumer {
    username: String,
    password: String,
}

/// What the consumer's password must be.
struct Password(String);

impl Scheme for BasicAuth {
    const NAME: &'static str = "basic-auth";
    const PRIORITY: i32 = 2520;
    const CHALLENGE: &'static str = "Basic";
    const SECRETS: &'static [&'static str] = &["password"];
    type Place = ();

    fn schemas() -> &'static Schemas {
        &SCHEMAS
    }

    fn read(_: &Value) -> Result<Self, Fault> {
        Ok(Self)
    }

    fn credential(json: &Value) -> Result<Credential, Fault> {
        let OfConsumer { username, password } = conf::read_consumer(&SCHEMAS, json)?;
        Ok(Credential {
            key: username.into_bytes(),
            secret: Arc::new(Password(password)),
        })
    }

    fn identify(&self, exchange: &Exchange) -> Result<(Identity, ()), &'static str> {
        let mut fields = exchange.headers.get_all(header::AUTHORIZATION).iter();
        let field = fields.next().ok_or("Missing authorization in request")?;
        if fields.next().is_some() {
            return Err("Invalid authorization in request");
        }
        let (name, password) =
            name_and_password(field.as_bytes()).ok_or("Invalid authorization in request")?;
        let wrong = "Invalid user authorization";
        let identity = exchange.identify(Self::NAME, &name).ok_or(wrong)?;
        let expected = identity.secret.downcast_ref::<Password>().ok_or(wrong)?;
        if bool::from(expected.0.as_bytes().ct_eq(&password)) {
            Ok((identity, ()))
        } else {
            Err(wrong)
        }
    }

    fn hide(&self, exchange: &mut Exchange, (): ()) {
        exchange.headers.remove(header::AUTHORIZATION);
    }
}

/// The password may have colons, the name none.
fn name_and_password(field: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, encoded) = field.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_have_colons_and_spaces() {
        let read = |text: &str| {
            let (name, password) = name_and_password(text.as_bytes())?;
            let text = |bytes| String::from_utf8(bytes).unwrap();
            Some((text(name), text(password)))
        };
        let both = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        assert_eq!(read("Basic am86cDpx"), both("jo", "p:q"));
        assert_eq!(read("basic  am86IHAg"), both("jo", " p "));
        assert_eq!(read("Basic am8="), None);
        assert_eq!(read("Basic !"), None);
        assert_eq!(read("Bearer am86cDpx"), None);
        assert_eq!(read("Basic"), None);
    }
}
