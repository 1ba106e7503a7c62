//! The socket beside the embedded store at which a running gateway answers its own
//! commands (`outrigger_admin::local`).

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outrigger_admin::api;
use outrigger_admin::local::{Client, serve};
use outrigger_admin::server::Work;
use outrigger_config::store::Store;
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

/// Its name in the data folder.
const SOCKET: &str = "gateway.sock";

/// Connections that wait while one is served.
const BACKLOG: i32 = 16;

/// Answers commands at the socket in `data_dir`, where the store is this process's
/// alone. That it cannot is no reason not to serve requests.
pub(crate) fn answer(
    data_dir: &Path,
    store: Arc<dyn Store>,
    gateway: Arc<dyn api::Gateway>,
) -> Option<Work> {
    let listener = bind(data_dir).and_then(tokio::net::UnixListener::from_std);
    match listener {
        Ok(listener) => Some(Work::of(serve(listener, store, gateway))),
        Err(error) => {
            tracing::warn!(
                "export, import and check will not reach this gateway: cannot listen at {}: {error}",
                data_dir.join(SOCKET).display()
            );
            None
        }
    }
}

/// The gateway that uses a store.
pub(crate) struct Neighbour {
    client: Client,
    /// The way to its socket.
    _folder: Folder,
}

impl Neighbour {
    /// The one that uses the store in `data_dir`, if one does.
    pub(crate) fn of(data_dir: &Path) -> io::Result<Self> {
        let folder = Folder::open(data_dir)?;
        Ok(Self {
            client: Client::new(&folder.path_of(SOCKET)),
            _folder: folder,
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}

/// Where it is looked for.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET)
}

fn bind(data_dir: &Path) -> io::Result<UnixListener> {
    // Whoever was there before has lost the store, and does not listen any more.
    match fs::remove_file(data_dir.join(SOCKET)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let folder = Folder::open(data_dir)?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK,
        None,
    )?;
    // What the socket is made with in the folder: from its first moment it is for
    // its user alone.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(folder.path_of(SOCKET))?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// An open folder, in which a socket can have a longer path than sockets can.
struct Folder(File);

impl Folder {
    fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }

    /// The path by way of this process's descriptors; good for as long as this is.
    fn path_of(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_socket_is_for_its_user_alone_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        let first = bind(&deep).unwrap();
        let mode = deep.join(SOCKET).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(first);
        let _again = bind(&deep).unwrap();
        let folder = Folder::open(&deep).unwrap();
        assert!(UnixStream::connect(folder.path_of(SOCKET)).is_ok());
    }
}
