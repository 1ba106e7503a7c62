//! The access log as the configuration wants it: its format compiled, its file
//! opened, and both replaced when it wants others.

use std::sync::Arc;
use std::time::Duration;

use outrigger_config::{AccessLog as Settings, Escape};
use outrigger_engine::access_log as engine;
use outrigger_proxy as proxy;
use outrigger_telemetry::access_log::{AccessLog, Destination, Leaving, OpenError};

/// How long logs may take to write their last lines, each.
const CLOSE: Duration = Duration::from_secs(1);

/// The log that requests are written to, and those that some may still be.
#[derive(Default)]
pub(crate) struct AccessLogs {
    present: Option<Present>,
    leaving: Vec<Leaving>,
}

struct Present {
    settings: Settings,
    file: AccessLog,
    for_workers: proxy::AccessLog,
}

/// What the log is to be. Dropped, nothing has changed but that a file may be there.
pub(crate) enum Plan {
    Off,
    Same(proxy::AccessLog),
    /// The same file, written otherwise.
    Format(proxy::AccessLog),
    New(AccessLog, proxy::AccessLog),
}

impl Plan {
    /// What the workers are to write to.
    pub(crate) fn for_workers(&self) -> Option<&proxy::AccessLog> {
        match self {
            Plan::Off => None,
            Plan::Same(log) | Plan::Format(log) | Plan::New(_, log) => Some(log),
        }
    }
}

impl AccessLogs {
    /// What `wanted` wants. A variable that there is none of is said and stands for
    /// nothing: which of them a user of APISIX has depends on how nginx was built.
    ///
    /// # Errors
    /// [`OpenError`] names the file.
    pub(crate) fn plan(&self, wanted: Option<&Settings>) -> Result<Plan, OpenError> {
        let Some(wanted) = wanted else {
            return Ok(Plan::Off);
        };
        let present = self.present.as_ref();
        if let Some(present) = present.filter(|it| it.settings == *wanted) {
            return Ok(Plan::Same(present.for_workers.clone()));
        }
        let format = engine::Format::parse(&wanted.format, escape(wanted.escape));
        for note in notes(&format) {
            tracing::warn!("{note}");
        }
        let for_workers = |queue| proxy::AccessLog {
            format: Arc::new(format),
            queue,
            buffer: wanted.buffer,
        };
        if let Some(present) = present.filter(|it| it.settings.path == wanted.path) {
            return Ok(Plan::Format(for_workers(present.file.queue())));
        }
        let file = AccessLog::open(Destination::of_path(&wanted.path))?;
        let queue = file.queue();
        Ok(Plan::New(file, for_workers(queue)))
    }

    /// Goes by what requests are written to by `plan` now.
    pub(crate) fn carry_out(&mut self, plan: Plan, wanted: Option<&Settings>) {
        let (file, for_workers) = match plan {
            Plan::Same(_) => return,
            Plan::Off => (None, None),
            Plan::Format(log) => (self.present.take().map(|it| it.file), Some(log)),
            Plan::New(file, log) => (Some(file), Some(log)),
        };
        if let Some(before) = self.present.take() {
            // Its queue is another way to the file.
            drop(before.for_workers);
            self.leaving.push(before.file.leave());
        }
        self.leaving.retain(|log| !log.has_left());
        if let (Some(file), Some(for_workers), Some(wanted)) = (file, for_workers, wanted) {
            self.present = Some(Present {
                settings: wanted.clone(),
                file,
                for_workers,
            });
        }
    }

    /// Opens the file anew, which somebody may have moved away.
    pub(crate) fn reopen(&self) {
        if let Some(present) = &self.present {
            present.file.reopen();
        }
    }

    /// Writes the last lines. To be called when nothing comes any more.
    pub(crate) fn close(self) {
        if let Some(present) = self.present {
            present.file.close(CLOSE);
        }
        for log in self.leaving {
            log.wait(CLOSE);
        }
    }
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
