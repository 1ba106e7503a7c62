//! The nodes of an upstream.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::limits;
use crate::read::At;

/// One server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    /// Its address or name.
    pub host: Host,
    /// Its port; never 0.
    pub port: u16,
    /// Its share of the requests. A node of weight 0 gets none, unless all have weight 0.
    pub weight: u32,
    /// Nodes of a lower priority are used only when those of a higher one fail.
    pub priority: i64,
}

/// Where a node is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name to be resolved, as it was written.
    Name(String),
}

/// A text is no [`Host`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an IP address or a domain name")]
pub struct NotAHost;

impl FromStr for Host {
    type Err = NotAHost;

    /// Takes IPv6 addresses with and without brackets.
    fn from_str(text: &str) -> Result<Self, NotAHost> {
        let inside = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        if let Some(inside) = inside {
            let address: Ipv6Addr = inside.parse().map_err(|_| NotAHost)?;
            return Ok(Self::Ip(address.into()));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let looks_like_address = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        if looks_like_address || text.len() > limits::HOST_LEN || !text.bytes().all(allowed) {
            return Err(NotAHost);
        }
        Ok(Self::Name(text.to_owned()))
    }
}

/// As it stands in a URL: IPv6 addresses in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Ip(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Reads `nodes`: an object from `host:port` to weight, or an array of objects;
/// a node without a port has `default_port`.
pub(crate) fn read(at: &At<'_>, default_port: u16) -> Option<Vec<Node>> {
    if at.value().is_array() {
        return Some(
            at.items()?
                .filter_map(|node| read_item(&node, default_port))
                .collect(),
        );
    }
    if !at.value().is_object() {
        return at.wrong_type("object or array");
    }
    let entries = at.object()?;
    let nodes = entries.entries().filter_map(|(address, weight)| {
        let weight_of = read_weight(&weight);
        let (host, port) = weight.accept(split(address, default_port))?;
        Some(Node {
            host,
            port,
            weight: weight_of?,
            priority: 0,
        })
    });
    Some(nodes.collect())
}

fn read_item(at: &At<'_>, default_port: u16) -> Option<Node> {
    let object = at.object()?;
    let host = object
        .require("host")
        .and_then(|at| at.accept(at.string()?.parse()));
    let port = object.read("port", |at| at.integer(1..=65535));
    let weight = object.require("weight").and_then(|at| read_weight(&at));
    let priority = object.read("priority", |at| at.integer(i64::MIN..=i64::MAX));
    object.read("metadata", |at| at.object().map(|_| ()));
    object.finish();
    Some(Node {
        host: host?,
        port: port
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or(default_port),
        weight: weight?,
        priority: priority.unwrap_or(0),
    })
}

fn read_weight(at: &At<'_>) -> Option<u32> {
    u32::try_from(at.integer(0..=limits::WEIGHT)?).ok()
}

/// Takes `host:port`, `host`, `[v6]:port` and `[v6]` apart.
fn split(address: &str, default_port: u16) -> Result<(Host, u16), String> {
    let (host, port) = match address.rsplit_once(':') {
        // The colon is inside of the brackets of an address without port.
        Some(_) if address.ends_with(']') => (address, None),
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    };
    if host.contains(':') && !host.starts_with('[') {
        return Err("an IPv6 address must stand in brackets here: \"[::1]:80\"".to_owned());
    }
    let host = host.parse().map_err(|error: NotAHost| error.to_string())?;
    let port = match port {
        None => default_port,
        Some(digits) => match digits.parse() {
            Ok(port) if port != 0 && !digits.starts_with('+') => port,
            _ => return Err("invalid port: expected a number from 1 to 65535".to_owned()),
        },
    };
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(address: &str) -> Result<String, String> {
        split(address, 80).map(|(host, port)| format!("{host} {port}"))
    }

    #[test]
    fn an_address_may_lack_its_port() {
        assert_eq!(shown("127.0.0.1:1980").unwrap(), "127.0.0.1 1980");
        assert_eq!(shown("127.0.0.1").unwrap(), "127.0.0.1 80");
        assert_eq!(shown("web_1.Test:8080").unwrap(), "web_1.Test 8080");
        assert_eq!(shown("[::1]:8080").unwrap(), "[::1] 8080");
        assert_eq!(shown("[::1]").unwrap(), "[::1] 80");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let rows = [
            ("127.0.0.1:0", "invalid port"),
            ("127.0.0.1:99999", "invalid port"),
            ("127.0.0.1:+80", "invalid port"),
            ("127.0.0.1:", "invalid port"),
            ("::1", "in brackets"),
            ("1.2.3:80", "expected an IP address"),
            ("a b:80", "expected an IP address"),
            ("", "expected an IP address"),
            ("[x]:80", "expected an IP address"),
            ("[::1", "expected an IP address"),
        ];
        for (address, message) in rows {
            let error = shown(address).unwrap_err();
            assert!(error.contains(message), "{address:?}: {error}");
        }
    }
}
