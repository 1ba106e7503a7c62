//! Plays what was played to a real APISIX, and compares the answers.
//!
//! `tests/reference/` holds the scenarios with what APISIX 3.16 answered
//! (README there), and `deviations.json` every difference that is meant, with the
//! reason. A difference that is not listed fails the test, and so does one that is
//! listed and is none. Scenarios with plugins that this gateway does not have are
//! passed over.

mod deviations;
mod mask;
mod play;

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use crate::support::gateway;
use deviations::Deviations;

/// A scenario with what was answered.
#[derive(Deserialize)]
struct Recording {
    name: String,
    scenario: Scenario,
    recorded: Answers,
}

#[derive(Deserialize)]
struct Scenario {
    #[serde(default)]
    admin: Vec<(String, String, Value)>,
    #[serde(default)]
    requests: Vec<Asked>,
    #[serde(default)]
    config: String,
}

/// A request on the data port.
#[derive(Deserialize)]
struct Asked {
    target: String,
    #[serde(default = "get")]
    method: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
    #[serde(default = "localhost")]
    host: String,
    #[serde(default = "once")]
    repeat: usize,
    #[serde(default)]
    wait: f64,
}

fn get() -> String {
    "GET".to_owned()
}

fn localhost() -> String {
    "localhost".to_owned()
}

fn once() -> usize {
    1
}

/// What is answered, step by step.
#[derive(Deserialize, Default)]
struct Answers {
    #[serde(default)]
    admin: Vec<Value>,
    #[serde(default)]
    requests: Vec<Value>,
}

#[track_caller]
fn play_file(file: &str, text: &str) {
    let recordings: Vec<Recording> = serde_json::from_str(text).unwrap();
    let deviations = Deviations::of(file);
    let known = known_plugins();
    let mut wrong = Vec::new();
    let (mut played, mut passed_over) = (0, 0);
    for recording in recordings {
        if let Some(name) = play::lacking_plugin(&recording.scenario, &known) {
            deviations.must_not_name(&recording.name, &name, &mut wrong);
            passed_over += 1;
            continue;
        }
        played += 1;
        let answers = play::play(&recording.scenario);
        let differences = mask::differences(&recording.recorded, &answers);
        deviations.compare(&recording.name, differences, &mut wrong);
    }
    assert!(
        wrong.is_empty(),
        "{file}: {played} scenarios played, {passed_over} passed over:\n{}",
        wrong.join("\n")
    );
}

/// The plugins that this gateway has.
fn known_plugins() -> HashSet<String> {
    let gateway = gateway().traditional().start();
    let list = gateway.admin("GET", "plugins/list").send().json();
    serde_json::from_value(list).unwrap()
}

macro_rules! recorded {
    ($($test:ident: $file:literal,)*) => {$(
        #[test]
        fn $test() {
            play_file($file, include_str!(concat!("../../reference/", $file, ".json")));
        }
    )*};
}

recorded! {
    the_admin_api_answers_as_recorded: "admin",
    routes_are_found_as_recorded: "routing",
    upstreams_are_asked_as_recorded: "upstream",
    authentication_is_as_recorded: "plugin-auth",
    more_authentication_is_as_recorded: "plugin-auth2",
    plugins_refuse_as_recorded: "plugin-errors",
    more_plugins_refuse_as_recorded: "plugin-errors2",
    guards_are_as_recorded: "plugin-guard",
    more_guards_are_as_recorded: "plugin-guard2",
    rewriting_is_as_recorded: "plugin-rewrite",
    more_rewriting_is_as_recorded: "plugin-rewrite2",
    traffic_is_as_recorded: "plugin-traffic",
    more_traffic_is_as_recorded: "plugin-traffic2",
    even_more_traffic_is_as_recorded: "plugin-traffic3",
}
