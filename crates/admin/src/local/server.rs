//! The gateway's end.

use std::sync::Arc;

use outrigger_config::store::{Change, Key, Store, StoreError, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::{Asked, Reply, Request, VERSION, reply_of};
use crate::api::Gateway;
use crate::limits;

/// Serves the resources of `store` for as long as it is polled.
pub async fn serve(listener: UnixListener, store: Arc<dyn Store>, gateway: Arc<dyn Gateway>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let answered = answer(stream, &*store, &*gateway);
                // Whoever goes away or takes too long has no answer.
                let _ = timeout(limits::LOCAL, answered).await;
            }
            Err(error) => {
                tracing::debug!("cannot accept a command's connection: {error}");
                sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer(
    mut stream: UnixStream,
    store: &dyn Store,
    gateway: &dyn Gateway,
) -> std::io::Result<()> {
    let mut text = Vec::new();
    let mut bounded = (&mut stream).take(limits::LOCAL_LEN + 1);
    bounded.read_to_end(&mut text).await?;
    let reply = match understood(text).await {
        Ok(Request::Read) => reply_of(&store.inventory()),
        Ok(Request::Write { base, changes }) => {
            let changes = changes.into_iter().map(super::Changed::into_change);
            match changes.collect() {
                Ok(changes) => write(base, changes, store, gateway).await,
                Err(error) => failed(error),
            }
        }
        Err(why) => failed(why),
    };
    // Large ones take their time, which belongs to others here.
    let text = spawn_blocking(move || serde_json::to_vec(&reply)).await?;
    stream
        .write_all(&text.map_err(std::io::Error::other)?)
        .await?;
    stream.shutdown().await
}

async fn understood(text: Vec<u8>) -> Result<Request, String> {
    if text.len() as u64 > limits::LOCAL_LEN {
        return Err(format!("it is of more than {} bytes", limits::LOCAL_LEN));
    }
    let parsed = spawn_blocking(move || serde_json::from_slice::<Asked>(&text)).await;
    match parsed.map_err(|error| error.to_string())? {
        Ok(Asked {
            version: VERSION,
            request,
        }) => Ok(request),
        _ => Err("the command is of another version than the gateway".to_owned()),
    }
}

async fn write(base: u64, changes: Vec<Change>, store: &dyn Store, gateway: &dyn Gateway) -> Reply {
    let now = store.inventory();
    if now.revision() != base {
        return Reply::Conflict;
    }
    let key_of = |change: &Change| match change {
        Change::Put { key, .. } | Change::Delete(key) => key.clone(),
    };
    let written = changes.iter().map(key_of).collect();
    if let Err(faults) = gateway.try_out_all(&now.after(&changes), &written) {
        let faults = faults.into_iter();
        let shown = faults.map(|(key, why): (Key, String)| (key.to_string(), why));
        return Reply::Refused {
            faults: shown.collect(),
        };
    }
    match store.commit(Write::of_changes(&now, changes)).await {
        Ok(revision) => {
            gateway.applied(revision).await;
            Reply::Written { revision }
        }
        Err(StoreError::Conflict) => Reply::Conflict,
        Err(error @ StoreError::Unavailable(_)) => failed(error),
    }
}

fn failed(why: impl ToString) -> Reply {
    Reply::Failed {
        why: why.to_string(),
    }
}
