//! Watching `apisix.yaml` or `apisix.json`.
//!
//! The file is looked at again and again, by its path: that works for whatever replaces
//! a file (writing, renaming, turning a symbolic link) on whatever file system, which
//! notifications of the kernel do not.

use std::fs::{self, File, Metadata};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use outrigger_model::Resources;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::apisix_yaml::{self, Document, Format};
use crate::limits;
use crate::report::{Problem, Report};

/// What a change of the file has brought.
pub type Change = Result<(Document, Resources), Report>;

type OwnedEnv = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A file of resources that is read again whenever it changes.
///
/// Its content comes once for each change, whether it is good or not. What was good
/// before stays with the caller.
pub struct Watch {
    file: PathBuf,
    format: Format,
    env: OwnedEnv,
    period: Option<Interval>,
    hasher: RandomState,
    /// The metadata that the file had when it was last read.
    stamp: Option<Stamp>,
    /// What the file was when it was last told of.
    told: Option<Content>,
    /// What the file is that is not yet told of, because it may not last, and since when.
    doubtful: Option<(Content, Instant)>,
    /// What the file was told to be is being parsed.
    parsing: Option<JoinHandle<Change>>,
}

impl Watch {
    /// Watches `file`, which is written in `format`. Variables in it are taken from `env`.
    pub fn new(
        file: impl Into<PathBuf>,
        format: Format,
        env: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            file: file.into(),
            format,
            env: Arc::new(env),
            period: None,
            hasher: RandomState::new(),
            stamp: None,
            told: None,
            doubtful: None,
            parsing: None,
        }
    }

    /// The file as it is, at the first call; after that, waits until it has changed.
    ///
    /// A file that is gone or not complete is told of when it has been so for
    /// [`limits::WATCH_PATIENCE`].
    ///
    /// A large file takes a while to parse: that is done on a thread of its own.
    ///
    /// Cancelling is safe: no change gets lost. Needs a tokio runtime with time.
    pub async fn next(&mut self) -> Change {
        loop {
            if let Some(parsing) = &mut self.parsing {
                let parsed = parsing.await;
                self.parsing = None;
                return parsed.unwrap_or_else(|error| Err(unreadable(&self.file, &error)));
            }
            let period = self.period.get_or_insert_with(|| {
                let mut period = interval(limits::WATCH_PERIOD);
                period.set_missed_tick_behavior(MissedTickBehavior::Delay);
                period
            });
            period.tick().await;
            if let Some(text) = self.look(Instant::now()) {
                self.parsing = Some(self.parse_beside(text));
            }
        }
    }

    /// As [`next`](Self::next), without waiting: what the file has become since it
    /// was last told of, if anything.
    pub fn look_now(&mut self) -> Option<Change> {
        if self.parsing.take().is_some() {
            // Nobody was told of it yet.
            self.told = None;
            self.stamp = None;
        }
        let text = self.look(Instant::now())?;
        Some(self.parser()(text))
    }

    /// Parses on a thread that ends with it: what it needs in between is many times what
    /// comes of it, and goes with the thread. Those of the runtime stay, so one of them
    /// only waits.
    fn parse_beside(&self, text: io::Result<String>) -> JoinHandle<Change> {
        let (parse, file) = (self.parser(), self.file.clone());
        tokio::task::spawn_blocking(move || {
            let thread = std::thread::Builder::new().name("parser".to_owned());
            let parse = move || {
                // Of this thread alone. Requests go before; if it may not be, they share.
                let _ = rustix::process::nice(limits::PARSER_NICE);
                parse(text)
            };
            match thread.spawn(parse).map(std::thread::JoinHandle::join) {
                Ok(Ok(change)) => change,
                Ok(Err(_)) => Err(unreadable(&file, &"the parser has failed")),
                Err(error) => Err(unreadable(&file, &error)),
            }
        })
    }

    /// Makes a change of what has been read.
    fn parser(&self) -> impl FnOnce(io::Result<String>) -> Change + Send + use<> {
        let (file, format, env) = (self.file.clone(), self.format, Arc::clone(&self.env));
        move |read| match read {
            Ok(text) => apisix_yaml::parse(&text, format, &file, &*env),
            Err(error) => Err(unreadable(&file, &error)),
        }
    }

    /// Looks at the file once: its text, if that is to be told of.
    fn look(&mut self, now: Instant) -> Option<io::Result<String>> {
        let read = self.read()?;
        let content = match &read {
            Ok(text) => Content::Text(self.hasher.hash_one(text)),
            Err(error) => Content::Unreadable(error.kind()),
        };
        if self.told == Some(content) {
            self.doubtful = None;
            return None;
        }
        let format = self.format;
        let complete = |text: &str| format.is_complete(text);
        let may_not_last = !read.as_deref().is_ok_and(complete);
        if may_not_last && self.told.is_some() && !self.has_lasted(content, now) {
            return None;
        }
        self.doubtful = None;
        self.told = Some(content);
        Some(read)
    }

    /// The text of the file; none if it cannot have changed since it was last read.
    fn read(&mut self) -> Option<io::Result<String>> {
        let metadata = match fs::metadata(&self.file) {
            Ok(metadata) => metadata,
            Err(error) => {
                self.stamp = None;
                return Some(Err(error));
            }
        };
        let stamp = Stamp::of(&metadata);
        if self.stamp == Some(stamp) && self.doubtful.is_none() && !may_hide_a_change(&metadata) {
            return None;
        }
        self.stamp = Some(stamp);
        Some(read_file(&self.file))
    }

    /// Whether the file has been `content` for long enough to be told of.
    fn has_lasted(&mut self, content: Content, now: Instant) -> bool {
        match self.doubtful {
            Some((doubtful, since)) if doubtful == content => {
                now.duration_since(since) >= limits::WATCH_PATIENCE
            }
            _ => {
                self.doubtful = Some((content, now));
                false
            }
        }
    }
}

fn unreadable(file: &Path, why: &dyn std::fmt::Display) -> Report {
    Report::of_one(file, Problem::of_file(format!("cannot be read: {why}")))
}

/// What a file is, for comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// The hash of its text.
    Text(u64),
    Unreadable(ErrorKind),
}

/// Metadata that differs between two versions of a file, but for the grain of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Whether the file was changed so lately that another change could leave the same
/// metadata. The time of the change is the kernel's; that of the content anyone can set.
fn may_hide_a_change(metadata: &Metadata) -> bool {
    let since_epoch = |seconds| u64::try_from(seconds).ok().map(Duration::from_secs);
    let changed = since_epoch(metadata.ctime()).map(|time| SystemTime::UNIX_EPOCH + time);
    let age = changed.and_then(|time| SystemTime::now().duration_since(time).ok());
    // A change in the future says that the clock is not to be trusted.
    age.is_none_or(|age| age < limits::WATCH_CLOCK_DOUBT)
}

/// Reads a configuration file, which is a file proper and not too large.
///
/// # Errors
/// It cannot be read, is no file, no text, or larger than [`limits::FILE_LEN`].
pub fn read_file(path: &Path) -> io::Result<String> {
    // Looked at before it is opened: opening a pipe would wait for its other end.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a file"));
    }
    read_all(File::open(path)?)
}

/// Reads a configuration from where it comes, which may be a pipe.
///
/// # Errors
/// It cannot be read, is no text, or larger than [`limits::FILE_LEN`].
pub fn read_all(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    let len = from.take(limits::FILE_LEN + 1).read_to_string(&mut text)?;
    if len as u64 > limits::FILE_LEN {
        let message = format!("it is larger than {} bytes", limits::FILE_LEN);
        return Err(io::Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}
