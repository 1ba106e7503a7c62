//! Differences that are meant.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Each file's scenarios, with the steps that differ in each, and why.
type Listed = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

#[derive(Deserialize)]
struct File {
    /// Why something differs, by the short names that the steps give.
    reasons: BTreeMap<String, String>,
    deviations: Listed,
}

/// The differences that are meant in the scenarios of one file.
pub(super) struct Deviations {
    file: String,
    scenarios: BTreeMap<String, BTreeMap<String, String>>,
}

impl Deviations {
    pub(super) fn of(file: &str) -> Self {
        let text = include_str!("../../reference/deviations.json");
        let File {
            reasons,
            mut deviations,
        } = serde_json::from_str(text).unwrap();
        for reason in deviations
            .values()
            .flat_map(|it| it.values().flat_map(|it| it.values()))
        {
            assert!(reasons.contains_key(reason), "no such reason: {reason}");
        }
        Self {
            file: file.to_owned(),
            scenarios: deviations.remove(file).unwrap_or_default(),
        }
    }

    /// Adds to `wrong` what differs and is not listed, and what is listed and
    /// does not differ.
    pub(super) fn compare(
        &self,
        scenario: &str,
        differences: Vec<(String, String)>,
        wrong: &mut Vec<String>,
    ) {
        let none = BTreeMap::new();
        let listed = self.scenarios.get(scenario).unwrap_or(&none);
        for (step, shown) in &differences {
            if !listed.contains_key(step) {
                wrong.push(format!("  {scenario:?}, {step:?}:{shown}"));
            }
        }
        for step in listed.keys() {
            if !differences.iter().any(|(differing, _)| differing == step) {
                wrong.push(format!(
                    "  {scenario:?}, {step:?}: it is as recorded now; take it out of the deviations \
                     of {}",
                    self.file
                ));
            }
        }
    }

    /// A scenario that is not played has no deviations.
    pub(super) fn must_not_name(&self, scenario: &str, plugin: &str, wrong: &mut Vec<String>) {
        if self.scenarios.contains_key(scenario) {
            wrong.push(format!(
                "  {scenario:?}: it is not played for lack of the plugin {plugin}, \
                 and has deviations all the same"
            ));
        }
    }
}
