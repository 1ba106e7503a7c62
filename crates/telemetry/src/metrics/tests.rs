use std::time::Duration;

use super::*;

const LABELS: CallLabels<'_> = CallLabels {
    runner: "java",
    phase: "pre-req",
    owner_kind: "route",
    owner_id: "7",
};

/// The value of the one sample whose line begins like this.
#[track_caller]
fn value(metrics: &Metrics, sample: &str) -> f64 {
    let text = metrics.render();
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))
        .collect();
    let [value] = lines[..] else {
        panic!("{} samples are {sample}:\n{text}", lines.len());
    };
    value.parse().unwrap()
}

#[test]
fn calls_are_counted_by_outcome_and_kind_of_failure() {
    let metrics = Metrics::new(2);
    let calls = metrics.calls(LABELS);
    let cost = CallCost {
        attempts: 3,
        waited: Duration::from_millis(1500),
        sent: 100,
        received: 20,
    };
    let failed = |degraded| Outcome::Failed {
        kind: "timeout",
        degraded,
    };
    for (worker, outcome) in [
        (0, Outcome::Continue),
        (1, Outcome::Continue),
        (0, failed(true)),
        (1, failed(false)),
    ] {
        calls.begin(worker).end(outcome, &cost);
    }
    for (sample, expected) in [
        ("calls_total{L,outcome=\"continue\"}", 2.0),
        ("calls_total{L,outcome=\"failed\"}", 2.0),
        ("calls_total{L,outcome=\"stop\"}", 0.0),
        ("call_errors_total{L,kind=\"timeout\"}", 2.0),
        ("call_duration_seconds_count{L}", 4.0),
        ("call_duration_seconds_bucket{L,le=\"+Inf\"}", 4.0),
        ("calls_in_flight{L}", 0.0),
        ("call_wait_seconds_total{L}", 6.0),
        ("sent_bytes_total{L}", 400.0),
        ("received_bytes_total{L}", 80.0),
        ("call_retries_total{L}", 8.0),
        ("degraded_total{L}", 1.0),
    ] {
        let labels = "runner=\"java\",phase=\"pre-req\",route=\"7\"";
        let sample = format!("outrigger_ext_plugin_{}", sample.replace('L', labels));
        assert_eq!(value(&metrics, &sample), expected, "{sample}");
    }
}

#[test]
fn a_call_that_is_dropped_was_cancelled() {
    let metrics = Metrics::new(1);
    let calls = metrics.calls(LABELS);
    let labels = "runner=\"java\",phase=\"pre-req\",route=\"7\"";
    let in_flight = format!("outrigger_ext_plugin_calls_in_flight{{{labels}}}");
    let call = calls.begin(0);
    assert_eq!(value(&metrics, &in_flight), 1.0);
    drop(call);
    assert_eq!(value(&metrics, &in_flight), 0.0);
    let cancelled = "outrigger_ext_plugin_calls_total{L,outcome=\"cancelled\"}";
    assert_eq!(value(&metrics, &cancelled.replace('L', labels)), 1.0);
}

#[test]
fn a_series_outlives_its_configuration_and_leaves_with_the_last() {
    let metrics = Metrics::new(1);
    let before = metrics.calls(LABELS);
    before.begin(0).end(Outcome::Stop, &CallCost::default());
    let after = metrics.calls(LABELS);
    drop(before);
    let stopped = "outrigger_ext_plugin_calls_total\
                   {runner=\"java\",phase=\"pre-req\",route=\"7\",outcome=\"stop\"}";
    assert_eq!(value(&metrics, stopped), 1.0);
    drop(after);
    assert!(!metrics.render().contains("route=\"7\""));
}

#[test]
fn further_routes_than_the_limit_are_counted_together() {
    let metrics = Metrics::new(1);
    let ids: Vec<String> = (0..crate::limits::MEASURED_OWNERS + 5)
        .map(|id| id.to_string())
        .collect();
    let handles: Vec<Calls> = ids
        .iter()
        .map(|owner_id| metrics.calls(CallLabels { owner_id, ..LABELS }))
        .collect();
    for calls in &handles {
        calls.begin(0).end(Outcome::Continue, &CallCost::default());
    }
    let count = |id: &str| {
        let labels = format!("runner=\"java\",phase=\"pre-req\",route=\"{id}\"");
        let sample = "outrigger_ext_plugin_calls_total{L,outcome=\"continue\"}";
        value(&metrics, &sample.replace('L', &labels))
    };
    assert_eq!((count("999"), count("other")), (1.0, 5.0));
}
