//! Which process is at the other end of a connection.
//!
//! Tokens are numbers that every process of a runner gives from 1 on, so a
//! token must never reach another process than the one that gave it. The kernel
//! tells who listens (SO_PEERCRED: the process that called `listen`). A number
//! of a process can be given again, so its start time is part of the identity;
//! it is read with every connection, since connections are rare and a number
//! that looks familiar is just the case to be found out.
//!
//! A process that leaves the accepting to others, its children or whoever
//! inherits its socket, counts as one with them.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A process that listens, as far as it can be told from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    /// The kernel showed it.
    Seen {
        pid: u32,
        /// Start time in clock ticks since boot.
        started: u64,
    },
    /// It is outside of our process namespace, or /proc is hidden. What can be
    /// told is the file of its socket, which a restart has to make anew.
    Unseen { pid: u32, socket: SocketFile },
}

/// The identity of a socket's file; all zero where there is none to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SocketFile {
    device: u64,
    inode: u64,
    /// Seconds and nanoseconds: an inode's number is soon given again.
    changed: (i64, i64),
}

impl Process {
    /// The process that listens at the other end of a connection whose peer
    /// has the number `pid` (0 where it is unknown), and which led to `socket`
    /// when its file was `file`.
    ///
    /// # Errors
    /// Where it cannot be told, because the file was replaced meanwhile: as if
    /// the connection had been refused.
    pub(crate) fn of(pid: u32, socket: &Path, file: SocketFile) -> io::Result<Self> {
        if let Some(started) = started(pid) {
            return Ok(Self::Seen { pid, started });
        }
        if SocketFile::of(socket) != file {
            let why = "the socket was replaced while it was being connected to";
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, why));
        }
        Ok(Self::Unseen { pid, socket: file })
    }

    /// Its number, where the kernel can tell.
    pub(crate) fn pid(&self) -> Option<u32> {
        let (Self::Seen { pid, .. } | Self::Unseen { pid, .. }) = *self;
        (pid != 0).then_some(pid)
    }
}

impl SocketFile {
    pub(crate) fn of(path: &Path) -> Self {
        fs::metadata(path).map_or_else(
            |_| Self::default(),
            |file| Self {
                device: file.dev(),
                inode: file.ino(),
                changed: (file.ctime(), file.ctime_nsec()),
            },
        )
    }
}

/// When a process started, in clock ticks since boot.
fn started(pid: u32) -> Option<u64> {
    if pid == 0 {
        return None;
    }
    // Longer than any line of that file up to the field, name included.
    let mut stat = [0; 512];
    let len = File::open(format!("/proc/{pid}/stat"))
        .ok()?
        .read(&mut stat)
        .ok()?;
    start_time(&stat[..len])
}

/// The field `starttime` of a line of /proc/PID/stat, see proc(5).
fn start_time(stat: &[u8]) -> Option<u64> {
    // The process's name may hold spaces and parentheses; nothing after it does.
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let after_name = str::from_utf8(&stat[name_end + 1..]).ok()?;
    // Field 22 of the line, and the fields after the name begin with number 3.
    after_name
        .split_ascii_whitespace()
        .nth(22 - 3)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use tokio::net::{UnixListener, UnixStream};

    use super::*;

    const STAT: &str = "20 0 1 0 4242 1 2 3";

    /// A line of /proc/PID/stat; its fields 4 to 17 do not matter here.
    fn stat(name: &str) -> String {
        format!("17 ({name}) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 {STAT}\n")
    }

    #[test]
    fn the_start_time_is_found_after_any_name() {
        for name in ["runner", "a b", ") 1 2 3", "((", ""] {
            assert_eq!(start_time(stat(name).as_bytes()), Some(4242), "{name:?}");
        }
    }

    #[test]
    fn a_line_that_is_none_has_no_start_time() {
        for stat in ["", "17 runner S 1", "17 (runner", "17 (runner) S 1 2 3"] {
            assert_eq!(start_time(stat.as_bytes()), None, "{stat:?}");
        }
    }

    #[test]
    fn a_process_that_is_not_there_has_no_start_time() {
        assert_eq!(started(0), None);
        assert_eq!(started(u32::MAX), None);
    }

    #[tokio::test]
    async fn the_listening_process_is_seen_and_stays_the_same() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let socket = dir.path().join("runner.sock");
        let _listener = UnixListener::bind(&socket)?;
        let file = SocketFile::of(&socket);
        let peer = UnixStream::connect(&socket).await?.peer_cred()?;
        let pid = peer.pid().and_then(|pid| pid.try_into().ok()).unwrap_or(0);
        let first = Process::of(pid, &socket, file)?;
        let second = Process::of(pid, &socket, file)?;
        assert_eq!(first.pid(), Some(std::process::id()));
        assert!(
            matches!(first, Process::Seen { started: 1.., .. }),
            "{first:?}"
        );
        assert_eq!(first, second);
        Ok(())
    }

    /// Where the process cannot be seen, its socket's file tells: a successor
    /// cannot bind the same one.
    #[test]
    fn a_process_that_cannot_be_seen_is_known_by_its_socket() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let socket = dir.path().join("runner.sock");
        let bind = || std::os::unix::net::UnixListener::bind(&socket);
        let _old = bind()?;
        let first = SocketFile::of(&socket);
        let process = Process::of(0, &socket, first)?;
        assert_eq!(process.pid(), None);
        assert_eq!(process, Process::of(0, &socket, first)?);

        // Kept, so that its number is taken when the other one is made.
        fs::rename(&socket, dir.path().join("old.sock"))?;
        let _new = bind()?;
        let refused = Process::of(0, &socket, first).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let second = SocketFile::of(&socket);
        assert_ne!(process, Process::of(0, &socket, second)?);
        Ok(())
    }
}
