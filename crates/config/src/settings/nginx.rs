//! The section `nginx_config`: what of nginx's own settings means something here.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use outrigger_model::read::{At, Object};

use super::access_log::{self, AccessLog};
use super::ext_plugin::{EnvRule, read_envs};
use super::foreign::{self, Notes};
use super::outrigger::read_workers;
use super::real_ip::{self, RealIp};
use super::units;
use super::{ClientLimits, LogLevel};

/// What the section says.
pub(super) struct Nginx {
    pub(super) client: ClientLimits,
    pub(super) access_log: Option<AccessLog>,
    pub(super) real_ip: Option<RealIp>,
    pub(super) log_level: Option<LogLevel>,
    pub(super) upstream_sni: bool,
    pub(super) shutdown_timeout: Duration,
    pub(super) workers: Option<NonZeroUsize>,
    pub(super) envs: Vec<EnvRule>,
}

/// Places where APISIX lets people write nginx's own configuration.
const SNIPPETS: [&str; 7] = [
    "main_configuration_snippet",
    "http_configuration_snippet",
    "http_server_configuration_snippet",
    "http_server_location_configuration_snippet",
    "http_admin_configuration_snippet",
    "http_end_configuration_snippet",
    "stream_configuration_snippet",
];

/// Relative paths are relative to `folder`.
pub(super) fn read(section: &Object<'_>, folder: &Path, notes: &Notes) -> Nginx {
    let (client, access_log, real_ip, upstream_sni) = section.section("http", |http| {
        let access_log = access_log::read(http, folder);
        let real_ip = real_ip::read(http, notes);
        let sni = http.read("proxy_ssl_server_name", At::boolean);
        (
            read_http(http, notes),
            access_log,
            real_ip,
            sni.unwrap_or(true),
        )
    });
    let nginx = Nginx {
        client,
        access_log,
        real_ip,
        log_level: section.read("error_log_level", read_level),
        upstream_sni,
        shutdown_timeout: section
            .read("worker_shutdown_timeout", units::time)
            .unwrap_or(Duration::from_secs(240)),
        workers: section
            .get("worker_processes")
            .and_then(|at| match at.value().as_str() {
                Some("auto") => None,
                _ => read_workers(&at),
            }),
        envs: section.read("envs", read_envs).unwrap_or_default(),
    };
    for key in SNIPPETS {
        if let Some(at) = section.get(key) {
            note_snippet(&at, notes);
        }
    }
    foreign::sort_out(section, foreign::NGINX, notes);
    nginx
}

fn read_level(at: &At<'_>) -> Option<LogLevel> {
    const LEVELS: [&str; 8] = [
        "debug", "info", "notice", "warn", "error", "crit", "alert", "emerg",
    ];
    Some(match at.one_of(&LEVELS)? {
        "debug" => LogLevel::Debug,
        "info" | "notice" => LogLevel::Info,
        "warn" => LogLevel::Warn,
        _ => LogLevel::Error,
    })
}

/// APISIX's example has snippets that are nothing but comments.
fn note_snippet(at: &At<'_>, notes: &Notes) {
    let Some(text) = at.string() else { return };
    let says_something = |line: &str| !line.is_empty() && !line.starts_with('#');
    if text.lines().map(str::trim).any(says_something) {
        notes.add(
            at,
            "its nginx directives have no effect here, whatever they allow or forbid",
        );
    }
}

fn read_http(http: &Object<'_>, notes: &Notes) -> ClientLimits {
    let seconds = |key, default| {
        let time = http.read(key, units::time_above_zero);
        time.unwrap_or(Duration::from_secs(default))
    };
    let (lines, line) = http
        .read("large_client_header_buffers", read_buffers)
        .unwrap_or((4, 8 * 1024));
    let body = http.read("client_max_body_size", units::size);
    let keepalive = http.read("keepalive_timeout", units::time);
    let underscores = http.read("underscores_in_headers", read_underscores);
    let limits = ClientLimits {
        max_body_size: body.filter(|size| *size != 0),
        max_header_line: line,
        max_header_size: lines * line,
        header_timeout: seconds("client_header_timeout", 60),
        body_timeout: seconds("client_body_timeout", 60),
        send_timeout: seconds("send_timeout", 10),
        keepalive_timeout: keepalive.unwrap_or(Duration::from_secs(60)),
        drop_underscores: underscores.unwrap_or(false),
    };
    foreign::sort_out(http, foreign::HTTP, notes);
    limits
}

/// Number and size of the buffers, as `4 8k`. A line must fit into one of them.
fn read_buffers(at: &At<'_>) -> Option<(usize, usize)> {
    /// Most of both together, in bytes: a head is held in memory.
    const MOST: usize = 16 * 1024 * 1024;
    let parse = || {
        let (number, size) = at.value().as_str()?.split_once(' ')?;
        let number = usize::try_from(units::parse_size(number)?).ok()?;
        let size = usize::try_from(units::parse_size(size.trim())?).ok()?;
        let together = number.checked_mul(size)?;
        (together > 0 && together <= MOST).then_some((number, size))
    };
    let buffers = parse();
    if buffers.is_none() {
        at.fault("expected a number and a size such as \"4 8k\", together at most 16m");
    }
    buffers
}

/// Fields with underscores in their names are let through, which is APISIX's default;
/// `off` leaves them out.
fn read_underscores(at: &At<'_>) -> Option<bool> {
    Some(at.one_of(&["on", "off"])? == "off")
}
