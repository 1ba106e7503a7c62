//! What `config.yaml` says of metrics and traces.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::time::Duration;

use outrigger_config::{MetricsExport, Report, Settings, Tracing};

/// The least that a file must say.
const DEPLOYMENT: &str = "deployment: {role: data_plane, \
                          role_data_plane: {config_provider: yaml}}\n";

fn read(more: &str) -> Result<Settings, Report> {
    let env = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
    Settings::parse(&format!("{more}{DEPLOYMENT}"), Path::new("/c.yaml"), &env)
}

fn with(more: &str) -> Settings {
    read(more).unwrap_or_else(|report| panic!("{report}"))
}

#[track_caller]
fn refused(more: &str, expected: &[&str]) {
    let report = read(more).expect_err("a report").to_string();
    let lines: Vec<_> = report
        .lines()
        .map(|line| line.replace("/c.yaml:", ""))
        .collect();
    assert_eq!(lines, expected, "{more}");
}

#[test]
fn metrics_are_handed_out_unless_that_is_switched_off() {
    let export = |address: &str, explicit, path: &str| {
        Some(MetricsExport {
            address: address.parse().unwrap(),
            explicit,
            path: path.to_owned(),
        })
    };
    let usual = "/apisix/prometheus/metrics";
    for (prometheus, expected) in [
        ("", export("127.0.0.1:9091", false, usual)),
        ("enable_export_server: false", None),
        ("export_addr: {}", export("127.0.0.1:9091", true, usual)),
        ("export_addr: {port: 0}", export("127.0.0.1:0", true, usual)),
        (
            "export_addr: {ip: '::', port: 1}, export_uri: /metrics",
            export("[::]:1", true, "/metrics"),
        ),
    ] {
        let settings = with(&format!("plugin_attr: {{prometheus: {{{prometheus}}}}}\n"));
        assert_eq!(settings.metrics, expected, "{prometheus}");
        assert!(settings.notes.is_empty());
    }
    assert_eq!(with("").metrics, export("127.0.0.1:9091", false, usual));
}

#[test]
fn attributes_of_other_plugins_are_noted() {
    let settings = with(
        "plugin_attr:
  prometheus: {metric_prefix: x_}
  skywalking: {service_name: APISIX}
  server-info: {}
",
    );
    assert_eq!(
        settings.notes,
        [
            "/c.yaml:2:16: plugin_attr.prometheus.metric_prefix: has no effect: metrics have \
             the names and labels of docs/observability.md",
            "/c.yaml:3:3: plugin_attr.skywalking: has no effect: this plugin has no attributes here",
        ]
    );
}

#[test]
fn what_is_wrong_with_the_export_is_named() {
    refused(
        "plugin_attr: {prometheus: {export_uri: 'a b', export_add: {}, export_addr: {prt: 1}}}\n",
        &[
            "1:28: plugin_attr.prometheus.export_uri: expected a path such as /metrics, of \
             letters, digits and -_.~/",
            "1:47: plugin_attr.prometheus.export_add: unknown property, did you mean \
             \"export_addr\"?",
            "1:77: plugin_attr.prometheus.export_addr.prt: unknown property, did you mean \"port\"?",
        ],
    );
}

#[test]
fn tracing_is_off_unless_there_is_a_collector() {
    assert_eq!(with("outrigger: {workers: 1}\n").tracing, None);
    let tracing = with("outrigger: {tracing: {otlp_endpoint: 'http://[::1]:4318'}}\n").tracing;
    assert_eq!(
        tracing,
        Some(Tracing {
            otlp_endpoint: "http://[::1]:4318".to_owned(),
            headers: Vec::new(),
            sample_ratio: 1.0,
            service_name: "outrigger".to_owned(),
            resource: Vec::new(),
            timeout: Duration::from_secs(10),
            interval: Duration::from_secs(5),
            queue: 2048,
            upstream_context: false,
        })
    );
}

#[test]
fn all_of_tracing_is_read_and_secrets_are_not_shown() {
    let settings = with(
        "outrigger:
  tracing:
    otlp_endpoint: http://collector.test:4318/base
    headers: {Authorization: 'Bearer ${{TOKEN}}'}
    sample_ratio: 0.25
    service_name: edge
    resource: {deployment.environment: test}
    timeout: 1000
    interval: 200
    queue: 10
    upstream_context: true
",
    );
    let tracing = settings.tracing.as_ref().unwrap();
    assert_eq!(tracing.headers[0].0, "authorization");
    assert_eq!(tracing.headers[0].1, "Bearer s3cret");
    assert_eq!(tracing.sample_ratio, 0.25);
    assert_eq!(tracing.service_name, "edge");
    let resource = ("deployment.environment".to_owned(), "test".to_owned());
    assert_eq!(tracing.resource, [resource]);
    assert_eq!(tracing.timeout, Duration::from_secs(1));
    assert_eq!(tracing.interval, Duration::from_millis(200));
    assert_eq!((tracing.queue, tracing.upstream_context), (10, true));
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn what_is_wrong_with_tracing_is_named() {
    let endpoint = |endpoint: &str, problem: &str| {
        let problem = format!("1:23: outrigger.tracing.otlp_endpoint: {problem}");
        refused(
            &format!("outrigger: {{tracing: {{otlp_endpoint: '{endpoint}'}}}}\n"),
            &[&problem],
        );
    };
    let no_url = "expected a URL such as http://127.0.0.1:4318";
    endpoint("127.0.0.1:4318", no_url);
    endpoint("http://", no_url);
    endpoint("http://a/?b", no_url);
    endpoint("ftp://a:4318", no_url);
    endpoint(
        "http://me:pass@a:4318",
        "credentials do not belong into the URL: put them into `headers`",
    );
    refused(
        "outrigger:
  tracing:
    sample_ratio: 2
    headers: {'a b': x, c: \"x\\ny\"}
    timeout: 0
    samplerate: 1
",
        &[
            "2:3: outrigger.tracing: property \"otlp_endpoint\" is required",
            "3:5: outrigger.tracing.sample_ratio: expected a share from 0 to 1",
            "4:15: outrigger.tracing.headers[\"a b\"]: this is no name of a header field",
            "4:25: outrigger.tracing.headers.c: this is no value of a header field",
            "5:5: outrigger.tracing.timeout: expected 0 to be at least 1",
            "6:5: outrigger.tracing.samplerate: unknown property, did you mean \"sample_ratio\"?",
        ],
    );
}
