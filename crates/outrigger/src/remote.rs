//! What the control API can ask of the gateway.
//!
//! Runners and settings belong to the control thread's main loop. Whatever is
//! wished of them goes there through a bounded channel, with a way back.

use std::sync::Arc;

use outrigger_admin::control::{
    Answer, CheckedUpstream, Command, CommandError, Control, EtcdStatus, RunnerStatus,
};
use outrigger_config::store::{Etcd, Inventory};
use tokio::sync::{mpsc, oneshot};

use crate::health;
use crate::source::Live;

/// What was wished, with where the answer goes.
pub(crate) enum Wish {
    /// What runners do.
    Runners(oneshot::Sender<Vec<RunnerStatus>>),
    /// That a runner does something.
    Command {
        runner: String,
        command: Command,
        reply: oneshot::Sender<Result<(), CommandError>>,
    },
    /// That `config.yaml` is read again.
    Reload(oneshot::Sender<Result<(), String>>),
}

/// The gateway, seen from the control API.
pub(crate) struct Remote {
    wishes: mpsc::Sender<Wish>,
    live: Arc<Live>,
    /// Where resources come from one.
    etcd: Option<Arc<Etcd>>,
}

/// The main loop is gone, and the process soon is.
const STOPPING: &str = "the gateway is stopping";

impl Remote {
    pub(crate) fn new(
        wishes: mpsc::Sender<Wish>,
        live: Arc<Live>,
        etcd: Option<Arc<Etcd>>,
    ) -> Self {
        Remote { wishes, live, etcd }
    }

    async fn ask<T>(&self, wish: impl FnOnce(oneshot::Sender<T>) -> Wish) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.wishes.send(wish(reply)).await.ok()?;
        answer.await.ok()
    }
}

impl Control for Remote {
    fn runners(&self) -> Answer<'_, Vec<RunnerStatus>> {
        Box::pin(async { self.ask(Wish::Runners).await.unwrap_or_default() })
    }

    fn command(&self, runner: String, command: Command) -> Answer<'_, Result<(), CommandError>> {
        Box::pin(async move {
            let wish = |reply| Wish::Command {
                runner,
                command,
                reply,
            };
            let stopping = || Err(CommandError::Failed(STOPPING.to_owned()));
            self.ask(wish).await.unwrap_or_else(stopping)
        })
    }

    fn reload(&self) -> Answer<'_, Result<(), String>> {
        Box::pin(async {
            let stopping = || Err(STOPPING.to_owned());
            self.ask(Wish::Reload).await.unwrap_or_else(stopping)
        })
    }

    fn health(&self) -> Vec<CheckedUpstream> {
        health::told(&self.live.snapshot().load())
    }

    fn resources(&self) -> Arc<Inventory> {
        self.live.resources()
    }

    fn etcd(&self) -> Option<EtcdStatus> {
        let etcd = self.etcd.as_ref()?;
        Some(EtcdStatus {
            health: etcd.health(),
            modify_indexes: etcd.modify_indexes(),
        })
    }
}
