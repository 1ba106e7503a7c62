//! Whether a node is well: a machine without a clock, fed with what probes and
//! requests meet there. What is counted is the same as in APISIX: a node turns
//! when something has happened often enough in a row, successes wipe failures out
//! and failures successes.
//!
//! All of a node's health fits in one atomic number, so workers and probes
//! report to it without a lock. Deliberately absent: probing, logging.

use std::sync::atomic::{AtomicU64, Ordering};

use outrigger_model::HealthRules;

/// What a probe or a request met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// An answer with this status.
    Status(u16),
    /// A connection, where nothing more was asked for.
    Connected,
    /// No connection, or one that broke.
    Failed,
    /// Nothing in time.
    Late,
}

/// What a node counts as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Condition {
    /// It is asked.
    #[default]
    Healthy,
    /// It is asked, and there were failures of late.
    MostlyHealthy,
    /// It is left out, and there were successes of late.
    MostlyUnhealthy,
    /// It is left out.
    Unhealthy,
}

impl Condition {
    /// As APISIX spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Condition::Healthy => "healthy",
            Condition::MostlyHealthy => "mostly_healthy",
            Condition::MostlyUnhealthy => "mostly_unhealthy",
            Condition::Unhealthy => "unhealthy",
        }
    }

    /// Whether requests go there.
    #[must_use]
    pub fn is_well(self) -> bool {
        matches!(self, Condition::Healthy | Condition::MostlyHealthy)
    }
}

/// A node's condition, and what was counted on the way to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// What it counts as.
    pub condition: Condition,
    /// Successes in a row.
    pub successes: u8,
    /// Answers with a bad status since the last success.
    pub http_failures: u8,
    /// Connections that failed since then.
    pub tcp_failures: u8,
    /// Answers that did not come in time since then.
    pub timeouts: u8,
}

impl Health {
    /// What it is after this.
    #[must_use]
    pub fn after(self, report: Report, rules: &HealthRules) -> Self {
        let mut next = self;
        let (success, count, limit) = match report {
            Report::Status(status) if rules.healthy_statuses.contains(&status) => {
                (true, &mut next.successes, rules.successes)
            }
            Report::Status(status) if rules.unhealthy_statuses.contains(&status) => {
                (false, &mut next.http_failures, rules.http_failures)
            }
            Report::Status(_) => return self,
            Report::Connected => (true, &mut next.successes, rules.successes),
            Report::Failed => (false, &mut next.tcp_failures, rules.tcp_failures),
            Report::Late => (false, &mut next.timeouts, rules.timeouts),
        };
        // It cannot be any better, or worse.
        let settled = match self.condition {
            Condition::Healthy => success,
            Condition::Unhealthy => !success,
            Condition::MostlyHealthy | Condition::MostlyUnhealthy => false,
        };
        if limit == 0 || settled {
            return self;
        }
        *count = count.saturating_add(1);
        let enough = *count >= limit;
        if success {
            (next.http_failures, next.tcp_failures, next.timeouts) = (0, 0, 0);
        } else {
            next.successes = 0;
        }
        next.condition = match (enough, success, self.condition) {
            (true, true, _) => Condition::Healthy,
            (true, false, _) => Condition::Unhealthy,
            (false, false, Condition::Healthy) => Condition::MostlyHealthy,
            (false, true, Condition::Unhealthy) => Condition::MostlyUnhealthy,
            (false, _, same) => same,
        };
        next
    }

    fn pack(self) -> u64 {
        let condition = match self.condition {
            Condition::Healthy => 0,
            Condition::MostlyHealthy => 1,
            Condition::MostlyUnhealthy => 2,
            Condition::Unhealthy => 3,
        };
        u64::from_le_bytes([
            condition,
            self.successes,
            self.http_failures,
            self.tcp_failures,
            self.timeouts,
            0,
            0,
            0,
        ])
    }

    fn unpack(packed: u64) -> Self {
        let [
            condition,
            successes,
            http_failures,
            tcp_failures,
            timeouts,
            ..,
        ] = packed.to_le_bytes();
        Health {
            condition: match condition {
                0 => Condition::Healthy,
                1 => Condition::MostlyHealthy,
                2 => Condition::MostlyUnhealthy,
                _ => Condition::Unhealthy,
            },
            successes,
            http_failures,
            tcp_failures,
            timeouts,
        }
    }
}

/// The health of one node, shared by all who report to it.
#[derive(Debug, Default)]
pub(super) struct Shared(AtomicU64);

impl Shared {
    pub(super) fn get(&self) -> Health {
        Health::unpack(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn reset(&self) {
        self.0.store(Health::default().pack(), Ordering::Relaxed);
    }

    /// Whether this made it well, or did so no more; none if neither.
    pub(super) fn report(&self, report: Report, rules: &HealthRules) -> Option<Condition> {
        let mut after = Health::default();
        let next = |packed| {
            let before = Health::unpack(packed);
            after = before.after(report, rules);
            (after != before).then(|| after.pack())
        };
        let before = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let before = Health::unpack(before.ok()?);
        let turned = before.condition.is_well() != after.condition.is_well();
        turned.then_some(after.condition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules() -> HealthRules {
        HealthRules {
            healthy_statuses: vec![200],
            successes: 2,
            unhealthy_statuses: vec![500],
            http_failures: 3,
            tcp_failures: 2,
            timeouts: 0,
        }
    }

    /// The names of the conditions after each report.
    fn story(reports: &[Report]) -> Vec<&'static str> {
        let mut health = Health::default();
        let conditions = reports.iter().map(|report| {
            health = health.after(*report, &rules());
            health.condition.name()
        });
        conditions.collect()
    }

    const BAD: Report = Report::Status(500);
    const GOOD: Report = Report::Status(200);

    #[test]
    fn a_node_falls_after_enough_failures_and_rises_after_enough_successes() {
        assert_eq!(
            story(&[BAD, BAD, BAD, GOOD, GOOD]),
            [
                "mostly_healthy",
                "mostly_healthy",
                "unhealthy",
                "mostly_unhealthy",
                "healthy"
            ]
        );
    }

    #[test]
    fn successes_wipe_failures_out() {
        let story = story(&[BAD, BAD, GOOD, BAD, BAD]);
        assert_eq!(story, ["mostly_healthy"; 5]);
    }

    #[test]
    fn each_kind_of_failure_has_a_count_of_its_own() {
        let reports = [BAD, BAD, Report::Failed, Report::Failed];
        assert_eq!(story(&reports)[2..], ["mostly_healthy", "unhealthy"]);
    }

    #[test]
    fn what_counts_for_nothing_changes_nothing() {
        let nothing = [Report::Status(404), Report::Late, GOOD, Report::Connected];
        assert_eq!(story(&nothing), ["healthy"; 4]);
    }

    #[test]
    fn only_a_turn_is_told() {
        let shared = Shared::default();
        let told = [BAD, Report::Failed, Report::Failed, BAD, GOOD, GOOD]
            .map(|report| shared.report(report, &rules()));
        let (down, up) = (Some(Condition::Unhealthy), Some(Condition::Healthy));
        assert_eq!(told, [None, None, down, None, None, up]);
    }

    proptest! {
        #[test]
        fn packing_loses_nothing(reports in prop::collection::vec(0u8..4, 0..40)) {
            let mut health = Health::default();
            for report in reports {
                let report = [GOOD, BAD, Report::Failed, Report::Late][usize::from(report)];
                health = health.after(report, &rules());
                prop_assert_eq!(Health::unpack(health.pack()), health);
            }
        }
    }
}
