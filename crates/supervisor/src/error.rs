//! Why a runner could not be started: the culprit, what is wrong with it, and
//! what a person can do.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::limits;

/// A command without a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the command is empty: its first element must name the program to run")]
pub struct EmptyCommand;

/// Why no process came to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The folder to run in cannot be entered.
    #[error(
        "cannot start {program:?}: its working directory {dir:?} cannot be used ({source}): create it or correct the setting"
    )]
    WorkingDir {
        /// The program as configured.
        program: OsString,
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A path that leads nowhere.
    #[error(
        "cannot start {path:?}: there is no such file: correct `cmd`, or build or install the program"
    )]
    NoSuchFile {
        /// The path, with the working directory before it if it was relative.
        path: PathBuf,
    },
    /// A name that is neither in the working directory nor in `PATH`.
    #[error(
        "cannot start {program:?}: there is no such file in {dir:?} nor in the runner's PATH ({path:?}): install it, or give `cmd` its absolute path"
    )]
    NotInPath {
        /// The program as configured.
        program: OsString,
        /// The working directory.
        dir: PathBuf,
        /// The search path, which is the one of the child's environment.
        path: OsString,
    },
    /// A file of another kind.
    #[error("cannot start {path:?}: it is not a regular file: let `cmd` name the program itself")]
    NotAFile {
        /// What was found.
        path: PathBuf,
    },
    /// A file that this user may not execute.
    #[error(
        "cannot start {path:?}: it is not executable for the gateway's user: `chmod +x` it, check that its file system is not mounted noexec, or let `cmd` begin with its interpreter"
    )]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// A file whose interpreter or dynamic loader is missing.
    #[error("cannot start {path:?}: {}", missing_interpreter(.interpreter.as_ref()))]
    BadInterpreter {
        /// The file.
        path: PathBuf,
        /// What its `#!` line names; `None` for a binary.
        interpreter: Option<OsString>,
    },
    /// The command or the environment cannot be handed to a process.
    #[error("cannot start {program:?}: {what}: correct the setting")]
    Malformed {
        /// The program as configured.
        program: OsString,
        /// Which part, and what is wrong with it.
        what: String,
    },
    /// The folder for the socket cannot be used.
    #[error(
        "cannot start {program:?}: the folder for its socket, {dir:?}, cannot be used ({source}): create it or correct the setting"
    )]
    SocketDir {
        /// The program as configured.
        program: OsString,
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket's path does not fit a socket address.
    #[error(
        "cannot start {program:?}: its socket's path {path:?} is longer than the {} bytes a unix socket may have: choose a shorter folder or runner name",
        limits::SOCKET_PATH_BYTES
    )]
    SocketPathTooLong {
        /// The program as configured.
        program: OsString,
        /// The path.
        path: PathBuf,
    },
    /// Something that is not a socket is in the place of the socket.
    #[error(
        "cannot start {program:?}: {path:?}, where it is to listen, exists and is not a socket: remove it or choose another path"
    )]
    SocketPathTaken {
        /// The program as configured.
        program: OsString,
        /// The path.
        path: PathBuf,
    },
    /// The system refused for a reason of its own.
    #[error("cannot start {path:?}: {source}{}", advice(.source))]
    System {
        /// The program's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn missing_interpreter(interpreter: Option<&OsString>) -> String {
    match interpreter {
        Some(interpreter) => format!(
            "its first line asks for the interpreter {interpreter:?}, which does not exist: \
             install it or correct the line"
        ),
        None => "the dynamic loader it asks for does not exist: it was built for another \
                 system or C library; build it for this one, or statically"
            .to_owned(),
    }
}

/// What to do about an error of the system, for those with a usual cause.
fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => ": raise the limit of processes (ulimit -u, TasksMax)",
        Some(libc::ENOMEM) => ": the machine is out of memory",
        Some(libc::EMFILE) => ": raise the limit of open files (ulimit -n)",
        Some(libc::ENFILE) => ": the machine has no open files left (fs.file-max)",
        Some(libc::E2BIG) => ": the command and its environment are too long",
        Some(libc::ENOEXEC) => ": it is neither a program for this machine nor a script with `#!`",
        Some(libc::ETXTBSY) => ": it is being written; it will be tried again",
        Some(libc::EACCES) => ": a folder on the way or its interpreter is closed to this user",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_where_it_was_looked_for() {
        let error = SpawnError::NotInPath {
            program: "runner".into(),
            dir: "/etc/gateway".into(),
            path: "/usr/bin:/bin".into(),
        };
        let text = error.to_string();
        for part in [
            "\"runner\"",
            "/etc/gateway",
            "/usr/bin:/bin",
            "absolute path",
        ] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
    }

    #[test]
    fn a_line_ending_in_an_interpreters_name_is_visible() {
        let error = SpawnError::BadInterpreter {
            path: "/r.sh".into(),
            interpreter: Some("/bin/sh\r".into()),
        };
        assert!(error.to_string().contains(r#""/bin/sh\r""#), "{error}");
    }

    #[test]
    fn an_error_of_the_system_comes_with_advice() {
        let source = io::Error::from_raw_os_error(libc::EMFILE);
        let error = SpawnError::System {
            path: "/r".into(),
            source,
        };
        assert!(error.to_string().ends_with("(ulimit -n)"), "{error}");
    }
}
