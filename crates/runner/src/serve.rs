//! From a runner to a process that a gateway can start.
//!
//! [`Runner::serve_from_env`] is the only thing in this crate that reads the
//! environment or handles signals, and it does nothing else.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::socket;
use crate::{Runner, ServeError};

/// Where the gateway says that the runner is to listen.
const LISTEN_ADDRESS: &str = "APISIX_LISTEN_ADDRESS";

/// For how many seconds the gateway keeps a conf token.
const CONF_EXPIRE_TIME: &str = "APISIX_CONF_EXPIRE_TIME";

impl Runner {
    /// What the `main` of a runner does: serves where `APISIX_LISTEN_ADDRESS`
    /// says, keeps configurations as long as `APISIX_CONF_EXPIRE_TIME` asks for,
    /// and ends on SIGTERM or SIGINT, after the calls in flight.
    ///
    /// # Errors
    /// [`ServeError`] where that is not possible. Its message, which is also
    /// what `main` prints, says what to do.
    pub async fn serve_from_env(self) -> Result<(), ServeError> {
        let environment = Environment::read(|name| std::env::var_os(name))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => info!("SIGTERM"),
                _ = interrupt.recv() => info!("SIGINT"),
            }
        };
        let runner = match environment.conf_expire_time {
            Some(time) => self.conf_expire_time(time),
            None => self,
        };
        runner.serve_at(environment.socket, shutdown).await
    }

    /// Listens on a unix socket at `path` and serves until `shutdown`.
    ///
    /// The socket's file gets the [mode](Runner::socket_mode) that was set. It
    /// is removed as soon as the shutdown begins, so no host comes any more;
    /// but only if it is still the one that was made here. A file left behind by
    /// a runner that is gone is replaced.
    ///
    /// # Errors
    /// [`ServeError`] where that is not possible.
    pub async fn serve_at(
        self,
        path: impl AsRef<Path>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let path = path.as_ref();
        let (mode, drain_time) = (self.socket_mode, self.drain_time);
        let service = self.into_service()?;
        let (listener, file) = socket::listen(path, mode).await?;
        info!(path = %path.display(), "listening");
        let shutdown = async move {
            shutdown.await;
            drop(file);
        };
        service.run(listener, shutdown, drain_time).await;
        Ok(())
    }
}

/// What a gateway tells its runner.
#[derive(Debug, PartialEq, Eq)]
struct Environment {
    socket: PathBuf,
    conf_expire_time: Option<Duration>,
}

impl Environment {
    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ServeError> {
        let present = |name| variable(name).filter(|value| !value.is_empty());
        let address = present(LISTEN_ADDRESS).ok_or(ServeError::NoAddress)?;
        Ok(Self {
            socket: socket_path(&address)?,
            conf_expire_time: present(CONF_EXPIRE_TIME)
                .as_deref()
                .map(seconds)
                .transpose()?,
        })
    }
}

fn socket_path(address: &OsStr) -> Result<PathBuf, ServeError> {
    match address.as_bytes().strip_prefix(b"unix:") {
        Some(path) if !path.is_empty() => Ok(PathBuf::from(OsStr::from_bytes(path))),
        _ => Err(ServeError::Address(address.to_string_lossy().into_owned())),
    }
}

fn seconds(text: &OsStr) -> Result<Duration, ServeError> {
    let seconds = text
        .to_str()
        .and_then(|text| text.trim().parse::<u64>().ok());
    match seconds {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(ServeError::ExpireTime(text.to_string_lossy().into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, ServeError> {
        Environment::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn error(variables: &[(&str, &str)]) -> String {
        read(variables).unwrap_err().to_string()
    }

    #[test]
    fn the_gateway_says_where_and_how_long() {
        let environment = read(&[
            (LISTEN_ADDRESS, "unix:/run/a.sock"),
            (CONF_EXPIRE_TIME, "3600"),
        ]);
        let expected = Environment {
            socket: PathBuf::from("/run/a.sock"),
            conf_expire_time: Some(Duration::from_secs(3600)),
        };
        assert_eq!(environment.unwrap(), expected);
    }

    #[test]
    fn the_lifetime_may_be_missing() {
        let environment = read(&[(LISTEN_ADDRESS, "unix:a.sock"), (CONF_EXPIRE_TIME, "")]);
        assert_eq!(environment.unwrap().conf_expire_time, None);
    }

    #[test]
    fn started_by_hand_it_says_what_to_do() {
        let message = error(&[]);
        assert!(message.contains("ext-plugin.cmd") && message.contains("path_for_test"));
        assert_eq!(error(&[(LISTEN_ADDRESS, "")]), message);
    }

    #[test]
    fn a_wrong_address_is_shown() {
        for address in ["/run/a.sock", "tcp:127.0.0.1:80", "unix:"] {
            let message = error(&[(LISTEN_ADDRESS, address)]);
            assert!(
                message.contains(LISTEN_ADDRESS) && message.contains(address),
                "{message}"
            );
        }
    }

    #[test]
    fn a_wrong_lifetime_is_shown() {
        for time in ["0", "-1", "1h", "99999999999999999999"] {
            let environment = [(LISTEN_ADDRESS, "unix:a"), (CONF_EXPIRE_TIME, time)];
            let message = error(&environment);
            assert!(
                message.contains(CONF_EXPIRE_TIME) && message.contains(time),
                "{message}"
            );
        }
    }

    #[test]
    fn main_prints_the_message_and_not_its_structure() {
        let error = read(&[]).unwrap_err();
        assert_eq!(format!("{error:?}"), error.to_string());
    }
}
