//! What the proxy is told of what `config.yaml` says.

use std::num::NonZeroUsize;
use std::sync::Arc;

use outrigger_config::{RealIp as RealIpSettings, Router, Settings};
use outrigger_engine::real_ip::RealIp;
use outrigger_engine::router::Mode;
use outrigger_engine::target::PathRules;
use outrigger_proxy as proxy;

use crate::{access_log, traces};

/// The number of worker threads.
pub(crate) fn workers(settings: &Settings) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    settings.workers.map_or_else(cores, NonZeroUsize::get)
}

/// The engine's name for the configured router.
pub(crate) fn mode(router: Router) -> Mode {
    match router {
        Router::HostUri => Mode::HostThenUri,
        Router::Uri => Mode::UriThenHost,
        Router::UriWithParameters => Mode::UriWithParameters,
    }
}

/// Everything else.
pub(crate) fn of(
    settings: &Settings,
    access_log: &access_log::Plan,
    traces: &traces::Plan,
) -> proxy::Settings {
    proxy::Settings {
        listen: settings.listens.iter().map(listen).collect(),
        tls: client_tls(&settings.client_tls),
        connections: proxy::ConnectionSettings {
            trusted: settings.trusted_addresses.clone(),
            real_ip: settings.real_ip.clone().map(real_ip),
            max_head: settings.client.max_header_size,
            head_timeout: settings.client.header_timeout,
            idle_timeout: settings.client.keepalive_timeout,
            send_timeout: settings.client.send_timeout,
        },
        max_body: settings.client.max_body_size,
        max_line: settings.client.max_header_line,
        body_timeout: settings.client.body_timeout,
        path_rules: PathRules {
            drop_tail_slash: settings.delete_tail_slash,
            drop_parameters: settings.servlet_paths,
        },
        drop_underscores: settings.client.drop_underscores,
        show_upstream_status: settings.show_upstream_status,
        show_version: settings.server_tokens,
        tracer: traces.tracer().cloned(),
        access_log: access_log.for_workers().cloned(),
        upstream_trust: settings.upstream_trust.clone(),
        upstream_sni: settings.upstream_sni,
        health_checks: settings.health_checks,
    }
}

fn listen(listen: &outrigger_config::Listen) -> proxy::Listen {
    let outrigger_config::Listen {
        address,
        tls,
        http2,
    } = *listen;
    proxy::Listen {
        address,
        tls,
        http2,
    }
}

fn client_tls(settings: &outrigger_config::ClientTls) -> proxy::TlsSettings {
    proxy::TlsSettings {
        protocols: settings.protocols.clone(),
        ciphers: settings.ciphers.clone(),
        session_tickets: settings.session_tickets,
        fallback_sni: settings.fallback_sni.clone(),
    }
}

fn real_ip(settings: RealIpSettings) -> Arc<RealIp> {
    Arc::new(RealIp {
        header: settings.header,
        from: settings.from,
        recursive: settings.recursive,
    })
}
