//! The access log's file: one thread writes what all workers have to say.
//!
//! Lines come in batches through a queue of limited length that nobody waits at: where
//! it is full, the batch is dropped, counted, and the log says so. What a line looks
//! like is not known here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::limits::{ACCESS_LOG_QUEUE, ACCESS_LOG_WARNING_INTERVAL};

/// Where the lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file that is appended to; its folder is made where it is missing.
    File(PathBuf),
}

impl Destination {
    /// The destination that a path means; `/dev/stdout` and `/dev/stderr` are
    /// this process's own, whatever they lead to.
    #[must_use]
    pub fn of_path(path: &Path) -> Self {
        match path.to_str() {
            Some("/dev/stdout") => Destination::Stdout,
            Some("/dev/stderr") => Destination::Stderr,
            _ => Destination::File(path.to_owned()),
        }
    }

    fn open(&self) -> io::Result<File> {
        match self {
            Destination::Stdout => Ok(io::stdout().as_fd().try_clone_to_owned()?.into()),
            Destination::Stderr => Ok(io::stderr().as_fd().try_clone_to_owned()?.into()),
            Destination::File(path) => {
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder)?;
                }
                OpenOptions::new().append(true).create(true).open(path)
            }
        }
    }
}

/// A destination that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the access log {} cannot be opened: {source}", path.display())]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

/// The log with its thread.
#[derive(Debug)]
pub struct AccessLog {
    queue: Queue,
    thread: JoinHandle<()>,
}

/// The way to the thread; clones lead to the same.
#[derive(Debug, Clone)]
pub struct Queue {
    sender: SyncSender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Lines that were dropped and not yet spoken of.
    dropped: AtomicU64,
    /// The file is to be opened anew before the next batch.
    reopen: AtomicBool,
}

#[derive(Debug)]
enum Message {
    Lines(Lines),
    /// Look whether there is something to do.
    Wake,
    Close,
}

/// Whole lines.
#[derive(Debug, Default)]
struct Lines {
    text: Vec<u8>,
    count: u64,
}

impl AccessLog {
    /// Opens the destination and starts the thread.
    ///
    /// # Errors
    /// [`OpenError`] names the path.
    pub fn open(destination: Destination) -> Result<Self, OpenError> {
        let fail = |source| OpenError {
            path: match &destination {
                Destination::Stdout => "/dev/stdout".into(),
                Destination::Stderr => "/dev/stderr".into(),
                Destination::File(path) => path.clone(),
            },
            source,
        };
        let file = destination.open().map_err(fail)?;
        let (sender, receiver) = sync_channel(ACCESS_LOG_QUEUE);
        let shared = Arc::<Shared>::default();
        let writer = Writer {
            destination: destination.clone(),
            file,
            shared: Arc::clone(&shared),
            warned: None,
        };
        let thread = std::thread::Builder::new().name("access-log".into());
        let thread = thread.spawn(move || writer.run(&receiver)).map_err(fail)?;
        let queue = Queue { sender, shared };
        Ok(AccessLog { queue, thread })
    }

    /// The way to it.
    #[must_use]
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Has the file opened anew, which somebody may have moved away. What cannot be
    /// opened is reported in the log, and the old file stays in use.
    pub fn reopen(&self) {
        self.queue.shared.reopen.store(true, Ordering::Release);
        // Where the queue is full, the next batch does as well.
        let _ = self.queue.sender.try_send(Message::Wake);
    }

    /// Lets it end by itself, once nobody has a way to it any more and what came is
    /// written.
    #[must_use]
    pub fn leave(self) -> Leaving {
        Leaving(self.thread)
    }

    /// Writes what is in the queue, for at most `limit`.
    pub fn close(self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut told = false;
        // A destination that takes nothing, such as a pipe that nobody reads,
        // must not keep the gateway from ending.
        while !self.thread.is_finished() && Instant::now() < until {
            told = told || self.queue.sender.try_send(Message::Close).is_ok();
            std::thread::sleep(CLOSE_POLL);
        }
    }
}

/// A log that ends when the last way to it is gone.
#[derive(Debug)]
pub struct Leaving(JoinHandle<()>);

impl Leaving {
    /// Whether it has ended.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits until it has ended, for at most `limit`.
    pub fn wait(self, limit: Duration) {
        let until = Instant::now() + limit;
        while !self.0.is_finished() && Instant::now() < until {
            std::thread::sleep(CLOSE_POLL);
        }
    }
}

/// How often a closing log is looked at.
const CLOSE_POLL: Duration = Duration::from_millis(2);

impl Queue {
    /// Hands over whole lines, `count` of them. Never waits: they are dropped
    /// where too much is in the queue.
    pub fn push(&self, text: Vec<u8>, count: u64) {
        let lines = Message::Lines(Lines { text, count });
        if self.sender.try_send(lines).is_err() {
            self.shared.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// The thread's side.
struct Writer {
    destination: Destination,
    file: File,
    shared: Arc<Shared>,
    warned: Option<Instant>,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Message>) {
        while let Ok(message) = queue.recv() {
            if self.shared.reopen.swap(false, Ordering::Acquire) {
                self.reopen();
            }
            match message {
                Message::Lines(lines) => self.write(&lines),
                Message::Wake => {}
                Message::Close => return,
            }
        }
    }

    fn write(&mut self, lines: &Lines) {
        let written = self.file.write_all(&lines.text);
        if written.is_err() {
            let dropped = &self.shared.dropped;
            dropped.fetch_add(lines.count, Ordering::Relaxed);
        }
        self.speak_of_dropped(written.err());
    }

    /// Says how many lines were dropped, now and then.
    fn speak_of_dropped(&mut self, error: Option<io::Error>) {
        if self.shared.dropped.load(Ordering::Relaxed) == 0 {
            return;
        }
        let recently = |since: Instant| since.elapsed() < ACCESS_LOG_WARNING_INTERVAL;
        if self.warned.is_some_and(recently) {
            return;
        }
        self.warned = Some(Instant::now());
        let lines = self.shared.dropped.swap(0, Ordering::Relaxed);
        match error {
            Some(error) => tracing::error!(lines, %error, "the access log cannot be written"),
            None => tracing::warn!(
                lines,
                "the access log has lost lines: its file takes them too slowly"
            ),
        }
    }

    fn reopen(&mut self) {
        match self.destination.open() {
            Ok(file) => self.file = file,
            Err(error) => {
                tracing::error!(%error, "the access log cannot be opened anew; the old file stays");
            }
        }
    }
}

#[cfg(test)]
mod tests;
