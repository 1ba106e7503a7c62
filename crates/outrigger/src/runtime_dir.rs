//! The folder for this process's sockets: private, and gone when it ends.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Longest path of a unix socket in bytes (`sun_path` of unix(7), less the
/// NUL at its end).
const MAX_SOCKET_PATH: usize = 107;

/// Room for a socket's own name in the folder.
const SOCKET_NAME: usize = 40;

/// A folder that cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot make a folder for sockets in {}: {source}; set outrigger.runtime_dir", base.display())]
    Make { base: PathBuf, source: io::Error },
    #[error("the folder for sockets, {}, has too long a path for a unix socket; set outrigger.runtime_dir to a shorter one", dir.display())]
    TooLong { dir: PathBuf },
}

/// Makes a folder of mode 0700 in `configured`, or where none is configured
/// in `XDG_RUNTIME_DIR`, `/run` or the folder for temporary files, the first
/// that works. `var` reads the environment.
pub(crate) fn make(
    configured: Option<&Path>,
    var: impl Fn(&str) -> Option<OsString>,
) -> Result<TempDir, Error> {
    let dir = match configured {
        Some(base) => make_in(base)?,
        None => {
            let xdg = var("XDG_RUNTIME_DIR")
                .map(PathBuf::from)
                .filter(|dir| dir.is_absolute());
            let first = xdg.into_iter().chain([PathBuf::from("/run")]);
            let made = first
                .map(|base| make_in(&base.join("outrigger")))
                .find_map(Result::ok);
            match made {
                Some(dir) => dir,
                None => make_in(&std::env::temp_dir())?,
            }
        }
    };
    if dir.path().as_os_str().as_bytes().len() + SOCKET_NAME > MAX_SOCKET_PATH {
        return Err(Error::TooLong {
            dir: dir.path().to_owned(),
        });
    }
    Ok(dir)
}

fn make_in(base: &Path) -> Result<TempDir, Error> {
    let make = || {
        std::fs::create_dir_all(base)?;
        let private = std::fs::Permissions::from_mode(0o700);
        let prefix = format!("{}.", std::process::id());
        let dir = tempfile::Builder::new()
            .prefix(&prefix)
            .permissions(private)
            .tempdir_in(base)?;
        // Sockets are told to runners by absolute paths.
        std::path::absolute(dir.path())?;
        Ok(dir)
    };
    make().map_err(|source| Error::Make {
        base: base.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_private_and_goes_with_its_owner() {
        let base = tempfile::tempdir().unwrap();
        let dir = make(Some(&base.path().join("new/deep")), |_| None).unwrap();
        let path = dir.path().to_owned();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        drop(dir);
        assert!(!path.exists());
    }

    #[test]
    fn the_users_runtime_folder_is_taken_where_none_is_configured() {
        let base = tempfile::tempdir().unwrap();
        let dir = make(None, |name| {
            (name == "XDG_RUNTIME_DIR").then(|| base.path().into())
        })
        .unwrap();
        assert!(dir.path().starts_with(base.path().join("outrigger")));
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let long = base.path().join("x".repeat(100));
        assert!(matches!(
            make(Some(&long), |_| None),
            Err(Error::TooLong { .. })
        ));
    }
}
