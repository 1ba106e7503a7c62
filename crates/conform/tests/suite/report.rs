//! The table and the JSON that people and machines read.

use outrigger_a6::RpcType;
use outrigger_conform::{Exclusions, Options, Report, Target, list, run};
use outrigger_testkit::{Answer, FakeRunner};
use serde_json::json;

use crate::support::patient;

/// A runner that does something right, something wrong and something otherwise.
async fn report(exclusions: &str) -> Report {
    let runner = FakeRunner::start().unwrap();
    runner.always(RpcType::PrepareConf, Answer::sane().reply());
    runner.always(RpcType::HttpReqCall, Answer::sane().send_bytes([2, 0]));
    let rules = [
        "one-answer",
        "one-prepare-answer",
        "empty-conf",
        "same-key",
        "stop",
        "sigterm",
    ];
    let options = Options {
        times: patient(),
        exclusions: Exclusions::parse("exclusions", exclusions).unwrap(),
        rules: rules.map(str::to_owned).to_vec(),
        ..Options::default()
    };
    let target = Target::Socket(runner.path().to_owned());
    run(target, options, |_| {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table() {
    let report = report("[]").await;
    let expected = "\
frames
  WRONG        one-answer                bytes that are no frame after the answer
                                         rule: the runner answers a call once, and sends nothing that was not asked for
                                         docs/conform.md#one-answer
  differently  one-prepare-answer        writes the answer to PrepareConf twice
                                         rule: the runner answers PrepareConf once
                                         docs/conform.md#one-prepare-answer

configurations
  right        empty-conf
  right        same-key

request plugins
  not tested   stop                      needs a plugin that answers the request (`stop`)

process
  not tested   sigterm                   needs a command that starts the runner (--cmd)

2 right, 1 differently, 1 wrong, 2 not tested
";
    assert_eq!(report.table(), expected);
    assert!(!report.passed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_with_exclusions() {
    let list = "
- {rule: one-answer, reason: it was written on a Friday}
- {rule: empty-conf, reason: nobody knows}
- {rule: same-key, reason: by chance, sometimes: true}
- {rule: stop, reason: it has no such plugin}
";
    let report = report(list).await;
    let expected = "\
frames
  excluded     one-answer                bytes that are no frame after the answer
                                         known: it was written on a Friday
                                         rule: the runner answers a call once, and sends nothing that was not asked for
                                         docs/conform.md#one-answer
  differently  one-prepare-answer        writes the answer to PrepareConf twice
                                         rule: the runner answers PrepareConf once
                                         docs/conform.md#one-prepare-answer

configurations
  UNNEEDED     empty-conf                it is on the list of exclusions, but it holds: take it off
  right        same-key

request plugins
  not tested   stop                      needs a plugin that answers the request (`stop`)

process
  not tested   sigterm                   needs a command that starts the runner (--cmd)

1 right, 1 differently, 0 wrong, 1 excluded, 1 excluded without need, 2 not tested
";
    assert_eq!(report.table(), expected);
    assert!(!report.passed(), "the list is not true");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_does_not_fail() {
    let report = report("- {rule: one-answer, reason: known}").await;
    assert!(report.passed());
    let json = report.json();
    assert_eq!(json["passed"], true);
    assert_eq!(
        json["counts"],
        json!({"right": 2, "differently": 1, "wrong": 0, "excluded": 1, "unneeded": 0, "not_tested": 2})
    );
    assert_eq!(
        json["rules"][0],
        json!({
            "rule": "one-answer",
            "section": "frames",
            "says": "answers a call once, and sends nothing that was not asked for",
            "doc": "docs/conform.md#one-answer",
            "verdict": "wrong",
            "seen": "bytes that are no frame after the answer",
            "excluded": "known",
        })
    );
    assert_eq!(json["rules"][4]["verdict"], "not_tested");
}

#[test]
fn the_list_has_a_sentence_for_each_rule() {
    let list = list();
    let line = "  one-answer                The runner answers a call once, and sends nothing that was not asked for.\n";
    assert!(
        list.starts_with("frames\n") && list.contains(line),
        "{list}"
    );
}
