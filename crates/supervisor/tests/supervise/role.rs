//! What this program does when a test starts it as a runner or as a gateway.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use outrigger_supervisor::{Argv, Supervisor};

use crate::support::{Recorder, shell, spec};

/// The variable that names the role.
pub(crate) const ROLE: &str = "SUPERVISE_TEST_ROLE";
/// The variable with the role's argument.
pub(crate) const ARGUMENT: &str = "SUPERVISE_TEST_ARGUMENT";

/// The command that starts this program in the role that the environment names.
pub(crate) fn command() -> Argv {
    let program = std::env::current_exe().unwrap();
    // The one test below, on the main thread, with its output let through.
    let arguments = ["--exact", "role::play", "--nocapture"].map(Into::into);
    Argv::try_from([&[program.into()][..], &arguments].concat()).unwrap()
}

/// Plays a role if this process was started for one; in an ordinary test run
/// there is none, and nothing to test.
#[test]
fn play() {
    let argument = std::env::var_os(ARGUMENT)
        .map(PathBuf::from)
        .unwrap_or_default();
    match std::env::var(ROLE).as_deref() {
        Ok("listen") => listen(),
        Ok("listen after") => {
            while !argument.exists() {
                std::thread::sleep(Duration::from_millis(2));
            }
            listen();
        }
        Ok("gateway") => gateway(argument),
        _ => {}
    }
}

fn listen() {
    let address = std::env::var("APISIX_LISTEN_ADDRESS").unwrap();
    let listener = UnixListener::bind(address.strip_prefix("unix:").unwrap()).unwrap();
    for connection in listener.incoming() {
        drop(connection);
    }
}

/// Supervises a runner that holds a pipe open, until it is killed.
fn gateway(pipe: PathBuf) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = spec(dir.path());
        spec.cmd = shell(r#"exec sleep 300 3>"$PIPE""#);
        spec.env.push(("PIPE".into(), pipe.into()));
        let _handle = Supervisor::start(spec, Recorder::new());
        std::future::pending::<()>().await;
    });
}
