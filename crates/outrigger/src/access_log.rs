//! The access log as the configuration wants it: its format compiled, its file
//! opened.

use std::sync::Arc;

use outrigger_config::{AccessLog as Settings, Escape};
use outrigger_engine::access_log as engine;
use outrigger_proxy as proxy;
use outrigger_telemetry::access_log::{AccessLog, Destination, OpenError};

/// The file, and what the workers are to write to it.
pub(crate) struct Opened {
    pub(crate) file: AccessLog,
    pub(crate) for_workers: proxy::AccessLog,
}

/// Opens the log. A variable that there is none of is said and stands for
/// nothing: which of them a user of APISIX has depends on how nginx was built.
///
/// # Errors
/// [`OpenError`] names the file.
pub(crate) fn open(settings: &Settings) -> Result<Opened, OpenError> {
    let format = engine::Format::parse(&settings.format, escape(settings.escape));
    for note in notes(&format) {
        tracing::warn!("{note}");
    }
    let file = AccessLog::open(Destination::of_path(&settings.path))?;
    let for_workers = proxy::AccessLog {
        format: Arc::new(format),
        queue: file.queue(),
        buffer: settings.buffer,
    };
    Ok(Opened { file, for_workers })
}

/// What `outrigger check` says of the log.
pub(crate) fn check(settings: &Settings) -> Vec<String> {
    let format = engine::Format::parse(&settings.format, escape(settings.escape));
    notes(&format).collect()
}

fn notes(format: &engine::Format) -> impl Iterator<Item = String> {
    let unknown = format.unknown().iter();
    unknown.map(|name| {
        format!(
            "nginx_config.http.access_log_format: there is no variable ${name}; \
             its place in the access log is left without a value"
        )
    })
}

fn escape(escape: Escape) -> engine::Escape {
    match escape {
        Escape::Default => engine::Escape::Default,
        Escape::Json => engine::Escape::Json,
        Escape::None => engine::Escape::None,
    }
}
