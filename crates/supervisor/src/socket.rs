//! The path of a runner's socket: chosen, probed, removed.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::error::SpawnError;
use crate::limits;
use crate::spec::{Generation, SocketPath, Spec};

/// The socket of one process, whose file is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    /// No other process uses this path, so what is there is the process's own.
    fresh: bool,
}

impl Socket {
    /// The place for the next process of this runner, free to be bound.
    pub(crate) fn prepare(spec: &Spec, dir: &Path) -> Result<(Self, Generation), SpawnError> {
        let program = || spec.cmd.program().to_owned();
        let folder = match &spec.socket {
            SocketPath::Fresh { dir: folder } => dir.join(folder),
            SocketPath::Fixed(path) => dir.join(path.parent().unwrap_or(Path::new(""))),
        };
        if let Err(source) = check_folder(&folder) {
            return Err(SpawnError::SocketDir {
                program: program(),
                dir: folder,
                source,
            });
        }
        let (socket, generation) = match &spec.socket {
            SocketPath::Fresh { .. } => fresh(&spec.name, &folder),
            SocketPath::Fixed(path) => (
                Self {
                    path: dir.join(path),
                    fresh: false,
                },
                Generation::next(),
            ),
        };
        if socket.path.as_os_str().len() > limits::SOCKET_PATH_BYTES {
            return Err(SpawnError::SocketPathTooLong {
                program: program(),
                path: socket.path.clone(),
            });
        }
        remove_stale(&socket.path);
        if is_socket(&socket.path) == Some(false) {
            return Err(SpawnError::SocketPathTaken {
                program: program(),
                path: socket.path.clone(),
            });
        }
        Ok((socket, generation))
    }

    /// Where the process is to listen; absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.fresh {
            remove_socket(&self.path);
            // Where a runner that multiplexes calls listens besides.
            let mut beside = self.path.clone().into_os_string();
            beside.push(".mux");
            remove_socket(Path::new(&beside));
        } else {
            remove_stale(&self.path);
        }
    }
}

/// Whether somebody listens at `path` and has room for a connection.
///
/// Does not block. The connection is closed at once: some runners give each
/// connection a task of its own, which then just ends.
pub(crate) fn accepts(path: &Path) -> bool {
    connect(path).is_ok()
}

fn connect(path: &Path) -> rustix::io::Result<()> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &address)
}

fn check_folder(folder: &Path) -> io::Result<()> {
    let is_dir = fs::metadata(folder)?.is_dir();
    if is_dir {
        Ok(())
    } else {
        Err(io::ErrorKind::NotADirectory.into())
    }
}

/// A path in `dir` that nothing has.
fn fresh(name: &str, dir: &Path) -> (Socket, Generation) {
    loop {
        let generation = Generation::next();
        let path = dir.join(format!("{}.{generation}.sock", file_name(name)));
        // Something left by another process of this program: the next number.
        if fs::symlink_metadata(&path).is_err() {
            return (Socket { path, fresh: true }, generation);
        }
    }
}

/// A runner's name as part of a file name, different for different names.
fn file_name(name: &str) -> String {
    let mut file = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'-' | b'_' | b'.' => file.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => file.push(byte.into()),
            _ => file.push_str(&format!("%{byte:02X}")),
        }
    }
    file
}

/// Removes the socket of a process that is gone, which some runners trip over.
/// One that somebody still listens on is not ours to take.
fn remove_stale(path: &Path) {
    if connect(path) == Err(rustix::io::Errno::CONNREFUSED) {
        remove_socket(path);
    }
}

fn remove_socket(path: &Path) {
    if is_socket(path) == Some(true) {
        // Gone by another hand, or in a folder taken from us: nothing to be done,
        // and with a fresh path nothing to be lost.
        let _ = fs::remove_file(path);
    }
}

/// `None` if there is nothing.
fn is_socket(path: &Path) -> Option<bool> {
    Some(fs::symlink_metadata(path).ok()?.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_socket_that_somebody_listens_on_accepts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        assert!(!accepts(&path));
        let listener = UnixListener::bind(&path).unwrap();
        assert!(accepts(&path));
        drop(listener);
        assert!(!accepts(&path));
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(!accepts(&dir.path().join("file")));
    }

    #[test]
    fn a_fresh_path_skips_what_is_there_and_is_removed_with_its_companion() {
        let dir = tempfile::tempdir().unwrap();
        let (first, generation) = fresh("java", dir.path());
        assert_eq!(
            first.path(),
            dir.path().join(format!("java.{generation}.sock"))
        );
        for path in [
            first.path().to_owned(),
            first.path().with_extension("sock.mux"),
        ] {
            UnixListener::bind(path).unwrap();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        drop(first);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        // Files where the next ones would be; other tests may take numbers too,
        // so that some of these lie behind by then.
        let last = fresh("java", dir.path()).1.get();
        for number in last..last + 50 {
            fs::write(dir.path().join(format!("java.{number}.sock")), "").unwrap();
        }
        let (next, _) = fresh("java", dir.path());
        assert!(fs::symlink_metadata(next.path()).is_err());
    }

    #[test]
    fn different_names_give_different_file_names() {
        let names = ["a/b", "a_b", "a b", "ä", "a%2Fb", ".."];
        let files: std::collections::HashSet<_> =
            names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len());
        assert!(files.iter().all(|file| !file.contains('/')));
    }

    #[test]
    fn a_fixed_path_is_cleared_of_a_dead_socket_but_not_of_a_live_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        remove_stale(&path);
        assert!(accepts(&path));
        drop(listener);
        remove_stale(&path);
        assert_eq!(is_socket(&path), None);
    }

    #[test]
    fn what_is_not_a_socket_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, "data").unwrap();
        drop(Socket {
            path: path.clone(),
            fresh: true,
        });
        drop(Socket {
            path: path.clone(),
            fresh: false,
        });
        assert_eq!(fs::read(&path).unwrap(), b"data");
        assert_eq!(is_socket(&path), Some(false));
    }
}
