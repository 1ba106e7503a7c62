//! A proxy between a host and a runner that writes every frame to a file, named
//! as in the golden captures: `java-01-host-prepare-conf.bin`.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Which side a frame came from.
#[derive(Clone, Copy)]
enum Side {
    Host,
    Runner,
}

/// A proxy that runs as long as the program does.
pub(crate) struct Recorder {
    path: PathBuf,
}

/// Where frames go, numbered in the order they come.
struct Files {
    folder: PathBuf,
    prefix: String,
    count: Mutex<usize>,
}

impl Recorder {
    /// Listens on `path` and passes on to the runner that listens on `runner`.
    ///
    /// # Panics
    /// If it cannot listen.
    pub(crate) fn start(path: &Path, runner: &Path, folder: &Path, prefix: &str) -> Self {
        let listener = UnixListener::bind(path).expect("the path is free");
        let files = Arc::new(Files {
            folder: folder.to_owned(),
            prefix: prefix.to_owned(),
            count: Mutex::new(0),
        });
        let runner = runner.to_owned();
        std::thread::spawn(move || {
            for host in listener.incoming().flatten() {
                if let Ok(runner) = UnixStream::connect(&runner) {
                    pass_on(host, runner, &files);
                }
            }
        });
        Self {
            path: path.to_owned(),
        }
    }

    /// Where hosts connect to.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn pass_on(host: UnixStream, runner: UnixStream, files: &Arc<Files>) {
    let (Ok(to_host), Ok(to_runner)) = (host.try_clone(), runner.try_clone()) else {
        return;
    };
    for (side, from, to) in [
        (Side::Host, host, to_runner),
        (Side::Runner, runner, to_host),
    ] {
        let files = Arc::clone(files);
        std::thread::spawn(move || one_way(side, from, to, &files));
    }
}

/// Goes on reading when the other side has gone: what a runner sends to a host
/// that has closed is worth recording too.
fn one_way(side: Side, mut from: UnixStream, mut to: UnixStream, files: &Files) {
    while let Ok(frame) = read_frame(&mut from) {
        files.keep(side, &frame);
        let _ = to.write_all(&frame);
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Reads a whole frame, its header included.
pub(crate) fn read_frame(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame)?;
    let length = u32::from_be_bytes([0, frame[1], frame[2], frame[3]]);
    frame.resize(4 + length as usize, 0);
    stream.read_exact(&mut frame[4..])?;
    Ok(frame)
}

impl Files {
    fn keep(&self, side: Side, frame: &[u8]) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        let side = match side {
            Side::Host => "host",
            Side::Runner => "runner",
        };
        let name = match frame[0] {
            0 => "error",
            1 => "prepare-conf",
            2 => "http-req-call",
            3 => "extra-info",
            4 => "http-resp-call",
            _ => "unknown",
        };
        let file = format!("{}-{:02}-{side}-{name}.bin", self.prefix, *count);
        fs::write(self.folder.join(file), frame).expect("a frame can be written to its file");
    }
}
