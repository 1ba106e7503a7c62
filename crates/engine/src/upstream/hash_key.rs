//! What a consistent hash goes by.

use crc32fast::Hasher;
use outrigger_model::HashOn;

use crate::exchange::Exchange;
use crate::template::{Piece, Template};
use crate::vars::{Scope, Variable};

/// What of a request decides which node it goes to.
#[derive(Debug)]
pub(super) enum HashKey {
    /// None for a variable that there is not.
    Variable(Option<Variable>),
    Consumer,
    Combination(Template),
}

impl HashKey {
    pub(super) fn new(hash_on: &HashOn) -> Self {
        let variable = |name: String| {
            let variable = Variable::named(&name).map(Variable::into_owned);
            HashKey::Variable(variable)
        };
        match hash_on {
            HashOn::Variable(name) => variable(name.clone()),
            HashOn::Header(name) => variable(format!("http_{}", name.replace('-', "_"))),
            HashOn::Cookie(name) => variable(format!("cookie_{name}")),
            HashOn::Consumer => HashKey::Consumer,
            HashOn::Combination(text) => HashKey::Combination(Template::parse(text)),
        }
    }

    /// The hash of the request's key. A request that has none goes by its
    /// client's address, as in APISIX.
    pub(super) fn hash(&self, exchange: &Exchange) -> u32 {
        let own = match self {
            HashKey::Variable(variable) => variable
                .as_ref()
                .and_then(|variable| variable.value(Scope::of(exchange)))
                .map(|value| crc32fast::hash(&value)),
            HashKey::Consumer => {
                let consumer = exchange.consumer.as_ref();
                consumer.map(|consumer| crc32fast::hash(consumer.name.as_bytes()))
            }
            HashKey::Combination(template) => combined(template, exchange),
        };
        own.unwrap_or_else(|| {
            let client = Variable::named("remote_addr");
            let client = client.and_then(|client| client.value(Scope::of(exchange)));
            crc32fast::hash(client.as_deref().unwrap_or_default())
        })
    }
}

/// None where no variable of the text has a value.
fn combined(template: &Template, exchange: &Exchange) -> Option<u32> {
    let mut hasher = Hasher::new();
    let mut known = false;
    for piece in template.pieces(exchange) {
        hasher.update(piece.as_bytes());
        known |= matches!(&piece, Piece::Value(value) if !value.is_empty());
    }
    known.then(|| hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::tests::exchange;

    fn of(text: &str) -> u32 {
        crc32fast::hash(text.as_bytes())
    }

    #[test]
    fn a_request_without_a_key_goes_by_its_clients_address() {
        let mut exchange = exchange(http::Request::get("/a?x=1").header("host", "a.test"));
        exchange
            .headers
            .insert("x-key", http::HeaderValue::from_static("k"));
        let client = of(&exchange.remote_ip().to_string());
        let name = |name: &str| name.to_owned();
        for (key, expected) in [
            (HashOn::Variable(name("arg_x")), of("1")),
            (HashOn::Variable(name("arg_y")), client),
            (HashOn::Variable(name("mqtt_client_id")), client),
            (HashOn::Variable(name("uri")), of("/a")),
            (HashOn::Header(name("X-Key")), of("k")),
            (HashOn::Cookie(name("c")), client),
            (HashOn::Consumer, client),
            (HashOn::Combination(name("$uri-$arg_x")), of("/a-1")),
            (HashOn::Combination(name("$arg_y-")), client),
        ] {
            let hash = HashKey::new(&key).hash(&exchange);
            assert_eq!(hash, expected, "{key:?}");
        }
    }
}
