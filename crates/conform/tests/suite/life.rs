//! Whether the runner lives on is part of every rule.

use outrigger_a6::RpcType;
use outrigger_a6::error::Code;
use outrigger_conform::{CannotRun, Options, Target, Verdict, run};
use outrigger_testkit::{Answer, FakeRunner};

use crate::role;
use crate::support::{NONE, RawRunner, hasty, patient, sane, try_rule};

fn options(rules: &[&str]) -> Options {
    Options {
        times: hasty(),
        rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        ..Options::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_dies_of_a_rule_breaks_it_and_is_started_again() {
    let target = Target::Command(role::command("dies of a call"));
    let rules = options(&["no-action", "empty-conf", "ipv6"]);
    let report = run(target, rules, |_| {}).await.unwrap();
    let seen: Vec<_> = report
        .played()
        .iter()
        .map(|played| (played.rule().name, played.verdict().word()))
        .collect();
    let expected = [
        ("empty-conf", "right"),
        ("no-action", "wrong"),
        ("ipv6", "wrong"),
    ];
    assert_eq!(seen, expected, "{}", report.table());
    let how = report.played()[1].verdict().seen();
    assert!(
        how.contains("the runner is gone: its process ended with status 5"),
        "{how}"
    );
}

/// Answers a call and is never seen again.
fn dying() -> RawRunner {
    RawRunner::start(|stream, shared| async move {
        let mut frames = outrigger_testkit::FrameStream::new(stream);
        while let Ok(Some(received)) = frames.receive().await {
            let reply = sane(&received).unwrap_or_default();
            if received.ty == RpcType::HttpReqCall {
                shared.kill();
            }
            if frames.send_bytes(&reply).await.is_err() {
                return;
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_of_no_use_any_more_breaks_the_rule() {
    let runner = dying();
    let target = Target::Socket(runner.path());
    let report = try_rule("no-action", target, NONE, hasty()).await;
    let verdict = report.played()[0].verdict();
    assert!(
        matches!(verdict, Verdict::Wrong(how) if how.contains("of no use: it closed")),
        "{verdict:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_after_a_runner_is_gone_are_not_tested() {
    let runner = FakeRunner::start().unwrap();
    let path = runner.path().to_owned();
    let mut runner = Some(runner);
    // Nobody listens there any more when the first rule has been played.
    let played = |_: &_| drop(runner.take());
    let rules = options(&["empty-conf", "no-action", "ipv6"]);
    let report = run(Target::Socket(path), rules, played).await.unwrap();
    let [first, second, third] = report.played() else {
        panic!("{}", report.table());
    };
    assert_eq!(first.verdict(), &Verdict::Right);
    let seen = second.verdict().seen();
    assert!(seen.contains("afterwards the runner is gone"), "{seen}");
    let gone = "the runner is gone since the rule no-action";
    assert_eq!(third.verdict(), &Verdict::NotTested(gone.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_prepares_nothing_is_still_tried() {
    let runner = FakeRunner::start().unwrap();
    runner.always(RpcType::PrepareConf, Answer::error(Code::BadRequest));
    let target = Target::Socket(runner.path().to_owned());
    let report = try_rule("socket-file", target, NONE, patient()).await;
    assert_ne!(
        report.played()[0].verdict().word(),
        "wrong",
        "{}",
        report.table()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_tried_where_nobody_listens() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::at(&folder.path().join("absent.sock"));
    let error = run(target, options(&[]), |_| {}).await.unwrap_err();
    assert!(matches!(error, CannotRun::NotListening { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("absent.sock: no runner listens there: "),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_tried_where_the_command_does_not_listen() {
    let command = |script: &str| {
        Target::Command(outrigger_conform::Command {
            argv: ["/bin/sh", "-c", script].map(Into::into).to_vec(),
            env: Vec::new(),
        })
    };
    let ends = command("echo cannot listen >&2; exit 3");
    let error = run(ends, options(&[]), |_| {})
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("it ended with status 3 before it listened"),
        "{error}"
    );
    let mut times = options(&[]);
    times.times.start = std::time::Duration::from_millis(50);
    let error = run(command("sleep 300"), times, |_| {})
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("it does not listen at ") && error.contains("after 50ms"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_rule_is_named() {
    let target = Target::at("/nowhere".as_ref());
    let error = run(target, options(&["spilt-frames"]), |_| {})
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no rule \"spilt-frames\"; --list names them"
    );
}
