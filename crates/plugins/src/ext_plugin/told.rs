//! A request or a response as a runner is told of it.

use std::net::IpAddr;

use http::header;
use outrigger_engine::args::Arg;
use outrigger_engine::exchange::Exchange;
use outrigger_host::a6::{Entry, Method};

use super::traced::{ToldContext, entries};

/// A request's parts in the form that a call borrows.
pub(super) struct Told<'a> {
    pub(super) method: Method,
    pub(super) src_ip: SourceIp,
    pub(super) path: &'a [u8],
    pub(super) args: Vec<Arg<'a>>,
    pub(super) headers: Vec<Entry<'a>>,
}

impl<'a> Told<'a> {
    /// `None` for a method that the protocol has no number for.
    /// Where requests are traced, the runner is told `context`.
    pub(super) fn new(exchange: &'a Exchange, context: Option<ToldContext<'a>>) -> Option<Self> {
        Some(Told {
            method: Method::from_bytes(exchange.method.as_str().as_bytes())?,
            src_ip: SourceIp::new(exchange.remote_ip()),
            path: exchange.target.path(),
            args: exchange.target.args().collect(),
            headers: headers(exchange, context),
        })
    }

    pub(super) fn args(&self) -> Vec<Entry<'_>> {
        let args = self.args.iter();
        args.map(|arg| Entry {
            name: &arg.name,
            value: arg.value.as_deref(),
        })
        .collect()
    }
}

/// The fields of a request; `host` is what the upstream will be sent.
fn headers<'a>(exchange: &'a Exchange, context: Option<ToldContext<'a>>) -> Vec<Entry<'a>> {
    let mut entries = entries(&exchange.headers, context);
    for entry in &mut entries {
        if entry.name == header::HOST.as_str().as_bytes() {
            entry.value = Some(exchange.host_for_upstream().as_bytes());
        }
    }
    entries
}

/// 4 or 16 bytes; an IPv4 address that came in IPv6 clothing is 4.
pub(super) enum SourceIp {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl SourceIp {
    fn new(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => SourceIp::V4(address.octets()),
            IpAddr::V6(address) => SourceIp::V6(address.octets()),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            SourceIp::V4(octets) => octets,
            SourceIp::V6(octets) => octets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_4_or_16_bytes() {
        let told = |address: &str| SourceIp::new(address.parse().unwrap()).as_bytes().to_vec();
        assert_eq!(told("10.1.2.3"), [10, 1, 2, 3]);
        assert_eq!(told("::ffff:10.1.2.3"), [10, 1, 2, 3]);
        let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(told("2001:db8::1"), v6);
    }
}
