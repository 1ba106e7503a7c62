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
    value_in(&metrics.render(&[], &[]), sample)
}

#[track_caller]
fn value_in(text: &str, sample: &str) -> f64 {
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
    assert!(!metrics.render(&[], &[]).contains("route=\"7\""));
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

#[test]
fn requests_are_told_as_apisix_tells_them() {
    let metrics = Metrics::new(2);
    let uris = ["/a/*".to_owned(), "/b".to_owned()];
    let requests = metrics.requests(RequestLabels {
        route: "7",
        service: "s",
        uris: &uris,
        route_name: Some("seven"),
        service_name: None,
    });
    let request = EndedRequest {
        status: 200,
        uri: 1,
        node: Some("127.0.0.1".parse().unwrap()),
        consumer: Some("jack"),
        took: Duration::from_millis(30),
        upstream: Some(Duration::from_millis(18)),
        received: 10,
        sent: 100,
        prefer_names: false,
    };
    for worker in [0, 1, 1] {
        requests.count(worker, &request);
    }
    requests.count(
        0,
        &EndedRequest {
            status: 404,
            uri: 0,
            node: None,
            consumer: None,
            upstream: None,
            ..request
        },
    );
    let party = "route=\"7\",service=\"s\",consumer=\"jack\",node=\"127.0.0.1\"";
    let nobody = "route=\"7\",service=\"s\",consumer=\"\",node=\"\"";
    let status = "apisix_http_status{code=\"200\",route=\"7\",matched_uri=\"/b\",\
                  matched_host=\"\",service=\"s\",consumer=\"jack\",node=\"127.0.0.1\"}";
    assert_eq!(value(&metrics, status), 3.0);
    for (sample, expected) in [
        (format!("latency_sum{{type=\"request\",{party}}}"), 90.0),
        (format!("latency_sum{{type=\"upstream\",{party}}}"), 54.0),
        (format!("latency_sum{{type=\"apisix\",{party}}}"), 36.0),
        (
            format!("latency_bucket{{type=\"request\",{party},le=\"20\"}}"),
            0.0,
        ),
        (
            format!("latency_bucket{{type=\"request\",{party},le=\"50\"}}"),
            3.0,
        ),
        (format!("latency_count{{type=\"apisix\",{nobody}}}"), 1.0),
    ] {
        let sample = format!("apisix_http_{sample}");
        assert!(
            (value(&metrics, &sample) - expected).abs() < 1e-9,
            "{sample}"
        );
    }
    let named = EndedRequest {
        prefer_names: true,
        ..request
    };
    requests.count(0, &named);
    let status = status.replace("route=\"7\"", "route=\"seven\"");
    assert_eq!(value(&metrics, &status), 1.0);
    let asked = format!("type=\"upstream\",{nobody}");
    assert!(
        !metrics.render(&[], &[]).contains(&asked),
        "it was not asked"
    );
    for (kind, expected) in [("ingress", 30.0), ("egress", 300.0)] {
        let sample = format!("apisix_bandwidth{{type=\"{kind}\",{party}}}");
        assert_eq!(value(&metrics, &sample), expected);
    }
}

#[test]
fn further_consumers_than_the_limit_are_counted_together() {
    let metrics = Metrics::new(1);
    let requests = metrics.requests(RequestLabels {
        route: "7",
        ..RequestLabels::default()
    });
    for consumer in 0..crate::limits::REQUEST_PARTIES + 10 {
        let consumer = consumer.to_string();
        requests.count(
            0,
            &EndedRequest {
                status: 200,
                uri: 0,
                node: None,
                consumer: Some(&consumer),
                took: Duration::ZERO,
                upstream: None,
                received: 1,
                sent: 1,
                prefer_names: false,
            },
        );
    }
    let bytes = |consumer: &str, node: &str| {
        let party = format!("consumer=\"{consumer}\",node=\"{node}\"");
        let labels = format!("type=\"egress\",route=\"7\",service=\"\",{party}");
        value(&metrics, &format!("apisix_bandwidth{{{labels}}}"))
    };
    assert_eq!((bytes("98", ""), bytes("other", "other")), (1.0, 11.0));
}

#[test]
fn clients_and_configurations_are_counted() {
    let metrics = Metrics::new(2);
    let workers = [metrics.worker(0), metrics.worker(1)];
    let _stay = [workers[0].connected(), workers[1].connected()];
    drop(workers[1].connected());
    let serving = workers[0].request();
    serving.answered(404);
    metrics.config_applied(3);
    metrics.config_refused();
    let state = |state| format!("apisix_nginx_http_current_connections{{state=\"{state}\"}}");
    for (sample, expected) in [
        (state("active"), 2.0),
        (state("accepted"), 3.0),
        (state("writing"), 1.0),
        (state("waiting"), 1.0),
        ("apisix_http_requests_total".to_owned(), 1.0),
        (
            "outrigger_http_responses_total{class=\"4xx\"}".to_owned(),
            1.0,
        ),
        (
            "outrigger_http_responses_total{class=\"5xx\"}".to_owned(),
            0.0,
        ),
        ("outrigger_routes".to_owned(), 3.0),
        (
            "outrigger_config_changes_total{result=\"applied\"}".to_owned(),
            1.0,
        ),
        (
            "outrigger_config_changes_total{result=\"refused\"}".to_owned(),
            1.0,
        ),
    ] {
        assert_eq!(value(&metrics, &sample), expected, "{sample}");
    }
    drop(serving);
    assert_eq!(value(&metrics, &state("writing")), 0.0);
    assert!(value(&metrics, "process_resident_memory_bytes") > 1e6);
}

#[test]
fn what_happens_to_runners_is_counted_until_they_are_gone() {
    let metrics = Metrics::new(1);
    let runner = metrics.runner("go");
    runner.connection_opened();
    runner.connection_opened();
    runner.connection_closed("idle");
    runner.prepared(false, Duration::from_millis(2));
    runner.prepared(true, Duration::from_millis(2));
    runner.prepare_failed();
    runner.token_lost();
    runner.process_changed();
    runner.breaker_opened();
    for (sample, expected) in [
        ("connections{R}", 1.0),
        ("connections_opened_total{R}", 2.0),
        ("connections_closed_total{R,reason=\"idle\"}", 1.0),
        ("prepares_total{R,result=\"prepared\"}", 1.0),
        ("prepares_total{R,result=\"renewed\"}", 1.0),
        ("prepares_total{R,result=\"failed\"}", 1.0),
        ("prepare_duration_seconds_count{R}", 2.0),
        ("tokens_lost_total{R}", 1.0),
        ("process_changes_total{R}", 1.0),
        ("breaker_opened_total{R}", 1.0),
    ] {
        let sample = format!("outrigger_runner_{}", sample.replace('R', "runner=\"go\""));
        assert_eq!(value(&metrics, &sample), expected, "{sample}");
    }
    drop(runner);
    assert!(!metrics.render(&[], &[]).contains("runner=\"go\""));
}

#[test]
fn what_runners_are_like_is_told() {
    let metrics = Metrics::new(1);
    let first = InstanceState {
        number: 1,
        up: true,
        generation: Some(3),
        restarts: Some(2),
        pid: Some(std::process::id()),
    };
    let second = InstanceState {
        number: 2,
        ..InstanceState::default()
    };
    let state = RunnerState {
        name: "go".to_owned(),
        in_flight: 5,
        queued: 4,
        breaker: Some(BreakerState::Open),
        instances: vec![first, second],
    };
    let text = metrics.render(&[state], &[]);
    for (sample, expected) in [
        ("instances_up{R}", 1.0),
        ("calls_in_flight{R}", 5.0),
        ("calls_queued{R}", 4.0),
        ("breaker{R,state=\"open\"}", 1.0),
        ("breaker{R,state=\"closed\"}", 0.0),
        ("up{R,instance=\"1\"}", 1.0),
        ("up{R,instance=\"2\"}", 0.0),
        ("generation{R,instance=\"1\"}", 3.0),
        ("restarts_total{R,instance=\"1\"}", 2.0),
    ] {
        let sample = format!("outrigger_runner_{}", sample.replace('R', "runner=\"go\""));
        assert_eq!(value_in(&text, &sample), expected, "{sample}");
    }
    let memory = "outrigger_runner_resident_memory_bytes{runner=\"go\",instance=\"1\"}";
    assert!(value_in(&text, memory) > 1e6);
    assert!(
        !metrics
            .render(&[], &[])
            .contains("generation{runner=\"go\",instance=\"2\"}")
    );
}

#[test]
fn the_health_of_nodes_is_told() {
    let node = |port, up| NodeState {
        upstream: "/apisix/routes/1".to_owned(),
        ip: "127.0.0.1".to_owned(),
        port,
        up,
    };
    let text = Metrics::new(1).render(&[], &[node(80, true), node(81, false)]);
    let name = "apisix_upstream_status{name=\"/apisix/routes/1\",ip=\"127.0.0.1\"";
    for (port, value) in [(80, 1), (81, 0)] {
        let line = format!("{name},port=\"{port}\"}} {value}\n");
        assert!(text.contains(&line), "{text}");
    }
}
