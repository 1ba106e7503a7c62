//! `key-auth`: a key in a header or the query tells who makes a request.

use std::sync::{Arc, LazyLock};

use outrigger_engine::consumer::{Credential, Identity};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::schemas::Schemas;
use outrigger_model::Fault;
use serde::Deserialize;
use serde_json::Value;

use crate::auth::{Carrier, Place, Scheme};
use crate::conf;

static SCHEMAS: LazyLock<Schemas> =
    LazyLock::new(|| conf::schemas(include_str!("../schemas/key-auth.json")));

/// One configuration.
pub(crate) struct KeyAuth {
    carrier: Carrier,
}

#[derive(Deserialize)]
struct Conf {
    header: String,
    query: String,
}

#[derive(Deserialize)]
struct OfConsumer {
    key: String,
}

impl Scheme for KeyAuth {
    const NAME: &'static str = "key-auth";
    const PRIORITY: i32 = 2500;
    const CHALLENGE: &'static str = "apikey";
    const SECRETS: &'static [&'static str] = &["key"];
    type Place = Place;

    fn schemas() -> &'static Schemas {
        &SCHEMAS
    }

    fn read(json: &Value) -> Result<Self, Fault> {
        let Conf { header, query } = conf::read(&SCHEMAS.requests, json)?;
        let carrier = Carrier {
            field: conf::field("header", &header)?,
            query,
            cookie: None,
        };
        Ok(Self { carrier })
    }

    fn credential(json: &Value) -> Result<Credential, Fault> {
        let OfConsumer { key } = conf::read_consumer(&SCHEMAS, json)?;
        Ok(Credential {
            key: key.into_bytes(),
            secret: Arc::new(()),
        })
    }

    fn identify(&self, exchange: &Exchange) -> Result<(Identity, Place), &'static str> {
        let found = self.carrier.find(exchange);
        let (key, place) = found.ok_or("Missing API key in request")?;
        // The key is what consumers are looked up by; a hash table's time
        // tells nothing of the keys in it.
        let identity = exchange.identify(Self::NAME, &key);
        Ok((identity.ok_or("Invalid API key in request")?, place))
    }

    fn hide(&self, exchange: &mut Exchange, place: Place) {
        self.carrier.hide(exchange, place);
    }
}
