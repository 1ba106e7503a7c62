//! `key-auth`: a key in a header or the query tells who makes a request.

use std::fmt;
use std::future::ready;
use std::sync::Arc;

use http::HeaderName;
use outrigger_engine::args::{Arg, ArgEdit, edit};
use outrigger_engine::consumer::Credential;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::plugin::{Factory, Flow, Owner, Phases, Plugin, PluginFuture, Secrets};
use outrigger_engine::response::Refusal;
use outrigger_model::Fault;
use outrigger_model::read::{At, Object};
use serde_json::Value;

use crate::auth::{self, Terms};
use crate::conf;

const NAME: &str = "key-auth";

/// Makes `key-auth` plugins.
pub(crate) struct KeyAuthFactory;

impl Factory for KeyAuthFactory {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        2500
    }

    fn secrets(&self) -> Secrets {
        Secrets {
            consumers: &["key"],
            ..Secrets::default()
        }
    }

    fn build(&self, json: &Value, _: &Owner) -> Result<Arc<dyn Plugin>, Fault> {
        Ok(Arc::new(conf::read_with(json, KeyAuth::read)?))
    }

    fn credential(&self, json: &Value) -> Option<Result<Credential, Fault>> {
        Some(conf::read_with(json, |object| {
            let key = object.require("key").and_then(|at| auth::secret(&at))?;
            Some(Credential {
                key: key.into_bytes(),
                secret: Arc::new(()),
            })
        }))
    }
}

/// One configuration.
struct KeyAuth {
    field: HeaderName,
    query: String,
    terms: Terms,
}

/// Where a key was found.
enum Place {
    Header,
    Query,
}

impl KeyAuth {
    fn read(object: &Object<'_>) -> Option<Self> {
        let field = object.read("header", |at| at.accept(at.string()?.parse::<HeaderName>()));
        let query = object.read("query", At::string);
        Some(Self {
            field: field.unwrap_or(HeaderName::from_static("apikey")),
            query: query.unwrap_or("apikey").to_owned(),
            terms: Terms::read(object, "key"),
        })
    }

    fn run(&self, exchange: &mut Exchange) -> Flow {
        let scheme = "apikey";
        let Some((key, place)) = self.find(exchange) else {
            return self
                .terms
                .refuse(exchange, NAME, scheme, "Missing API key in request");
        };
        // The key is what consumers are looked up by; a hash table's time
        // tells nothing of the keys in it.
        let Some(identity) = exchange.identify(NAME, &key) else {
            return self
                .terms
                .refuse(exchange, NAME, scheme, "Invalid API key in request");
        };
        if self.terms.hide_credentials {
            self.hide(exchange, &place);
        }
        exchange.attach(identity);
        Flow::Continue
    }

    /// The header goes first. Several keys in the query are none that anybody has.
    fn find(&self, exchange: &Exchange) -> Option<(Vec<u8>, Place)> {
        if let Some(key) = exchange.headers.get(&self.field) {
            return Some((key.as_bytes().to_vec(), Place::Header));
        }
        let named = |arg: &Arg<'_>| *arg.name == *self.query.as_bytes();
        let mut args = exchange.target.args().filter(named);
        let first = args.next()?;
        let key = match args.next() {
            None => first.value.unwrap_or_default().into_owned(),
            Some(_) => Vec::new(),
        };
        Some((key, Place::Query))
    }

    fn hide(&self, exchange: &mut Exchange, place: &Place) {
        match place {
            Place::Header => {
                exchange.headers.remove(&self.field);
            }
            Place::Query => {
                let query = exchange.target.query().unwrap_or_default();
                let left = edit(query, &[ArgEdit::Remove(self.query.as_bytes())]);
                exchange.target.set_query(left.map(Into::into));
            }
        }
    }
}

impl fmt::Debug for KeyAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

impl Plugin for KeyAuth {
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
