//! The etcd that resources come from, where they do.

use std::time::SystemTime;

use super::text::{Family, Labels, Text};

/// What etcd is like at the moment.
#[derive(Debug, Clone, Default)]
pub struct EtcdState {
    /// Whether it answers.
    pub reachable: bool,
    /// When it was last heard; none: never.
    pub last_contact: Option<SystemTime>,
    /// The revision up to which all that it holds is known.
    pub revision: u64,
    /// The highest revision in which a resource of a collection was written.
    pub modify_indexes: Vec<(&'static str, u64)>,
}

impl EtcdState {
    /// As Prometheus reads it, to go after [`Metrics::render`](super::Metrics::render).
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = Text::default();
        text.single(REACHABLE, u8::from(self.reachable));
        let indexes = self.modify_indexes.iter().copied();
        let newest = indexes.clone().map(|(_, index)| index).max();
        let all = indexes.chain([
            ("max_modify_index", newest.unwrap_or_default()),
            ("x_etcd_index", self.revision),
        ]);
        let labelled = all.map(|(key, index)| (Labels::none().with("key", key), index));
        text.family(MODIFY_INDEXES, labelled);
        let since = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).ok();
        let contact = self.last_contact.and_then(since);
        text.single(LAST_CONTACT, contact.unwrap_or_default().as_secs());
        text.into_string()
    }
}

const REACHABLE: Family = Family::gauge("apisix_etcd_reachable", "Whether etcd answers: 1, or 0.");
const MODIFY_INDEXES: Family = Family::gauge(
    "apisix_etcd_modify_indexes",
    "The highest revision in which a resource of a kind was written; x_etcd_index: the \
     revision up to which all is known.",
);
const LAST_CONTACT: Family = Family::gauge(
    "outrigger_etcd_last_contact_timestamp_seconds",
    "When etcd was last heard; 0: never.",
);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn etcd_is_told_of_with_the_names_of_apisix() {
        let state = EtcdState {
            reachable: true,
            last_contact: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(7)),
            revision: 12,
            modify_indexes: vec![("routes", 9), ("services", 0)],
        };
        let text = state.render();
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "apisix_etcd_reachable 1",
                "apisix_etcd_modify_indexes{key=\"routes\"} 9",
                "apisix_etcd_modify_indexes{key=\"services\"} 0",
                "apisix_etcd_modify_indexes{key=\"max_modify_index\"} 9",
                "apisix_etcd_modify_indexes{key=\"x_etcd_index\"} 12",
                "outrigger_etcd_last_contact_timestamp_seconds 7",
            ]
        );
        assert!(
            EtcdState::default()
                .render()
                .contains("\napisix_etcd_reachable 0\n")
        );
    }
}
