//! Keeps web pages out.
//!
//! The control API asks for no key, because only its machine reaches it. A
//! browser on that machine does too, on behalf of every page that it shows. Two
//! things tell such a request: `Origin`, which a page cannot leave out when it
//! changes something; and a `Host` that is a name, which a page needs that had
//! its own name resolve to this machine (DNS rebinding) to read answers.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::uri::Authority;
use http::{HeaderMap, StatusCode, header};

use crate::answer;

/// Refuses what a web page may have sent. `local` is the address that is
/// listened on.
pub(super) async fn refuse_pages(
    State(local): State<IpAddr>,
    request: Request,
    next: Next,
) -> Response {
    match suspicion(request.headers(), local) {
        Some(why) => answer::error(StatusCode::FORBIDDEN, why),
        None => next.run(request).await,
    }
}

/// Why a request may come from a web page.
fn suspicion(headers: &HeaderMap, local: IpAddr) -> Option<&'static str> {
    if headers.contains_key(header::ORIGIN) {
        return Some("the control API is not for web pages: there is a header Origin");
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Some("one header Host is needed");
    };
    let host = host.to_str().ok();
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    let is_good = authority.is_some_and(|host| is_address_of(host.host(), local));
    (!is_good).then_some(
        "the header Host must be localhost or the IP address that the control API listens on",
    )
}

/// Whether `host` can only be meant for `local`. Who listens beyond loopback may
/// be reached by addresses that the gateway does not know of, such as a
/// container's host; no name is resolved for those either.
fn is_address_of(host: &str, local: IpAddr) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || !local.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use http::HeaderValue;

    use super::*;

    fn passes(local: IpAddr, headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append::<header::HeaderName>(name, value);
        }
        suspicion(&map, local).is_none()
    }

    #[test]
    fn only_this_machines_names_are_answered() {
        let local = Ipv4Addr::LOCALHOST.into();
        for host in [
            "127.0.0.1",
            "127.0.0.1:9090",
            "127.8.8.8",
            "localhost",
            "LOCALHOST:1",
            "[::1]:9090",
        ] {
            assert!(passes(local, &[("host", host)]), "{host}");
        }
        for host in [
            "evil.test",
            "localhost.evil.test",
            "127.0.0.1.evil.test:9090",
            "8.8.8.8",
            "",
            "a b",
            "user@evil.test",
        ] {
            assert!(!passes(local, &[("host", host)]), "{host}");
        }
    }

    #[test]
    fn beyond_loopback_every_address_is_answered_and_still_no_name() {
        for local in [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Ipv6Addr::UNSPECIFIED.into(),
            "10.1.2.3".parse().unwrap(),
        ] {
            assert!(passes(local, &[("host", "192.168.7.7:9090")]));
            assert!(passes(local, &[("host", "[fd00::1]")]));
            assert!(!passes(local, &[("host", "evil.test")]));
        }
    }

    #[test]
    fn pages_and_requests_without_one_host_are_refused() {
        let local = Ipv4Addr::LOCALHOST.into();
        assert!(!passes(
            local,
            &[("host", "127.0.0.1"), ("origin", "https://evil.test")]
        ));
        assert!(!passes(local, &[("host", "127.0.0.1"), ("origin", "null")]));
        assert!(!passes(
            local,
            &[("host", "localhost"), ("host", "localhost")]
        ));
        assert!(!passes(local, &[]));
    }
}
