//! Finds the program that a command names, and explains one that cannot run.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::error::SpawnError;
use crate::limits;

/// The search path of a child whose environment has no `PATH`, as in `execvp`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The file to execute for `program`.
///
/// A name without a slash is looked for in `dir` first, where only a regular
/// executable file counts (a folder `java` does not hide the program of that
/// name), and then in `path`. One with a slash is relative to `dir`.
pub(crate) fn program(
    program: &OsStr,
    dir: &Path,
    path: Option<&OsStr>,
) -> Result<PathBuf, SpawnError> {
    if program.as_bytes().contains(&b'/') {
        let file = dir.join(program);
        return check(&file).map(|()| file);
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    // An empty entry means the working directory, as in a shell.
    let entries = std::env::split_paths(path).map(|entry| dir.join(entry));
    let mut unusable = None;
    for folder in std::iter::once(dir.to_owned()).chain(entries) {
        let file = folder.join(program);
        match check(&file) {
            Ok(()) => return Ok(file),
            Err(error @ SpawnError::NotExecutable { .. }) => {
                unusable.get_or_insert(error);
            }
            Err(_) => {}
        }
    }
    Err(unusable.unwrap_or_else(|| SpawnError::NotInPath {
        program: program.to_owned(),
        dir: dir.to_owned(),
        path: path.to_owned(),
    }))
}

/// Whether `file` looks like something to execute.
fn check(file: &Path) -> Result<(), SpawnError> {
    let path = || file.to_owned();
    let metadata = fs::metadata(file).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            SpawnError::NoSuchFile { path: path() }
        }
        _ => SpawnError::System {
            path: path(),
            source,
        },
    })?;
    if !metadata.is_file() {
        return Err(SpawnError::NotAFile { path: path() });
    }
    access(file, Access::EXEC_OK).map_err(|_| SpawnError::NotExecutable { path: path() })
}

/// What an error of the system means when `file`, which passed [`program`], was
/// to be executed.
pub(crate) fn explain(file: PathBuf, source: io::Error) -> SpawnError {
    match source.raw_os_error() {
        // The file is there, so it is what the file needs that is not.
        Some(libc::ENOENT) => SpawnError::BadInterpreter {
            interpreter: interpreter(&file),
            path: file,
        },
        Some(libc::EACCES) if interpreter(&file).is_none() => {
            SpawnError::NotExecutable { path: file }
        }
        _ => SpawnError::System { path: file, source },
    }
}

/// What the `#!` line of a file names, if it has one.
fn interpreter(file: &Path) -> Option<OsString> {
    let mut head = Vec::new();
    let limit = limits::SHEBANG_BYTES as u64;
    File::open(file)
        .ok()?
        .take(limit)
        .read_to_end(&mut head)
        .ok()?;
    let line = head
        .strip_prefix(b"#!")?
        .split(|&byte| byte == b'\n')
        .next()?;
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = line.iter().position(|byte| !is_blank(byte))?;
    let name = line[start..].split(is_blank).next()?;
    Some(OsString::from_vec(name.to_vec()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A folder with files of these names and modes.
    fn folder(files: &[(&str, u32)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in files {
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(*mode)).unwrap();
        }
        dir
    }

    fn find(name: &str, dir: &Path, path: &Path) -> Result<PathBuf, SpawnError> {
        program(OsStr::new(name), dir, Some(path.as_os_str()))
    }

    #[test]
    fn a_bare_name_is_found_in_the_working_directory_before_path() {
        let dir = folder(&[("here", 0o755), ("both", 0o755)]);
        let path = folder(&[("there", 0o755), ("both", 0o755)]);
        let (dir, path) = (dir.path(), path.path());
        assert_eq!(find("here", dir, path).unwrap(), dir.join("here"));
        assert_eq!(find("both", dir, path).unwrap(), dir.join("both"));
        assert_eq!(find("there", dir, path).unwrap(), path.join("there"));
    }

    #[test]
    fn a_folder_or_a_plain_file_does_not_hide_a_program_in_path() {
        let dir = folder(&[("java/readme", 0o644), ("node", 0o644)]);
        let path = folder(&[("java", 0o755), ("node", 0o755)]);
        let (dir, path) = (dir.path(), path.path());
        assert_eq!(find("java", dir, path).unwrap(), path.join("java"));
        assert_eq!(find("node", dir, path).unwrap(), path.join("node"));
    }

    #[test]
    fn a_name_with_a_slash_is_not_looked_for_in_path() {
        let dir = folder(&[("bin/r", 0o755)]);
        let path = folder(&[("bin/other", 0o755)]);
        let (dir, path) = (dir.path(), path.path());
        assert_eq!(find("bin/r", dir, path).unwrap(), dir.join("bin/r"));
        let error = find("bin/other", dir, path).unwrap_err();
        assert!(
            matches!(&error, SpawnError::NoSuchFile { path } if *path == dir.join("bin/other")),
            "{error}"
        );
    }

    #[test]
    fn what_cannot_be_executed_is_told_apart() {
        let dir = folder(&[("plain", 0o644), ("folder/file", 0o755)]);
        let dir = dir.path();
        let error = |name| find(name, dir, Path::new("/nonexistent")).unwrap_err();
        assert!(matches!(error("./plain"), SpawnError::NotExecutable { .. }));
        assert!(matches!(error("plain"), SpawnError::NotExecutable { .. }));
        assert!(matches!(error("./folder"), SpawnError::NotAFile { .. }));
        assert!(matches!(
            error("./folder/file/deeper"),
            SpawnError::NoSuchFile { .. }
        ));
        assert!(matches!(error("absent"), SpawnError::NotInPath { .. }));
    }

    #[test]
    fn without_a_path_the_default_one_is_searched() {
        let dir = folder(&[]);
        let found = program(OsStr::new("sh"), dir.path(), None).unwrap();
        assert!(found.ends_with("bin/sh"), "{found:?}");
    }

    #[test]
    fn the_interpreter_is_read_as_the_kernel_reads_it() {
        let dir = folder(&[]);
        let named = |text: &str| {
            let file = dir.path().join("f");
            fs::write(&file, text).unwrap();
            interpreter(&file)
        };
        assert_eq!(
            named("#! /usr/bin/env  python3\nx"),
            Some("/usr/bin/env".into())
        );
        assert_eq!(named("#!/bin/sh\r\n"), Some("/bin/sh\r".into()));
        assert_eq!(named("\u{7f}ELF"), None);
        assert_eq!(named("#!"), None);
    }
}
