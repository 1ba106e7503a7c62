//! etcd as the store: how it is opened, and what the log says of it.

use std::sync::Arc;
use std::time::SystemTime;

use outrigger_config::store::Seal;
use outrigger_config::store::etcd::{Etcd, EtcdError, Event, Setup};
use outrigger_config::{EtcdSettings, Settings};

use super::Live;
use crate::Failure;

/// Follows the etcd of `etcd`.
///
/// # Errors
/// It cannot be reached, and there is nothing to start from without it.
pub(super) async fn open(
    settings: &Settings,
    etcd: &EtcdSettings,
    live: &Live,
) -> Result<Arc<Etcd>, Failure> {
    let setup = Setup {
        settings: etcd,
        trust: &settings.upstream_trust,
        seal: live.seal().as_ref().clone(),
        data_dir: Some(&settings.data_dir),
        observer: Box::new(log),
    };
    Ok(Arc::new(Etcd::open(setup).await?))
}

/// The etcd of `etcd` as it is now, for a command that looks and goes: no snapshot is
/// used or made, and nothing is logged.
///
/// # Errors
/// It cannot be reached.
pub(crate) async fn visit(
    settings: &Settings,
    etcd: &EtcdSettings,
    seal: &Seal,
) -> Result<Etcd, EtcdError> {
    Etcd::open(Setup {
        settings: etcd,
        trust: &settings.upstream_trust,
        seal: seal.clone(),
        data_dir: None,
        observer: Box::new(drop),
    })
    .await
}

fn log(event: Event) {
    match event {
        Event::Lost { why } => tracing::error!(
            "etcd is away: {why}; the gateway goes on with the resources that it has, and \
             takes no changes"
        ),
        Event::Back { host } => tracing::info!("etcd: {host} is followed"),
        Event::FromSnapshot {
            taken,
            revision,
            why,
        } => tracing::error!(
            "etcd cannot be reached: {why}; the gateway starts with the resources that it had {} \
             (revision {revision}), and takes no changes until etcd is back",
            ago(taken)
        ),
        Event::Resynced { revision } => {
            tracing::info!("etcd: all resources were read again (revision {revision})");
        }
        Event::Unknown { collections } => {
            let names: Vec<_> = collections.iter().map(String::as_str).collect();
            tracing::warn!(
                "etcd has resources of kinds that there are not here, which are passed over: {}",
                names.join(", ")
            );
        }
        Event::SnapshotUnusable { file, why } => {
            tracing::warn!("{}: not used: {why}", file.display());
        }
        Event::SnapshotNotWritten { file, why } => tracing::error!(
            "{}: cannot be written: {why}; a restart while etcd is away would have old \
             resources or none",
            file.display()
        ),
    }
}

/// How long ago, in words.
fn ago(then: SystemTime) -> String {
    let seconds = then.elapsed().unwrap_or_default().as_secs();
    let (number, unit) = match seconds {
        0..120 => (seconds, "seconds"),
        120..7200 => (seconds / 60, "minutes"),
        7200..172_800 => (seconds / 3600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{number} {unit} ago")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ages_are_told_in_one_unit() {
        for (seconds, expected) in [
            (5, "5 seconds ago"),
            (300, "5 minutes ago"),
            (10_800, "3 hours ago"),
            (259_200, "3 days ago"),
        ] {
            let then = SystemTime::now() - Duration::from_secs(seconds);
            assert_eq!(ago(then), expected);
        }
    }
}
