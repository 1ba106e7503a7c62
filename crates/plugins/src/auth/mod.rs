//! Authentication plugins: what they have in common.
//!
//! A [`Scheme`] finds out whose credentials a request has; everything else is the
//! same for all: who goes on without any, how others are refused, and that the
//! upstream does not see what it must not. Secrets that a configuration refers to have been put
//! into it by its source.

mod carrier;

use std::fmt;
use std::future::ready;
use std::marker::PhantomData;
use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use outrigger_engine::consumer::{Credential, Identity};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture, Secrets};
use outrigger_engine::response::Refusal;
use outrigger_engine::schemas::Schemas;
use outrigger_model::Fault;
use serde::Deserialize;
use serde_json::Value;

pub(crate) use self::carrier::{Carrier, Place};
use crate::{conf, refusal};

/// How consumers prove who they are.
pub(crate) trait Scheme: Sized + Send + Sync + 'static {
    /// The plugin's name.
    const NAME: &'static str;
    /// Its priority.
    const PRIORITY: i32;
    /// What it is called in challenges (RFC 9110, section 11.6.1).
    const CHALLENGE: &'static str;
    /// What of a consumer's configuration is secret.
    const SECRETS: &'static [&'static str];
    /// Where in the request the proof was.
    type Place;

    /// The plugin's schemas; there is one of a consumer's configuration.
    fn schemas() -> &'static Schemas;

    /// Reads a configuration.
    ///
    /// # Errors
    /// The property that does not hold.
    fn read(conf: &Value) -> Result<Self, Fault>;

    /// Reads what a consumer is known by.
    ///
    /// # Errors
    /// The property that does not hold.
    fn credential(conf: &Value) -> Result<Credential, Fault>;

    /// Finds out who makes a request.
    ///
    /// # Errors
    /// The message that the client is refused with.
    fn identify(&self, exchange: &Exchange) -> Result<(Identity, Self::Place), &'static str>;

    /// Takes the proof out of the request.
    fn hide(&self, exchange: &mut Exchange, place: Self::Place);
}

/// Makes the plugins of a scheme.
pub(crate) struct AuthFactory<S>(PhantomData<S>);

impl<S> AuthFactory<S> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<S: Scheme> Factory for AuthFactory<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn priority(&self) -> i32 {
        S::PRIORITY
    }

    fn schemas(&self) -> &Schemas {
        S::schemas()
    }

    fn secrets(&self) -> Secrets {
        Secrets {
            consumers: S::SECRETS,
            ..Secrets::default()
        }
    }

    fn build(&self, json: &Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        let terms = conf::read(&S::schemas().requests, json)?;
        let scheme = S::read(json)?;
        Ok(Arc::new(Auth { scheme, terms }))
    }

    fn credential(&self, json: &Value) -> Option<Result<Credential, Fault>> {
        Some(S::credential(json))
    }
}

/// One configuration.
struct Auth<S> {
    scheme: S,
    terms: Terms,
}

/// On which terms requests are let in.
#[derive(Deserialize)]
struct Terms {
    /// Whether the upstream does not see what the client proved itself with.
    hide_credentials: bool,
    /// Who requests are made for that prove nothing.
    anonymous_consumer: Option<String>,
    /// Printable ASCII without quotes and backslashes, so that it needs no escapes in a
    /// challenge.
    realm: String,
}

impl<S: Scheme> Auth<S> {
    fn run(&self, exchange: &mut Exchange) -> Flow {
        match self.scheme.identify(exchange) {
            Ok((identity, place)) => {
                if self.terms.hide_credentials {
                    self.scheme.hide(exchange, place);
                }
                exchange.attach(identity);
                Flow::Continue
            }
            Err(message) => self.refuse(exchange, message),
        }
    }

    /// Lets the request in as the anonymous consumer's, where there is one;
    /// otherwise answers 401 with this message and a challenge.
    fn refuse(&self, exchange: &mut Exchange, message: &'static str) -> Flow {
        let mut message = message;
        if let Some(name) = &self.terms.anonymous_consumer {
            if let Some(consumer) = exchange.consumer_named(name) {
                exchange.attach_consumer(consumer, None);
                return Flow::Continue;
            }
            let plugin = S::NAME;
            tracing::warn!(
                plugin,
                "there is no consumer {name}, who is to be anonymous"
            );
            message = "Invalid user authorization";
        }
        let mut flow = refusal::with_message(StatusCode::UNAUTHORIZED, message);
        if let Flow::Respond(response) = &mut flow {
            let challenge = format!("{} realm=\"{}\"", S::CHALLENGE, self.terms.realm);
            let challenge = HeaderValue::try_from(challenge).expect("printable ASCII");
            response.headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        flow
    }
}

impl<S: Scheme> fmt::Debug for Auth<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(S::NAME)
    }
}

impl<S: Scheme> Plugin for Auth<S> {
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
