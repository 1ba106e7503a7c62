//! The socket's file: made where nobody listens, removed by its owner alone.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tracing::{debug, warn};

use crate::ServeError;
use crate::limits::BACKLOG;

/// The file of a socket that this process listens on. Removed when dropped,
/// unless another one has taken its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    id: FileId,
    /// Keeps the socket, and so its file's number, from being used again while
    /// the number is what tells our file from another's.
    _socket: OwnedFd,
}

/// What tells one file from another at the same path.
type FileId = (u64, u64);

/// Listens at `path`, with a file of the given mode. The file of a runner that
/// is gone is replaced.
///
/// # Errors
/// [`ServeError::InUse`] where somebody listens, [`ServeError::NotASocket`]
/// where the path is something else, [`ServeError::Listen`] for the rest.
pub(crate) async fn listen(
    path: &Path,
    mode: u32,
) -> Result<(UnixListener, SocketFile), ServeError> {
    let failed = |source| ServeError::Listen {
        path: path.to_owned(),
        source,
    };
    remove_stale(path).await?;
    let socket = UnixSocket::new_stream().map_err(failed)?;
    socket.bind(path).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => ServeError::InUse(path.to_owned()),
        _ => failed(error),
    })?;
    let fd = socket.as_fd().try_clone_to_owned().map_err(failed)?;
    let id = file_id(&fs::symlink_metadata(path).map_err(failed)?);
    let file = SocketFile {
        path: path.to_owned(),
        id,
        _socket: fd,
    };
    // Between bind and listen nobody can connect, so nobody comes before the
    // mode is right.
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
    let listener = socket.listen(BACKLOG).map_err(failed)?;
    Ok((listener, file))
}

/// Removes a socket's file that nobody listens on.
async fn remove_stale(path: &Path) -> Result<(), ServeError> {
    let failed = |source| ServeError::Listen {
        path: path.to_owned(),
        source,
    };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !found.file_type().is_socket() {
        return Err(ServeError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path)
        .await
        .map_err(|error| error.kind())
    {
        Err(io::ErrorKind::ConnectionRefused) => {
            debug!(path = %path.display(), "replacing a socket that nobody listens on");
            fs::remove_file(path).map_err(failed)
        }
        Err(io::ErrorKind::NotFound) => Ok(()),
        Err(io::ErrorKind::PermissionDenied) => {
            Err(failed(io::Error::from(io::ErrorKind::PermissionDenied)))
        }
        // Whatever else it says (its backlog may be full), somebody is there.
        Ok(_) | Err(_) => Err(ServeError::InUse(path.to_owned())),
    }
}

fn file_id(file: &fs::Metadata) -> FileId {
    (file.dev(), file.ino())
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        match fs::symlink_metadata(&self.path) {
            Ok(found) if file_id(&found) == self.id => {
                if let Err(error) = fs::remove_file(&self.path) {
                    warn!(path = %self.path.display(), "cannot remove the socket: {error}");
                }
            }
            Ok(_) => {
                debug!(path = %self.path.display(), "the socket is another's now and stays");
            }
            Err(error) => debug!(path = %self.path.display(), "the socket is gone: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;
