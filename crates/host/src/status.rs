//! How a runner is, at a glance: for metrics and for people.

use std::sync::Arc;

use crate::target::{Absence, Place};
use crate::{BreakerState, Runner};

/// How a runner is at one moment. Its numbers are read one after the other, so
/// they may be of slightly different moments.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunnerStatus {
    /// Calls that have their turn, those included that wait for a process.
    pub in_flight: usize,
    /// Calls that wait: for their turn, or for a process.
    pub queued: usize,
    /// Bytes of long frames in memory.
    pub buffered: usize,
    /// Whether calls are let through. Closed where there is no breaker.
    pub breaker: BreakerState,
    /// Its processes, by instance.
    pub instances: Vec<InstanceStatus>,
}

/// How one process of a runner is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceStatus {
    /// Where nobody listens: what that means, and why.
    pub absent: Option<(Absence, Arc<str>)>,
    /// The process that listens, once there was a connection to it and where
    /// the kernel can tell.
    pub pid: Option<u32>,
    /// Grows with each process that listens; 0 where none does.
    pub generation: u64,
    /// Calls under way there.
    pub calls: usize,
    /// Connections to it, idle ones included.
    pub connections: usize,
}

impl Runner {
    /// How it is now.
    pub fn status(&self) -> RunnerStatus {
        let shared = self.shared();
        RunnerStatus {
            in_flight: shared.admission().in_flight(),
            queued: shared.admission().queued(),
            buffered: shared.budget().held(),
            breaker: shared.breaker_state(),
            instances: shared.table().places().iter().map(instance).collect(),
        }
    }
}

fn instance(place: &Place) -> InstanceStatus {
    match place {
        Place::Listening(target) => InstanceStatus {
            absent: None,
            pid: target.process().and_then(|process| process.pid()),
            generation: target.generation(),
            calls: target.calls(),
            connections: target.connections(),
        },
        Place::Absent { absence, why, .. } => InstanceStatus {
            absent: Some((*absence, Arc::clone(why))),
            pid: None,
            generation: 0,
            calls: 0,
            connections: 0,
        },
    }
}
