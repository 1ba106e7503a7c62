//! When which node is asked next. No clock: it is told the time.

use std::collections::BTreeMap;

use outrigger_engine::upstream::Address;
use tokio::time::Instant;

/// Nodes, and when each is due; none while it is being asked.
#[derive(Debug, Default)]
pub(super) struct Schedule(BTreeMap<Address, Option<Instant>>);

impl Schedule {
    /// These are the nodes. New ones are due at once, the others when they were.
    pub(super) fn follow<'a>(&mut self, nodes: impl Iterator<Item = &'a Address>, now: Instant) {
        let mut before = std::mem::take(&mut self.0);
        for node in nodes {
            let due = before.remove(node).unwrap_or(Some(now));
            self.0.insert(node.clone(), due);
        }
    }

    /// A node that is due, to be asked now: the one that has been for longest.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Address> {
        let waiting = self.0.iter_mut().filter(|(_, due)| due.is_some());
        let (node, due) = waiting.min_by_key(|(_, due)| **due)?;
        due.take_if(|due| *due <= now)?;
        Some(node.clone())
    }

    /// When the next node is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().flatten().min().copied()
    }

    /// A node has been asked, and is due again at `due`.
    pub(super) fn done(&mut self, node: &Address, due: Instant) {
        if let Some(waiting) = self.0.get_mut(node) {
            *waiting = Some(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn node(port: u16) -> Address {
        Address::Socket(([127, 0, 0, 1], port).into())
    }

    #[test]
    fn every_node_is_asked_at_its_times() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let (a, b, c) = (node(1), node(2), node(3));
        let mut schedule = Schedule::default();
        schedule.follow([&a, &b].into_iter(), start);
        assert_eq!(schedule.take_due(start), Some(a.clone()));
        assert_eq!(schedule.take_due(start), Some(b.clone()));
        assert_eq!(
            schedule.take_due(start + second),
            None,
            "both are being asked"
        );
        assert_eq!(schedule.next(), None);
        schedule.done(&a, start + 3 * second);
        schedule.done(&b, start + 2 * second);
        assert_eq!(schedule.next(), Some(start + 2 * second));
        assert_eq!(schedule.take_due(start + second), None);
        assert_eq!(schedule.take_due(start + 5 * second), Some(b.clone()));

        // The one that is being asked goes, another comes, the third stays as it was.
        schedule.follow([&a, &c].into_iter(), start + second);
        schedule.done(&b, start);
        assert_eq!(schedule.take_due(start + second), Some(c));
        assert_eq!(schedule.take_due(start + second), None);
        assert_eq!(schedule.take_due(start + 3 * second), Some(a));
    }
}
