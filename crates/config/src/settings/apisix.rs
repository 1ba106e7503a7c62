//! The section `apisix`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;

use outrigger_model::read::{At, Object};
use outrigger_model::{Cidr, Trust};

use super::foreign::{self, Notes};
use super::{
    ClientTls, ControlApi, DataEncryption, Listen, Router, client_tls, control, listen, status,
    trust,
};
use crate::limits;

/// What the section says.
pub(super) struct Apisix {
    pub(super) listens: Vec<Listen>,
    pub(super) client_tls: ClientTls,
    pub(super) router: Router,
    pub(super) trusted_addresses: Vec<Cidr>,
    /// Whether there is an Admin API, where there can be one.
    pub(super) admin: bool,
    pub(super) control: Option<ControlApi>,
    pub(super) status: Option<SocketAddr>,
    /// What the gateway is called among others.
    pub(super) id: Option<String>,
    pub(super) delete_tail_slash: bool,
    pub(super) servlet_paths: bool,
    pub(super) show_upstream_status: bool,
    pub(super) server_tokens: bool,
    pub(super) health_checks: bool,
    pub(super) upstream_trust: Trust,
    pub(super) workers: Option<NonZeroUsize>,
    pub(super) data_encryption: DataEncryption,
}

pub(super) fn read(section: &Object<'_>, folder: &Path, notes: &Notes) -> Apisix {
    let flag = |key, default| section.read(key, At::boolean).unwrap_or(default);
    let (listens, client_tls, upstream_trust) = read_ssl(section, folder, notes);
    let apisix = Apisix {
        listens,
        client_tls,
        router: section.section("router", read_router),
        trusted_addresses: section
            .read("trusted_addresses", read_addresses)
            .unwrap_or_default(),
        admin: flag("enable_admin", true),
        control: control::read(section),
        status: status::read(section),
        id: section.read("id", |at| Some(at.text(1..=limits::TRACE_TEXT)?.to_owned())),
        delete_tail_slash: flag("delete_uri_tail_slash", false),
        servlet_paths: flag("normalize_uri_like_servlet", false),
        show_upstream_status: flag("show_upstream_status_in_response_header", false),
        server_tokens: flag("enable_server_tokens", true),
        health_checks: !flag("disable_upstream_healthcheck", false),
        upstream_trust,
        workers: flag("enable_dev_mode", false).then_some(NonZeroUsize::MIN),
        data_encryption: DataEncryption::read(section),
    };
    refuse_stream(section);
    foreign::sort_out(section, foreign::APISIX, notes);
    apisix
}

fn read_router(router: &Object<'_>) -> Router {
    const KINDS: [&str; 3] = [
        "radixtree_host_uri",
        "radixtree_uri",
        "radixtree_uri_with_parameter",
    ];
    router.read("ssl", |at| at.one_of(&["radixtree_sni"]));
    let Some(at) = router.get("http") else {
        return Router::default();
    };
    match at.one_of(&KINDS) {
        Some("radixtree_uri") => Router::Uri,
        Some("radixtree_uri_with_parameter") => Router::UriWithParameters,
        _ => Router::HostUri,
    }
}

fn read_addresses(at: &At<'_>) -> Option<Vec<Cidr>> {
    let ranges = at.items()?;
    Some(
        ranges
            .filter_map(|range| range.accept(range.string()?.parse()))
            .collect(),
    )
}

/// What the section `ssl` says, and where clients are listened to. The section turns TLS
/// on unless it says otherwise; without one there is none: unlike in APISIX, nothing is
/// listened to that nobody asked for.
fn read_ssl(section: &Object<'_>, folder: &Path, notes: &Notes) -> (Vec<Listen>, ClientTls, Trust) {
    let Some(at) = section.get("ssl") else {
        let listens = listen::read(section, None);
        return (listens, ClientTls::default(), Trust::default());
    };
    let Some(ssl) = at.object() else {
        return (Vec::new(), ClientTls::default(), Trust::default());
    };
    let enabled = ssl.read("enable", At::boolean).unwrap_or(true);
    let listens = listen::read(section, enabled.then_some(&ssl));
    let tls = client_tls::read(&ssl, notes);
    let trust = trust::read(&ssl, folder);
    foreign::sort_out(&ssl, foreign::SSL, notes);
    ssl.ignore(&["listen"]);
    ssl.finish();
    (listens, tls, trust)
}

fn refuse_stream(section: &Object<'_>) {
    let Some(at) = section.get("proxy_mode") else {
        return;
    };
    if at
        .one_of(&["http", "stream", "http&stream"])
        .is_some_and(|mode| mode != "http")
    {
        at.fault("there is no stream proxy: use \"http\"");
    }
}
