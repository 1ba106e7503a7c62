//! What authentication plugins have in common.

use http::{HeaderValue, StatusCode, header};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::Flow;
use outrigger_model::read::{At, Object};

use crate::refusal;

/// On which terms requests are let in.
#[derive(Debug)]
pub(crate) struct Terms {
    /// Whether the upstream does not see what the client proved itself with.
    pub(crate) hide_credentials: bool,
    /// Who requests are made for that prove nothing.
    anonymous: Option<String>,
    realm: String,
}

impl Terms {
    /// `realm` is the one that is named unless configured.
    pub(crate) fn read(object: &Object<'_>, realm: &'static str) -> Self {
        let hide = object.read("hide_credentials", At::boolean);
        let anonymous = object.read("anonymous_consumer", |at| at.text(1..=usize::MAX));
        let configured = object.read("realm", |at| {
            let text = at.text(1..=usize::MAX)?;
            // What a quoted string has without escapes (RFC 9110, section 5.6.4).
            let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
            if !text.bytes().all(plain) {
                at.fault("expected printable ASCII without quotes and backslashes");
            }
            Some(text)
        });
        Self {
            hide_credentials: hide.unwrap_or(false),
            anonymous: anonymous.map(str::to_owned),
            realm: configured.unwrap_or(realm).to_owned(),
        }
    }

    /// Lets the request in as the anonymous consumer's, where there is one;
    /// otherwise answers 401 with this message and a challenge of `scheme`.
    pub(crate) fn refuse(
        &self,
        exchange: &mut Exchange,
        plugin: &'static str,
        scheme: &str,
        message: &str,
    ) -> Flow {
        let mut message = message;
        if let Some(name) = &self.anonymous {
            if let Some(consumer) = exchange.consumer_named(name) {
                exchange.attach_consumer(consumer, None);
                return Flow::Continue;
            }
            tracing::warn!(
                plugin,
                "there is no consumer {name}, who is to be anonymous"
            );
            message = "Invalid user authorization";
        }
        let mut flow = refusal::with_message(StatusCode::UNAUTHORIZED, message);
        if let Flow::Respond(response) = &mut flow {
            let challenge = format!("{scheme} realm=\"{}\"", self.realm);
            let challenge = HeaderValue::try_from(challenge).expect("printable ASCII");
            response.headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        flow
    }
}

/// A text that may be a secret: `$env://NAME` is the environment variable's
/// value.
pub(crate) fn secret(at: &At<'_>) -> Option<String> {
    let text = at.text(1..=usize::MAX)?;
    if let Some(name) = text.strip_prefix("$env://") {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        if value.is_none() {
            at.fault(format!("the environment variable {name} is not set"));
        }
        return value;
    }
    if text.starts_with("$secret://") {
        at.fault("secret managers are not supported: use $env://NAME");
        return None;
    }
    Some(text.to_owned())
}
