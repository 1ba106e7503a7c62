//! Hears what happens to one runner: tells its handle where to call, and the
//! log what a person should know.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use host::Absence;
use outrigger_host as host;
use outrigger_supervisor as supervisor;
use outrigger_telemetry::repeats::Repeats;
use supervisor::Event;
use tokio::sync::mpsc;

use super::seen::Seen;

/// Lines of one runner's output that are logged in one second.
const OUTPUT_LINES_PER_SECOND: u32 = 1000;

/// A runner has one process.
const ONLY: usize = 0;

pub(super) struct Watcher {
    name: String,
    handle: OnceLock<Arc<host::Runner>>,
    /// The generation that calls go to; 0: none.
    serving: AtomicU64,
    seen: Seen,
    output: Repeats,
    /// Gets a copy of every line, as far as it takes them.
    copy: Option<mpsc::Sender<String>>,
}

impl Watcher {
    pub(super) fn new(name: &str, copy: Option<mpsc::Sender<String>>) -> Arc<Self> {
        Arc::new(Watcher {
            name: name.to_owned(),
            handle: OnceLock::new(),
            serving: AtomicU64::new(0),
            seen: Seen::new(name),
            output: Repeats::new(OUTPUT_LINES_PER_SECOND),
            copy,
        })
    }

    /// The handle to tell where to call. Before this, nothing is told.
    pub(super) fn attach(&self, handle: &Arc<host::Runner>) {
        // A second handle would be a defect of the caller; the first one counts.
        let _ = self.handle.set(Arc::clone(handle));
    }

    /// What the runner was last seen doing.
    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    fn steer(&self, event: &Event<'_>) {
        let Some(handle) = self.handle.get() else {
            return;
        };
        match event {
            Event::Ready {
                generation, socket, ..
            } => {
                self.serving.store(generation.get(), Ordering::Relaxed);
                handle.listening(ONLY, socket.to_path_buf());
            }
            Event::Exited { generation, .. } if self.is_serving(*generation) => {
                self.serving.store(0, Ordering::Relaxed);
                handle.unavailable(ONLY, Absence::Passing, event.to_string());
            }
            // Why there is none yet, for whoever waits for the first.
            Event::Spawned { .. } | Event::SpawnFailed { .. } | Event::NotListening { .. }
                if self.serving.load(Ordering::Relaxed) == 0 =>
            {
                let absence = match event {
                    Event::SpawnFailed { .. } => Absence::Failing,
                    _ => Absence::Passing,
                };
                handle.unavailable(ONLY, absence, event.to_string());
            }
            Event::Stopped => {
                handle.unavailable(ONLY, Absence::Lasting, "it was told to stop".to_owned());
            }
            _ => {}
        }
    }

    fn is_serving(&self, generation: supervisor::Generation) -> bool {
        self.serving.load(Ordering::Relaxed) == generation.get()
    }

    fn log_output(&self, line: &str) {
        if let Some(copy) = &self.copy {
            // Whoever reads too slowly misses lines; the log has them.
            let _ = copy.try_send(line.to_owned());
        }
        let Some(held_back) = self.output.pass() else {
            return;
        };
        if held_back > 0 {
            tracing::warn!(
                runner = self.name,
                "{held_back} lines of output were left out"
            );
        }
        tracing::info!(runner = self.name, "{}", Printable(line));
    }
}

impl supervisor::Observer for Watcher {
    fn event(&self, _: &str, event: &Event<'_>) {
        self.seen.event(event);
        self.steer(event);
        let runner = &self.name;
        match event {
            Event::Output { line, .. } => self.log_output(line),
            Event::SpawnFailed { .. } => tracing::error!(runner, "{event}"),
            Event::NotListening { .. } | Event::Killed { .. } => tracing::warn!(runner, "{event}"),
            Event::Exited {
                requested: false, ..
            } => tracing::error!(runner, "{event}"),
            _ => tracing::info!(runner, "{event}"),
        }
    }
}

impl host::Observer for Watcher {
    fn event(&self, _: &str, event: host::Event<'_>) {
        let runner = &self.name;
        match event {
            host::Event::ProcessChanged { .. } | host::Event::TokenLost { .. } => {
                tracing::info!(runner, "{event:?}");
            }
            // A failed call is logged by the plugin, which knows the route.
            _ => tracing::debug!(runner, "{event:?}"),
        }
    }
}

/// A runner's text with its control characters written out, so that it cannot
/// play tricks on the terminal that shows the log.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() && c != '\t' {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(
            Printable("a\u{1b}[31m\tb\r").to_string(),
            "a\\u{1b}[31m\tb\\r"
        );
    }
}
