//! Runners that break the rules about their process.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use outrigger_conform::{Target, Times};
use outrigger_testkit::FakeRunner;

use crate::role;
use crate::support::{NONE, patient, try_rule, varies};

async fn plays(role: &str, rule: &str, times: Times, expected: (&str, &str)) {
    let target = Target::Command(role::command(role));
    let report = try_rule(rule, target, NONE, times).await;
    let verdict = report.played()[0].verdict();
    let (word, seen) = expected;
    assert!(
        verdict.word() == word && verdict.seen().contains(seen),
        "{rule}: {verdict:?}, expected {word}: {seen}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_others_can_write_to_is_told() {
    let runner = FakeRunner::start().unwrap();
    std::fs::set_permissions(runner.path(), Permissions::from_mode(0o722)).unwrap();
    varies(
        "socket-file",
        NONE,
        runner.path(),
        "others may connect, its mode is 722",
    )
    .await;
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link.sock");
    std::os::unix::fs::symlink(runner.path(), &link).unwrap();
    varies(
        "socket-file",
        NONE,
        &link,
        "the path is not a socket itself",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_is_looked_at() {
    let seen = ("differently", "which is outside its group");
    plays("foreign", "listens-where-told", patient(), seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_ends_with_its_input_is_noticed() {
    let seen = ("wrong", "it ended with status 4 soon after");
    let times = Times {
        idle: Duration::from_secs(1),
        ..patient()
    };
    plays("no input", "without-input", times, seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_begin_anew_are_told() {
    let seen = ("differently", "every process begins with token 1");
    plays("fake", "first-token", patient(), seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_stays_is_told_and_one_that_goes_is_wrong() {
    let seen = ("differently", "it still knows a token after");
    plays("fake", "conf-lifetime", patient(), seen).await;
    let seen = ("wrong", "CONF_TOKEN_NOT_FOUND");
    plays("forgetful", "conf-lifetime", lifetime(4), seen).await;
}

/// Longer than a slow machine needs for a question.
fn lifetime(seconds: u64) -> Times {
    Times {
        conf_lifetime: Duration::from_secs(seconds),
        ..patient()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_in_the_way_is_told() {
    for rule in ["stale-socket", "restart-same-path"] {
        let seen = ("differently", "it ended with status 101 before it listened");
        plays("fake", rule, patient(), seen).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_must_be_heeded() {
    let hasty = Times {
        stop: Duration::from_millis(300),
        ..patient()
    };
    let seen = ("wrong", "it is still there 300ms after SIGTERM");
    plays("stubborn", "sigterm", hasty, seen).await;
    plays("slow", "sigterm", patient(), ("differently", "it takes")).await;
    let seen = ("not tested", "needs a runner that ends on SIGTERM");
    plays("stubborn", "removes-socket", hasty, seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_stays_is_told() {
    let seen = ("differently", "its socket stays");
    plays("fake", "removes-socket", patient(), seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successors_socket_that_goes_is_told() {
    let seen = ("differently", "it removes its successor's socket");
    plays("greedy", "leaves-successor", patient(), seen).await;
}
