//! The access log: keys of `nginx_config.http`.

use std::path::{Path, PathBuf};

use outrigger_model::read::{At, Object};

use super::{outrigger, units};
use crate::limits::ACCESS_LOG_BUFFER;

/// Where requests are logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// The file, absolute; `/dev/stdout` and `/dev/stderr` are the gateway's own.
    pub path: PathBuf,
    /// What a line looks like, with `$name` for variables.
    pub format: String,
    /// How values in it are escaped.
    pub escape: Escape,
    /// How many bytes of lines each worker gathers before they are written.
    pub buffer: usize,
}

/// How values are escaped; `access_log_format_escape`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Escape {
    /// As nginx does: `\xXX`, and a dash where there is no value.
    #[default]
    Default,
    /// As JSON wants text to be.
    Json,
    /// Not at all.
    None,
}

/// The file where none is named; APISIX's.
const PATH: &str = "logs/access.log";

/// The format where none is given; APISIX's.
const FORMAT: &str = concat!(
    "$remote_addr - $remote_user [$time_local] $http_host \"$request\" $status ",
    "$body_bytes_sent $request_time \"$http_referer\" \"$http_user_agent\" ",
    "$upstream_addr $upstream_status $upstream_response_time ",
    "\"$upstream_scheme://$upstream_host$upstream_uri\"",
);

/// The buffer where none is given; APISIX's.
const BUFFER: usize = 16_384;

/// There is a log where any of its keys stands, unless it is switched off.
pub(super) fn read(http: &Object<'_>, folder: &Path) -> Option<AccessLog> {
    let enabled = http.read("enable_access_log", At::boolean);
    let at_path = http.get("access_log");
    let path = at_path.as_ref().map(|at| read_path(at, folder));
    let format = http.read("access_log_format", At::string);
    let escape = http.read("access_log_format_escape", read_escape);
    let buffer = http.read("access_log_buffer", read_buffer);
    let mentioned = enabled.is_some() || at_path.is_some() || format.is_some() || escape.is_some();
    let wanted = enabled.unwrap_or(mentioned || buffer.is_some());
    let path = match path {
        Some(path) => path?,
        None => folder.join(PATH),
    };
    wanted.then(|| AccessLog {
        path,
        format: format.unwrap_or(FORMAT).to_owned(),
        escape: escape.unwrap_or_default(),
        buffer: buffer.unwrap_or(BUFFER),
    })
}

/// `None` for no log: `off`, or a path that is none.
fn read_path(at: &At<'_>, folder: &Path) -> Option<PathBuf> {
    match at.value().as_str() {
        Some("off") => None,
        Some(text) if text.starts_with("syslog:") => {
            at.fault("syslog is not supported: name a file, or /dev/stdout");
            None
        }
        _ => outrigger::read_path(at, folder),
    }
}

fn read_escape(at: &At<'_>) -> Option<Escape> {
    Some(match at.one_of(&["default", "json", "none"])? {
        "json" => Escape::Json,
        "none" => Escape::None,
        _ => Escape::Default,
    })
}

fn read_buffer(at: &At<'_>) -> Option<usize> {
    let size = units::size(at)?;
    let size = usize::try_from(size)
        .ok()
        .filter(|it| *it <= ACCESS_LOG_BUFFER);
    if size.is_none() {
        at.fault(format!("expected at most {ACCESS_LOG_BUFFER} bytes"));
    }
    size
}
