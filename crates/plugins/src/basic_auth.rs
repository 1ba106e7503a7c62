//! `basic-auth`: a name and a password tell who makes a request (RFC 7617).

use std::fmt;
use std::future::ready;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header;
use outrigger_engine::consumer::{Credential, Identity};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture, Secrets};
use outrigger_engine::response::Refusal;
use outrigger_model::Fault;
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::auth::{self, Terms};
use crate::conf;

const NAME: &str = "basic-auth";

/// Makes `basic-auth` plugins.
pub(crate) struct BasicAuthFactory;

/// What the consumer's password must be.
struct Password(String);

impl Factory for BasicAuthFactory {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        2520
    }

    fn secrets(&self) -> Secrets {
        Secrets {
            consumers: &["password"],
            ..Secrets::default()
        }
    }

    fn build(&self, json: &Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        let terms = conf::read_with(json, |object| Some(Terms::read(object, "basic")))?;
        Ok(Arc::new(BasicAuth { terms }))
    }

    fn credential(&self, json: &Value) -> Option<Result<Credential, Fault>> {
        Some(conf::read_with(json, |object| {
            let name = object.require("username").and_then(|at| auth::secret(&at));
            let password = object.require("password").and_then(|at| auth::secret(&at));
            Some(Credential {
                key: name?.into_bytes(),
                secret: Arc::new(Password(password?)),
            })
        }))
    }
}

/// One configuration.
struct BasicAuth {
    terms: Terms,
}

impl BasicAuth {
    fn run(&self, exchange: &mut Exchange) -> Flow {
        match identify(exchange) {
            Ok(identity) => {
                if self.terms.hide_credentials {
                    exchange.headers.remove(header::AUTHORIZATION);
                }
                exchange.attach(identity);
                Flow::Continue
            }
            Err(message) => self.terms.refuse(exchange, NAME, "Basic", message),
        }
    }
}

fn identify(exchange: &Exchange) -> Result<Identity, &'static str> {
    let mut fields = exchange.headers.get_all(header::AUTHORIZATION).iter();
    let field = fields.next().ok_or("Missing authorization in request")?;
    if fields.next().is_some() {
        return Err("Invalid authorization in request");
    }
    let (name, password) =
        name_and_password(field.as_bytes()).ok_or("Invalid authorization in request")?;
    let wrong = "Invalid user authorization";
    let identity = exchange.identify(NAME, &name).ok_or(wrong)?;
    let expected = identity.secret.downcast_ref::<Password>().ok_or(wrong)?;
    if bool::from(expected.0.as_bytes().ct_eq(&password)) {
        Ok(identity)
    } else {
        Err(wrong)
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

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

impl Plugin for BasicAuth {
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
