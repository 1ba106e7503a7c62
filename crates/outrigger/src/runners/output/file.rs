//! A file that a runner's lines are appended to, as they came.
//!
//! A thread of its own writes it, so that a slow disk holds up nothing. What it
//! cannot take it leaves out and says so: a full disk stops nothing either.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lines that wait to be written. Further ones are left out.
const WAITING: usize = 4096;

/// Bytes that are written at once.
const BATCH: usize = 64 * 1024;

/// How often it is told that lines could not be written, at most.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// Mode of a file that is made.
const MODE: u32 = 0o640;

/// Time that what waits has to be written at the end.
const LAST_LINES: Duration = Duration::from_secs(1);

enum Message {
    Line(Box<str>),
    Reopen,
}

/// The file of one runner. Dropping it writes what waits, and closes the file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    messages: SyncSender<Message>,
    left_out: Arc<AtomicU64>,
    writer: JoinHandle<()>,
}

impl LogFile {
    /// Opens `path` for `runner`; it is made where there is none.
    ///
    /// # Errors
    /// There can be no further thread. A file that cannot be opened is no error
    /// here: that is told, and tried again.
    pub(super) fn open(runner: &str, path: &Path) -> io::Result<Self> {
        let (messages, inbox) = sync_channel(WAITING);
        let left_out = Arc::<AtomicU64>::default();
        let writer = Writer {
            runner: runner.to_owned(),
            path: path.to_owned(),
            file: None,
            left_out: Arc::clone(&left_out),
            failure: None,
            complained: None,
        };
        let thread = std::thread::Builder::new().name("runner-log".to_owned());
        Ok(Self {
            path: path.to_owned(),
            messages,
            left_out,
            writer: thread.spawn(move || writer.run(&inbox))?,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line, or leaves it out if too many wait.
    pub(super) fn line(&self, line: &str) {
        self.send(Message::Line(line.into()));
    }

    /// Opens the file again by its name: the one that is open was moved away.
    pub(super) fn reopen(&self) {
        self.send(Message::Reopen);
    }

    fn send(&self, message: Message) {
        if let Err(TrySendError::Full(_)) = self.messages.try_send(message) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Closes it when what waits has been written, or after a moment.
    pub(super) fn close(self) {
        let Self {
            messages, writer, ..
        } = self;
        drop(messages);
        let end = Instant::now() + LAST_LINES;
        while !writer.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

struct Writer {
    runner: String,
    path: PathBuf,
    file: Option<File>,
    /// Lines not written since that was last told.
    left_out: Arc<AtomicU64>,
    /// Why, where it was not for want of time.
    failure: Option<io::Error>,
    complained: Option<Instant>,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Message>) {
        self.open();
        let mut batch = Vec::new();
        let mut lines = 0;
        loop {
            let message = if lines == 0 {
                inbox.recv_timeout(COMPLAIN_EVERY)
            } else {
                inbox.try_recv().map_err(|_| RecvTimeoutError::Timeout)
            };
            match message {
                Ok(Message::Line(line)) => {
                    batch.extend_from_slice(line.as_bytes());
                    batch.push(b'\n');
                    lines += 1;
                    if batch.len() < BATCH {
                        continue;
                    }
                }
                Ok(Message::Reopen) => {
                    self.write(&mut batch, &mut lines);
                    self.open();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.write(&mut batch, &mut lines);
            self.complain(false);
        }
        self.complain(true);
    }

    fn open(&mut self) {
        let opened = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(MODE)
            .open(&self.path);
        match opened {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                self.file = None;
                self.failure = Some(error);
                self.complain(false);
            }
        }
    }

    fn write(&mut self, batch: &mut Vec<u8>, lines: &mut u64) {
        if *lines == 0 {
            return;
        }
        if self.file.is_none() {
            self.open();
        }
        let written = self.file.as_mut().map(|file| file.write_all(batch));
        if let Some(Ok(())) = written {
            self.failure = None;
        } else {
            self.left_out.fetch_add(*lines, Ordering::Relaxed);
            if let Some(Err(error)) = written {
                self.failure = Some(error);
            }
        }
        batch.clear();
        *lines = 0;
    }

    /// Says that lines are missing, but not all the time.
    fn complain(&mut self, now: bool) {
        let again = self
            .complained
            .is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY);
        if !(again || now) {
            return;
        }
        let lines = self.left_out.swap(0, Ordering::Relaxed);
        if lines == 0 && self.failure.is_none() {
            return;
        }
        self.complained = Some(Instant::now());
        let why = match self.failure.take() {
            Some(error) => error.to_string(),
            None => "it takes them too slowly".to_owned(),
        };
        tracing::warn!(
            runner = self.runner,
            "{lines} lines of output are missing in {}: {why}",
            self.path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn written(file: LogFile) -> String {
        let path = file.path().to_owned();
        file.close();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn lines_are_appended_as_they_came() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.log");
        fs::write(&path, "before\n").unwrap();
        let file = LogFile::open("r", &path).unwrap();
        for number in 0..1000 {
            file.line(&format!("{{\"n\": {number}}}"));
        }
        let text = written(file);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1001);
        assert_eq!((lines[0], lines[1000]), ("before", "{\"n\": 999}"));
    }

    #[test]
    fn a_file_moved_away_is_made_anew_when_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.log");
        let file = LogFile::open("r", &path).unwrap();
        file.line("old");
        file.reopen();
        // Written by then, since messages are taken in their order.
        let moved = dir.path().join("r.log.1");
        let deadline = Instant::now() + Duration::from_secs(30);
        while fs::read_to_string(&path).unwrap_or_default() != "old\n" {
            assert!(Instant::now() < deadline, "it is not written");
        }
        fs::rename(&path, &moved).unwrap();
        file.reopen();
        file.line("new");
        assert_eq!(written(file), "new\n");
        assert_eq!(fs::read_to_string(moved).unwrap(), "old\n");
    }

    #[test]
    fn a_full_disk_stops_nothing() {
        let file = LogFile::open("r", Path::new("/dev/full")).unwrap();
        for _ in 0..3 * WAITING {
            file.line("lost");
        }
        file.close();
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("later/r.log");
        let file = LogFile::open("r", &path).unwrap();
        file.line("lost");
        fs::create_dir(path.parent().unwrap()).unwrap();
        // The first line may still wait.
        let deadline = Instant::now() + Duration::from_secs(30);
        while !path.exists() {
            assert!(Instant::now() < deadline, "it is not opened");
            file.line("seen");
        }
        assert!(written(file).ends_with("seen\n"));
    }
}
