//! The `X-Forwarded-*` and `X-Real-IP` fields, as APISIX sets them: what an
//! untrusted client says in them is replaced, what a trusted one says stays.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::exchange::Client;
use crate::host_name::HostName;

static FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// A connection's own values, written once.
#[derive(Debug)]
pub(crate) struct Values {
    peer: HeaderValue,
    port: HeaderValue,
}

impl Values {
    pub(crate) fn new(peer: SocketAddr, local: SocketAddr) -> Self {
        let peer = peer.ip().to_canonical().to_string();
        Values {
            peer: HeaderValue::from_str(&peer).expect("an address is of visible ASCII"),
            port: HeaderValue::from(local.port()),
        }
    }

    pub(crate) fn peer(&self) -> &HeaderValue {
        &self.peer
    }
}

/// When a request comes in, before any plugin sees it.
pub(crate) fn receive(headers: &mut HeaderMap, client: &Client, host: &HostName) {
    if !client.trusted {
        headers.remove(&FOR);
    }
    let keep =
        |headers: &HeaderMap, name: &HeaderName| client.trusted && headers.contains_key(name);
    if !keep(headers, &PROTO) {
        headers.insert(PROTO, HeaderValue::from_static(client.scheme));
    }
    if !keep(headers, &HOST) {
        headers.insert(HOST, host.to_value());
    }
    if !keep(headers, &PORT) {
        headers.insert(PORT, client.values.port.clone());
    }
}

/// Whether a field of the request is replaced by one of [`send`].
pub(crate) fn is_sent_anew(name: &HeaderName) -> bool {
    *name == FOR || *name == REAL_IP
}

/// When a request goes out that came from `peer`: shows `field` those that are
/// written anew.
pub(crate) fn send(
    headers: &HeaderMap,
    peer: &HeaderValue,
    mut field: impl FnMut(&HeaderName, &HeaderValue),
) {
    match chain(headers, peer) {
        None => field(&FOR, peer),
        Some(chain) => field(&FOR, &chain),
    }
    field(&REAL_IP, peer);
}

/// Who the request came through, if its field is to say more than `peer`. An
/// untrusted client's own word has been taken out already.
fn chain(headers: &HeaderMap, peer: &HeaderValue) -> Option<HeaderValue> {
    let mut earlier = headers.get_all(&FOR).iter().peekable();
    earlier.peek()?;
    let mut chain = Vec::new();
    for value in earlier {
        chain.extend_from_slice(value.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(peer.as_bytes());
    HeaderValue::from_bytes(&chain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(trusted: bool, sent: &[(&'static str, &'static str)]) -> HeaderMap {
        let client = Client::new(
            "192.0.2.7:5000".parse().unwrap(),
            "127.0.0.1:9080".parse().unwrap(),
            "http",
            1,
            trusted,
        );
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let host = HostName::parse(&HeaderValue::from_static("a.test:9080")).unwrap();
        receive(&mut headers, &client, &host);
        let mut sent = HeaderMap::new();
        let names = headers.iter().filter(|(name, _)| !is_sent_anew(name));
        sent.extend(names.map(|(name, value)| (name.clone(), value.clone())));
        send(&headers, client.values.peer(), |name, value| {
            sent.append(name, value.clone());
        });
        sent
    }

    #[test]
    fn what_an_untrusted_client_says_is_replaced() {
        let sent = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "front.test"),
            ("x-forwarded-port", "443"),
            ("x-real-ip", "1.2.3.4"),
        ];
        let headers = pass(false, &sent);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "a.test");
        assert_eq!(headers["x-forwarded-port"], "9080");
        assert_eq!(headers["x-real-ip"], "192.0.2.7");
    }

    #[test]
    fn what_a_trusted_client_says_stays_and_the_chain_grows() {
        let sent = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-for", "5.6.7.8"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "front.test"),
        ];
        let headers = pass(true, &sent);
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4, 5.6.7.8, 192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "front.test");
        assert_eq!(headers["x-forwarded-port"], "9080");
    }
}
