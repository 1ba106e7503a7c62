//! Lines that a process writes, collected as they come.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits;

/// One output stream of a process.
#[derive(Clone, Debug)]
pub struct Output {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    closed: bool,
}

impl Output {
    pub(crate) fn collect(stream: impl Read + Send + 'static) -> Self {
        let shared = Arc::<Shared>::default();
        let output = Self {
            shared: Arc::clone(&shared),
        };
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while let Ok(1..) = reader.read_until(b'\n', &mut line) {
                let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
                lock(&shared).lines.push(text);
                shared.changed.notify_all();
                line.clear();
            }
            lock(&shared).closed = true;
            shared.changed.notify_all();
        });
        output
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        lock(&self.shared).lines.clone()
    }

    /// The lines so far as one text.
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// The lines so far that contain `text`.
    pub fn containing(&self, text: &str) -> Vec<String> {
        let mut lines = self.lines();
        lines.retain(|line| line.contains(text));
        lines
    }

    /// The number of lines so far: a mark for [`Output::wait_after`].
    pub fn mark(&self) -> usize {
        lock(&self.shared).lines.len()
    }

    /// Waits for a line that contains `text`, be it old or new.
    ///
    /// # Panics
    /// If none comes within [`limits::WAIT`], or none can come any more.
    #[track_caller]
    pub fn wait(&self, text: &str) -> String {
        self.wait_after(0, text)
    }

    /// Waits for a line after `mark` that contains `text`.
    ///
    /// # Panics
    /// As [`Output::wait`].
    #[track_caller]
    pub fn wait_after(&self, mark: usize, text: &str) -> String {
        match self.find(mark, limits::WAIT, |line| line.contains(text)) {
            Some(line) => line,
            None => panic!("no line with {text:?} among\n{}", self.text()),
        }
    }

    /// Waits for a line after `mark` that `wanted` accepts; `None` after
    /// `within`, or when the stream has ended without one.
    pub fn find(
        &self,
        mark: usize,
        within: Duration,
        mut wanted: impl FnMut(&str) -> bool,
    ) -> Option<String> {
        let mut seen = mark;
        let mut found = None;
        self.wait_state(within, |state| {
            let fresh = state.lines.get(seen..).unwrap_or_default();
            found = fresh.iter().find(|line| wanted(line)).cloned();
            seen = seen.max(state.lines.len());
            found.is_some() || state.closed
        });
        found
    }

    /// Waits until the stream ends; a line that never came is then known not to
    /// come.
    pub(crate) fn wait_closed(&self, within: Duration) {
        self.wait_state(within, |state| state.closed);
    }

    fn wait_state(&self, within: Duration, mut done: impl FnMut(&State) -> bool) {
        let deadline = Instant::now() + within;
        let mut state = lock(&self.shared);
        while !done(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_whether_they_came_before_or_come_later() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let output = Output::collect(reader);
        std::io::Write::write_all(&mut writer, b"one\ntwo\n").unwrap();
        assert_eq!(output.wait("tw"), "two");
        let mark = output.mark();
        let later = std::thread::spawn({
            let output = output.clone();
            move || output.wait_after(mark, "two")
        });
        std::io::Write::write_all(&mut writer, b"two again\nunfinished").unwrap();
        assert_eq!(later.join().unwrap(), "two again");
        drop(writer);
        assert_eq!(output.wait("unfin"), "unfinished");
    }

    #[test]
    fn the_end_of_the_stream_ends_the_waiting() {
        let (reader, writer) = std::io::pipe().unwrap();
        let output = Output::collect(reader);
        drop(writer);
        assert_eq!(output.find(0, limits::WAIT, |_| true), None);
    }
}
