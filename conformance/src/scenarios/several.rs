//! Several plugins, several phases, several routes, and configurations that
//! change.

use std::time::Instant;

use outrigger_harness::{Traffic, together};
use serde_json::json;

use super::Scenario;
use crate::limits;
use crate::program::Plugins::Conformance;
use crate::stage::{Stage, conf};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::shared("plugins-in-order", order).with(Conformance),
    Scenario::shared("stop-ends-the-chain", stop_ends).with(Conformance),
    Scenario::shared("later-plugin-sees-the-change", chained).with(Conformance),
    Scenario::shared("both-phases", phases).with(Conformance),
    Scenario::shared("conf-changed", conf_changed),
    Scenario::shared("each-route-its-own-conf", own_conf),
    Scenario::shared("answers-do-not-mix", do_not_mix).with(Conformance),
    Scenario::shared("calls-do-not-queue", at_once).with(Conformance),
];

fn order(stage: &Stage<'_>) {
    for marks in ["abc", "cab"] {
        let plugins: Vec<_> = marks
            .chars()
            .map(|mark| (format!("conf-order-{mark}"), json!({})))
            .collect();
        let plugins: Vec<_> = plugins
            .iter()
            .map(|(name, conf)| (name.as_str(), conf.clone()))
            .collect();
        stage.plugins(&plugins);
        stage.gateway.get("/").send();
        let seen = stage.upstream.last();
        let ran: Vec<u64> = marks
            .chars()
            .map(|mark| {
                seen.header(&format!("x-ran-{mark}"))
                    .and_then(|at| at.parse().ok())
            })
            .map(|at| at.expect("every plugin ran"))
            .collect();
        assert!(ran.is_sorted(), "{marks} ran at {ran:?}");
        assert_eq!(seen.header("x-last"), marks.get(2..));
    }
}

fn stop_ends(stage: &Stage<'_>) {
    stage.plugins(&[
        ("conf-order-a", json!({})),
        ("conf-stop", json!({"status": 403, "body": "halt"})),
        ("conf-fail", json!({"how": "throw"})),
    ]);
    let response = stage.gateway.get("/").send();
    assert_eq!((response.status, response.text()), (403, "halt"));
    assert_eq!(
        response.header("x-last"),
        None,
        "of the request, not of the answer"
    );
}

fn chained(stage: &Stage<'_>) {
    stage.plugins(&[
        ("conf-rewrite", json!({"headers": {"X-Marks": "<"}})),
        ("conf-append", json!({"mark": ">"})),
    ]);
    stage.gateway.get("/").header("X-Marks", "before").send();
    assert_eq!(stage.upstream.last().headers.all("x-marks"), ["<>"]);
}

fn phases(stage: &Stage<'_>) {
    let before = json!({"path": "/first", "headers": {"X-Phase": "pre"}});
    stage.route(&json!({
        "ext-plugin-pre-req": conf(&[("conf-rewrite", before)]),
        "proxy-rewrite": {"regex_uri": ["^/first$", "/second"]},
        "ext-plugin-post-req": conf(&[("conf-echo", json!({}))]),
    }));
    let seen = stage.gateway.get("/start?x=1").send().json();
    assert_eq!(seen["path"], "/second", "{seen}");
    assert_eq!(seen["headers"]["x-phase"], json!(["pre"]), "{seen}");
    assert_eq!(seen["args"]["x"], json!(["1"]), "{seen}");
}

fn conf_changed(stage: &Stage<'_>) {
    stage.plugins(&[stage.program.says("0")]);
    let traffic = Traffic::start(stage.gateway.client(), "/", 2);
    for number in 1..=5 {
        let text = number.to_string();
        stage.plugins(&[stage.program.says(&text)]);
        assert_eq!(stage.gateway.get("/").send().text(), text);
        traffic.wait_more(5);
    }
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");
}

fn own_conf(stage: &Stage<'_>) {
    let routes = (0..limits::ROUTES)
        .map(|number| {
            let says = conf(&[stage.program.says(&format!("route {number}"))]);
            let id = format!("r{number}");
            let uri = format!("/{number}");
            json!({"id": id, "uri": uri, "plugins": {"ext-plugin-pre-req": says}})
        })
        .collect();
    stage.routes(routes);
    let client = stage.gateway.client();
    for _ in 0..2 {
        together(limits::ROUTES, |number| {
            let response = client.get(&format!("/{number}")).send();
            assert_eq!(response.text(), format!("route {number}"));
        });
    }
}

/// A plugin that wants the response's body, in a phase that has none, makes the
/// Java runner answer twice. The second answer belongs to no call.
fn do_not_mix(stage: &Stage<'_>) {
    let route = |name: &str, plugin| {
        let plugins = json!({"ext-plugin-pre-req": conf(&[plugin])});
        json!({"id": name, "uri": format!("/{name}"), "plugins": plugins})
    };
    stage.routes(vec![
        route("twice", ("conf-response-body", json!({}))),
        route("once", stage.program.says("stopped")),
    ]);
    let mut client = stage.gateway.client().connection();
    for _ in 0..20 {
        assert_eq!(client.get("/twice").send().json()["uri"], "/twice");
        assert_eq!(client.get("/once").send().text(), "stopped");
    }
}

fn at_once(stage: &Stage<'_>) {
    stage.plugins(&[("conf-wait", json!({"ms": limits::HOLD_MILLIS}))]);
    let client = stage.gateway.client();
    let started = Instant::now();
    together(limits::AT_ONCE, |_| {
        assert_eq!(client.get("/hello").send().status, 200);
    });
    let elapsed = started.elapsed();
    assert!(elapsed < limits::ALL_AT_ONCE, "it took {elapsed:?}");
}
