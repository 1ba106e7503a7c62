//! Scenarios that a runner cannot play in, each with the reason, in
//! `exclusions.json`.

use serde::Deserialize;

use crate::program::NAMES;
use crate::scenarios::Scenario;

const FILE: &str = include_str!("../exclusions.json");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exclusion {
    runner: String,
    scenario: String,
    reason: String,
}

/// What is excluded.
#[derive(Debug)]
pub(crate) struct Exclusions(Vec<Exclusion>);

impl Exclusions {
    /// Reads the list and checks it against the scenarios, so that no entry
    /// outlives what it excludes.
    pub(crate) fn load(scenarios: &[Scenario]) -> Result<Self, String> {
        let list: Vec<Exclusion> =
            serde_json::from_str(FILE).map_err(|error| format!("exclusions.json: {error}"))?;
        for entry in &list {
            let known = scenarios.iter().any(|known| known.name == entry.scenario);
            if !known || !NAMES.contains(&entry.runner.as_str()) || entry.reason.is_empty() {
                return Err(format!(
                    "exclusions.json: names no scenario, no runner or no reason: {entry:?}"
                ));
            }
        }
        Ok(Self(list))
    }

    /// Why `runner` does not play in `scenario`.
    pub(crate) fn reason(&self, runner: &str, scenario: &str) -> Option<&str> {
        let entry = self
            .0
            .iter()
            .find(|entry| entry.runner == runner && entry.scenario == scenario);
        entry.map(|entry| entry.reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios;

    #[test]
    fn the_list_names_scenarios_and_runners_that_exist() {
        let exclusions = Exclusions::load(&scenarios::all()).unwrap();
        assert!(
            exclusions
                .reason("java", "rewrite-response-headers")
                .is_some()
        );
        assert!(
            exclusions
                .reason("go", "rewrite-response-headers")
                .is_none()
        );
    }

    #[test]
    fn an_entry_for_a_scenario_that_is_gone_is_an_error() {
        let error = Exclusions::load(&[]).unwrap_err();
        assert!(error.contains("names no scenario"), "{error}");
    }
}
