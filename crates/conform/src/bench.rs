//! What a rule is tried on: a runner that listens, and what is known of it.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use outrigger_a6::http_req_call::{Action, Rewrite};
use outrigger_a6::{ConfToken, Entries, http_req_call, prepare_conf};

use crate::behaviour::Behaviour;
use crate::process::{Command, Process};
use crate::profile::{Conf, Expect, Profile, entries};
use crate::times::Times;
use crate::verdict::{Fault, not_tested, wrong};
use crate::wire::Wire;

/// A runner that listens, and what is known of it.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Where it listens.
    pub(crate) socket: PathBuf,
    pub(crate) times: Times,
    pub(crate) profile: Profile,
    /// What starts further processes of it, and the folder for their sockets.
    pub(crate) command: Option<(Command, PathBuf)>,
    /// The first token that it gave.
    pub(crate) first_token: Cell<Option<ConfToken>>,
    /// What sets this run's keys apart from those of others, and the last number.
    keys: (String, Cell<u32>),
}

/// The id of most calls. Some runners refuse 0.
pub(crate) const ID: u32 = 7;

impl Bench {
    pub(crate) fn new(
        socket: PathBuf,
        times: Times,
        profile: Profile,
        command: Option<(Command, PathBuf)>,
    ) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let run = format!(
            "{}-{}",
            std::process::id(),
            now.unwrap_or_default().as_nanos()
        );
        Self {
            socket,
            times,
            profile,
            command,
            first_token: Cell::new(None),
            keys: (run, Cell::new(0)),
        }
    }

    pub(crate) async fn connect(&self) -> Result<Wire, Fault> {
        Ok(Wire::connect(&self.socket, self.times).await?)
    }

    /// A key as a gateway makes them, which no configuration had before.
    pub(crate) fn key(&self) -> String {
        let (run, last) = &self.keys;
        last.set(last.get() + 1);
        format!("route#conform-{run}-{}#ext-plugin-pre-req#1", last.get())
    }

    /// The token of a configuration without plugins.
    pub(crate) async fn token(&self) -> Result<ConfToken, Fault> {
        self.prepare(&Conf::new()).await
    }

    /// The token of a configuration, under a key of its own.
    pub(crate) async fn prepare(&self, conf: &Conf) -> Result<ConfToken, Fault> {
        self.prepare_at(&self.socket, conf, &self.key()).await
    }

    /// The token that the runner at `socket` gives a configuration.
    ///
    /// It has a connection to itself: some runners answer twice.
    pub(crate) async fn prepare_at(
        &self,
        socket: &Path,
        conf: &Conf,
        key: &str,
    ) -> Result<ConfToken, Fault> {
        let mut wire = Wire::connect(socket, self.times).await?;
        let token = wire.prepare(conf, key).await;
        token.map_err(|fault| fault.during("preparing a configuration"))
    }

    /// The token of the plugins that do `behaviour`, and what is expected of
    /// them.
    pub(crate) async fn plugins(
        &self,
        behaviour: Behaviour,
    ) -> Result<(ConfToken, &Expect), Fault> {
        let (conf, expect) = self.conf(behaviour)?;
        Ok((self.prepare(&conf).await?, expect))
    }

    /// The plugins that do `behaviour`, and what is expected of them.
    pub(crate) fn conf(&self, behaviour: Behaviour) -> Result<(Conf, &Expect), Fault> {
        match self.profile.means(behaviour) {
            Some(means) => Ok((means.conf(), &means.expect)),
            None => not_tested(needs(behaviour)),
        }
    }

    /// A call that every runner answers whatever plugins it has: with no change.
    pub(crate) async fn plain_call(&self) -> Result<(), Fault> {
        let token = self.token().await?;
        self.connect().await?.unchanged(token).await
    }

    /// Starts another process of the runner at a path of its own and waits until
    /// it listens.
    pub(crate) async fn another(&self, name: &str) -> Result<Process, Fault> {
        let socket = self.path(name)?;
        self.another_at(&socket).await
    }

    /// A path for the socket of a process of this name.
    pub(crate) fn path(&self, name: &str) -> Result<PathBuf, Fault> {
        match &self.command {
            Some((_, folder)) => Ok(folder.join(name)),
            None => not_tested("needs a command that starts the runner (--cmd)"),
        }
    }

    /// As [`another`](Self::another), at this path.
    pub(crate) async fn another_at(&self, socket: &Path) -> Result<Process, Fault> {
        let Some((command, _)) = &self.command else {
            return not_tested("needs a command that starts the runner (--cmd)");
        };
        let lifetime = self.times.conf_lifetime;
        let started = Process::start(command, socket, lifetime);
        let mut process = started.map_err(Fault::NotTested)?;
        match process.listens_within(self.times.start).await {
            Ok(()) => Ok(process),
            Err(why) => wrong(why),
        }
    }
}

/// What a rule says that cannot be tried without plugins.
pub(crate) fn needs(behaviour: Behaviour) -> String {
    format!("needs a plugin that {} (`{behaviour}`)", behaviour.does())
}

impl Wire {
    /// Prepares a configuration on this connection.
    pub(crate) async fn prepare(&mut self, conf: &Conf, key: &str) -> Result<ConfToken, Fault> {
        let conf = entries(conf);
        self.send(&prepare_conf::Request {
            conf: Entries::from(&conf),
            key: key.as_bytes(),
        })
        .await?;
        let got = self.receive().await?;
        Ok(got.read::<prepare_conf::Response>()?.conf_token)
    }

    /// A call that must change nothing.
    pub(crate) async fn unchanged(&mut self, token: ConfToken) -> Result<(), Fault> {
        self.send(&request(token)).await?;
        self.goes_on().await
    }

    /// Takes the answer to a request, which must be that it goes on as it is.
    pub(crate) async fn goes_on(&mut self) -> Result<(), Fault> {
        let got = self.receive().await?;
        let answer = got.read::<http_req_call::Response<'_>>()?;
        if changes_nothing(&answer) {
            return Ok(());
        }
        wrong(format!(
            "it answered a call without plugins with {answer:?}"
        ))
    }
}

/// Whether a request goes on as it is after this answer.
pub(crate) fn changes_nothing(answer: &http_req_call::Response<'_>) -> bool {
    match answer.action {
        None => true,
        Some(Action::Rewrite(rewrite)) => rewrite == Rewrite::default(),
        Some(Action::Stop(_)) => false,
    }
}

/// A request like many, with this token.
pub(crate) fn request(conf_token: ConfToken) -> http_req_call::Request<'static> {
    http_req_call::Request {
        id: ID,
        src_ip: &[127, 0, 0, 1],
        path: b"/conform",
        conf_token,
        ..Default::default()
    }
}
