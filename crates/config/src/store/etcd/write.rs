//! Changing what etcd holds.

use std::time::{Duration, SystemTime};

use serde::de::IgnoredAny;
use tokio::time::timeout;

use super::super::{Change, Store as _, StoreError, Write};
use super::Etcd;
use super::api::{GrantAnswer, GrantRequest, RevokeRequest, TxnAnswer, TxnRequest};
use super::client::Again;
use super::trouble::Trouble;
use super::txn::{comparisons, operations};
use crate::limits;

impl Etcd {
    /// As [`commit`](super::super::Store::commit).
    pub(super) async fn write(&self, write: Write) -> Result<u64, StoreError> {
        self.there().await?;
        let most = limits::ETCD_CHANGES;
        if write.changes.len() > most || write.conditions.len() > most {
            return Err(StoreError::Unavailable(format!(
                "etcd takes at most {most} changes at once"
            )));
        }
        // In this order: the inventory has everything up to what is known.
        let known = self.pulse.now().revision;
        let inventory = self.inventory();
        // What came after the last change of a resource was none: a mark of a
        // directory, for example, which lies among them.
        let base = match inventory.revision() == write.base {
            true => known.max(write.base),
            false => write.base,
        };
        let compare = comparisons(&write.conditions, base, &inventory, &self.layout);
        let compare = compare.ok_or(StoreError::Conflict)?;
        let leases = self.lease(&write.changes).await?;
        let _drafts = self.ours.draft(&write.changes);
        let request = TxnRequest {
            compare,
            success: operations(&write, &self.layout, &self.seal, &leases),
        };
        let asked = self.client.write("/v3/kv/txn", &request, Again::IfUndone);
        let answer: TxnAnswer = match asked.await {
            Ok((answer, _)) => answer,
            Err(trouble) => {
                if trouble.is_undone() {
                    self.revoke(&leases).await;
                }
                return Err(unavailable(&trouble));
            }
        };
        if !answer.succeeded {
            self.revoke(&leases).await;
            // Whoever decides anew has to see what he missed.
            self.wait(|revision| revision != known).await;
            return Err(StoreError::Conflict);
        }
        let changed = answer.responses.iter().any(|response| {
            let deleted = response.response_delete_range.as_ref();
            response.response_put.is_some() || deleted.is_some_and(|it| it.deleted > 0)
        });
        let revision = answer.header.revision;
        if changed {
            self.wait(|heard| heard >= revision).await;
        }
        Ok(revision)
    }

    /// Waits a moment for an etcd that is away: it may just have come back.
    async fn there(&self) -> Result<(), StoreError> {
        let mut health = self.pulse.subscribe();
        if !health.borrow().reachable {
            self.hurry.notify_waiters();
        }
        let back = health.wait_for(|health| health.reachable);
        if timeout(limits::ETCD_WRITE_PATIENCE, back).await.is_ok() {
            return Ok(());
        }
        let trouble = self.pulse.now().trouble;
        let trouble = trouble.unwrap_or_else(|| "it is silent".to_owned());
        Err(StoreError::Unavailable(format!(
            "etcd cannot be reached: {trouble}"
        )))
    }

    /// A lease for each change that is to go by itself.
    async fn lease(&self, changes: &[Change]) -> Result<Vec<u64>, StoreError> {
        let mut leases = Vec::new();
        for change in changes {
            let Change::Put {
                expires: Some(until),
                ..
            } = change
            else {
                continue;
            };
            let left = until.duration_since(SystemTime::now()).unwrap_or_default();
            let request = GrantRequest { ttl: seconds(left) };
            let asked = self
                .client
                .write("/v3/lease/grant", &request, Again::Always);
            match asked.await {
                Ok((GrantAnswer { id }, _)) => {
                    self.ours.taken(id, *until);
                    leases.push(id);
                }
                Err(trouble) => {
                    self.revoke(&leases).await;
                    return Err(unavailable(&trouble));
                }
            }
        }
        Ok(leases)
    }

    /// Gives leases back. One that is not taken back ends by itself.
    async fn revoke(&self, leases: &[u64]) {
        for id in leases {
            let request = RevokeRequest { id: *id };
            let asked = self
                .client
                .call("/v3/lease/revoke", &request, Again::Always);
            let _: Result<(IgnoredAny, usize), Trouble> = asked.await;
        }
    }

    /// Waits until everything up to such a revision is known, but not for ever: what
    /// etcd has done is done, whether it is heard of or not.
    async fn wait(&self, such: impl Fn(u64) -> bool) {
        let mut health = self.pulse.subscribe();
        if such(health.borrow().revision) {
            return;
        }
        // The watch may be waiting to be begun anew.
        self.hurry.notify_waiters();
        let waited = health.wait_for(|health| such(health.revision));
        drop(timeout(limits::ETCD_ECHO, waited).await);
    }
}

fn unavailable(trouble: &Trouble) -> StoreError {
    let doubt = match trouble.is_undone() {
        true => "",
        false => "; whether the change was made is not known",
    };
    StoreError::Unavailable(format!("etcd: {trouble}{doubt}"))
}

/// Whole seconds, at least one: etcd knows no parts of them.
fn seconds(time: Duration) -> u64 {
    let more = u64::from(time.subsec_nanos() > 0);
    (time.as_secs() + more).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_never_cut_short() {
        for (millis, expected) in [(0, 1), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(seconds(Duration::from_millis(millis)), expected, "{millis}");
        }
    }
}
