//! What a runner writes: to the log at its level, not too much of it, and to a
//! file of its own where one is configured.

mod file;
mod level;
mod rate;

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use outrigger_config::{OutputLevel, OutputRule};
use outrigger_supervisor::Stream;
use tokio::sync::mpsc;

use file::LogFile;
use level::Levels;
use rate::Rate;

/// The output of all processes of one runner.
pub(super) struct Output {
    runner: String,
    /// Gets a copy of every line, as far as it takes them.
    copy: Option<mpsc::Sender<String>>,
    state: Mutex<State>,
}

struct State {
    rule: OutputRule,
    rate: Rate,
    file: Option<LogFile>,
}

/// How the lines of one process are judged: each stream by itself.
pub(super) struct Source {
    stdout: Levels,
    stderr: Levels,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            stdout: Levels::of(Stream::Stdout),
            stderr: Levels::of(Stream::Stderr),
        }
    }
}

impl Output {
    pub(super) fn new(runner: &str, copy: Option<mpsc::Sender<String>>) -> Self {
        let rule = OutputRule::default();
        Output {
            runner: runner.to_owned(),
            copy,
            state: Mutex::new(State {
                rate: Rate::new(Instant::now(), rule.max_rate, rule.burst),
                rule,
                file: None,
            }),
        }
    }

    /// From now on by this rule, and to this file.
    pub(super) fn configure(&self, rule: OutputRule, path: Option<&Path>) {
        let mut state = self.state();
        if state.rule != rule {
            self.tell(state.rate.tell_now());
            state.rate = Rate::new(Instant::now(), rule.max_rate, rule.burst);
            state.rule = rule;
        }
        match (&state.file, path) {
            (Some(file), Some(path)) if file.path() == path => return,
            _ => {}
        }
        let opened = path.map(|path| LogFile::open(&self.runner, path));
        match opened.transpose() {
            // The old one ends by itself when it has written what waits.
            Ok(file) => state.file = file,
            Err(error) => tracing::error!(
                runner = self.runner,
                "its output cannot go to a file: {error}"
            ),
        }
    }

    /// Opens the file anew: somebody may have moved it away.
    pub(super) fn reopen(&self) {
        if let Some(file) = &self.state().file {
            file.reopen();
        }
    }

    /// A process has written a line.
    pub(super) fn line(&self, source: &mut Source, stream: Stream, line: &str) {
        if let Some(copy) = &self.copy {
            // Whoever reads too slowly misses lines; the log has them.
            let _ = copy.try_send(line.to_owned());
        }
        let mut state = self.state();
        if let Some(file) = &state.file {
            file.line(line);
        }
        if state.rule.level == OutputLevel::Off {
            return;
        }
        let now = Instant::now();
        let has_room = state.rate.has_room(now);
        self.tell(state.rate.due_to_tell(now));
        if !has_room {
            // Not looked at any further, so that a flood costs little.
            return state.rate.leaves_out(now);
        }
        let level = match stream {
            Stream::Stdout => source.stdout.next(line),
            Stream::Stderr => source.stderr.next(line),
        };
        if level >= state.rule.level {
            state.rate.passes();
            self.log(level, line);
        }
    }

    /// A process has ended: what is to be told of its output is told now.
    pub(super) fn pause(&self) {
        self.tell(self.state().rate.tell_now());
    }

    /// No line follows.
    pub(super) fn close(&self) {
        self.pause();
        if let Some(file) = self.state().file.take() {
            file.close();
        }
    }

    fn tell(&self, left_out: Option<u64>) {
        if let Some(lines) = left_out {
            tracing::warn!(
                runner = self.runner,
                "{lines} lines of output were left out (log.max_rate)"
            );
        }
    }

    fn log(&self, level: OutputLevel, line: &str) {
        let (runner, line) = (self.runner.as_str(), Printable(line));
        match level {
            OutputLevel::Trace => tracing::trace!(runner, "{line}"),
            OutputLevel::Debug => tracing::debug!(runner, "{line}"),
            OutputLevel::Info => tracing::info!(runner, "{line}"),
            OutputLevel::Warn => tracing::warn!(runner, "{line}"),
            OutputLevel::Error => tracing::error!(runner, "{line}"),
            OutputLevel::Off => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
