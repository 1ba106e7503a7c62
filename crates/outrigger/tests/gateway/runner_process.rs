//! The runner as the gateway's child: its environment, its life and its end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use outrigger_a6::RpcType;
use outrigger_harness::{Gateway, GatewayBuilder, Process, Signal, Traffic, Upstream, eventually};
use serde_json::{Value, json};

use crate::runners::{Scripted, demo_runner};
use crate::support::{OUTRIGGER, error_msg, external, gateway, nodes, plugin, route, routes, with};

/// Routes to `upstream`: `/plugin/*` with a plugin of the demo runner that
/// leaves a mark, everything else without.
fn marked_and_plain(upstream: &Upstream) -> Value {
    let mark = external([plugin(
        "header-rewrite",
        json!({"headers": {"X-Mark": "1"}}),
    )]);
    let to = |uri: &str| route(uri, nodes(&[upstream]));
    routes([
        with(
            to("/plugin/*"),
            json!({"plugins": {"ext-plugin-pre-req": mark}}),
        ),
        to("/*"),
    ])
}

/// Makes sure that the plugin is called.
#[track_caller]
fn assert_marked(gateway: &Gateway, upstream: &Upstream) {
    assert_eq!(gateway.get("/plugin/").send().status, 200);
    let requests = upstream.requests();
    let last = requests.iter().rfind(|request| request.uri == "/plugin/");
    assert_eq!(last.unwrap().header("x-mark"), Some("1"));
}

#[test]
fn a_runner_killed_with_sigkill_is_back_and_other_routes_never_noticed() {
    let upstream = Upstream::echo();
    let gateway = demo_runner().routes(marked_and_plain(&upstream)).start();
    assert_marked(&gateway, &upstream);
    let traffic = Traffic::start(gateway.client(), "/hello", 2);
    for _ in 0..3 {
        let [runner] = gateway.wait_runners(1)[..] else {
            unreachable!("it was waited for one");
        };
        let mark = gateway.log().mark();
        runner.signal(Signal::KILL);
        let line = gateway.log().wait_after(mark, "signal 9 (SIGKILL)");
        assert!(line.contains("ERROR"), "{line}");
        gateway.log().wait_after(mark, "listens on");
        assert_marked(&gateway, &upstream);
        assert_ne!(gateway.wait_runners(1), [runner]);
    }
    traffic.wait_more(10);
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");
}

#[test]
fn requests_wait_for_a_runner_that_is_just_being_replaced() {
    let upstream = Upstream::echo();
    let patient = json!({"cmd": [OUTRIGGER, "demo-runner"], "timeout": {"call": 20_000}});
    let gateway = gateway()
        .config(json!({"ext-plugin": patient}))
        .routes(marked_and_plain(&upstream))
        .start();
    assert_marked(&gateway, &upstream);
    for _ in 0..3 {
        kill_runner(&gateway);
        assert_marked(&gateway, &upstream);
    }
}

/// Kills the only runner, and waits until the gateway knows.
#[track_caller]
fn kill_runner(gateway: &Gateway) {
    let runners = gateway.wait_runners(1);
    let mark = gateway.log().mark();
    runners[0].signal(Signal::KILL);
    gateway.log().wait_after(mark, "signal 9 (SIGKILL)");
}

#[test]
fn calls_in_flight_when_the_runner_dies_are_answered_and_the_next_ones_work() {
    let upstream = Upstream::echo();
    let wait = external([plugin("wait", json!({"ms": 1000}))]);
    let wait = with(
        route("/wait", nodes(&[&upstream])),
        json!({"plugins": {"ext-plugin-pre-req": wait}}),
    );
    let mut routes = marked_and_plain(&upstream);
    routes["routes"].as_array_mut().unwrap().push(wait);
    let gateway = demo_runner().routes(routes).start();
    assert_marked(&gateway, &upstream);
    let runner = gateway.wait_runners(1)[0];
    let client = gateway.client();
    let idle = sockets(runner);
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..5)
            .map(|_| scope.spawn(|| client.get("/wait").send()))
            .collect();
        // One of them may have taken the connection that was there.
        eventually("they are in the runner", || sockets(runner) >= idle + 4);
        runner.signal(Signal::KILL);
        for response in waiting {
            let response = response.join().unwrap();
            // What came on a connection that was idle before is sent again.
            if response.status != 200 {
                let expected = "503 Service Unavailable: ext-plugin-pre-req: closed";
                assert_eq!(error_msg(&response), expected);
            }
        }
    });
    assert_marked(&gateway, &upstream);
}

/// How many sockets a process has open.
fn sockets(process: Process) -> usize {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", process.pid())).unwrap();
    let targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

#[test]
fn every_worker_calls_the_runner_and_none_prepares_what_another_has() {
    let upstream = Upstream::echo();
    let runner = Scripted::start();
    let call = json!({"plugins": {"ext-plugin-pre-req": external([plugin("any", json!({}))])}});
    let gateway = runner
        .gateway()
        .config("outrigger: {workers: 4}")
        .routes(routes([with(route("/*", nodes(&[&upstream])), call)]))
        .start();
    for _ in 0..40 {
        assert_eq!(gateway.get("/hello").send().status, 200);
    }
    // Which of them gets a connection is the kernel's choice: of forty, one
    // gets all in one of 10^23 runs.
    assert!(upstream.accepted() > 1, "one worker did it all");
    assert_eq!(runner.received_of(RpcType::PrepareConf).len(), 1);
}

/// Sends SIGHUP and waits until another runner is ready.
#[track_caller]
fn reload(gateway: &Gateway) {
    let mark = gateway.log().mark();
    gateway.signal(Signal::HUP);
    gateway.log().wait_after(mark, "listens on");
}

#[test]
fn sighup_replaces_the_runner_and_no_request_fails() {
    let upstream = Upstream::echo();
    let gateway = demo_runner().routes(marked_and_plain(&upstream)).start();
    let with_plugin = Traffic::start(gateway.client(), "/plugin/", 2);
    let plain = Traffic::start(gateway.client(), "/hello", 1);
    with_plugin.wait_more(20);
    let first = gateway.wait_runners(1);
    for _ in 0..3 {
        reload(&gateway);
        with_plugin.wait_more(20);
    }
    eventually("those before are gone", || gateway.runners().len() == 1);
    assert_ne!(gateway.runners(), first);
    for traffic in [with_plugin, plain] {
        let tally = traffic.stop();
        assert!(tally.only(200), "{tally:?}");
    }
    let requests = upstream.requests();
    let mut through_plugin = requests.iter().filter(|request| request.uri == "/plugin/");
    assert!(through_plugin.all(|request| request.header("x-mark") == Some("1")));
}

#[test]
fn sighup_takes_the_runners_new_settings_and_reports_bad_ones() {
    let upstream = Upstream::echo();
    let gateway = demo_runner().routes(marked_and_plain(&upstream)).start();
    assert_marked(&gateway, &upstream);
    let old = gateway.wait_runners(1);
    gateway.write_config("ext-plugin: {cmd: nonsense}");
    gateway.signal(Signal::HUP);
    gateway.wait_log("config.yaml:1:14: ext-plugin.cmd: ");
    assert_eq!(gateway.runners(), old);
    let by_shell = format!("exec '{OUTRIGGER}' demo-runner # by a shell");
    gateway.write_config(json!({
        "ext-plugin": {"cmd": ["sh", "-c", by_shell]},
        "nginx_config": {"envs": ["OUTRIGGER_DEMO_TELL=1"]},
    }));
    reload(&gateway);
    assert_marked(&gateway, &upstream);
    gateway.wait_log("plugin saw: GET /plugin/");
}

/// A gateway whose runner writes its environment to the log.
fn telling_its_environment() -> GatewayBuilder {
    gateway().config(json!({
        "ext-plugin": {"cmd": ["sh", "-c", "env; pwd; echo end of the environment; exec sleep 600"]},
        "nginx_config": {"envs": ["PASSED", "ABSENT", "GIVEN=a=b c"]},
    }))
}

#[test]
fn a_runner_gets_the_declared_environment_and_no_more() {
    let gateway = telling_its_environment()
        .env("PASSED", "from outside")
        .env("HIDDEN", "hidden-value")
        .env("HOME", "/srv/gate")
        .without_env("ABSENT")
        .start();
    gateway.wait_log("[stderr] end".trim_start_matches("[stderr] "));
    let said = |text: &str| gateway.log().lines().iter().any(|line| line.contains(text));
    eventually("it has said all", || {
        said(&gateway.folder().display().to_string())
    });
    for line in [
        "PASSED=from outside",
        "GIVEN=a=b c",
        "HOME=/srv/gate",
        "PATH=",
        "APISIX_CONF_EXPIRE_TIME=3600",
    ] {
        assert!(said(line), "{line}");
    }
    for line in ["HIDDEN", "hidden-value", "ABSENT", "CARGO"] {
        assert!(!said(line), "{line}");
    }
}

/// Where the runner was told to listen.
fn socket(gateway: &Gateway) -> String {
    let line = gateway.wait_log("APISIX_LISTEN_ADDRESS=unix:/");
    let address = line.split_once("APISIX_LISTEN_ADDRESS=unix:").unwrap().1;
    address.trim().to_owned()
}

#[test]
fn the_socket_lies_in_a_private_folder_that_goes_with_the_gateway() {
    let gateway = telling_its_environment().start();
    let socket = socket(&gateway);
    let folder = Path::new(&socket).parent().unwrap();
    let mode = fs::metadata(folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(folder.starts_with(gateway.folder()), "{socket}");
    assert!(gateway.stop().status.success());
    assert!(!folder.exists(), "{socket} is left");
}

#[test]
fn the_runner_may_be_told_where_to_listen() {
    let upstream = Upstream::echo();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("mine.sock");
    let runner = json!({
        "cmd": [OUTRIGGER, "demo-runner"],
        "path_for_test": socket,
        "timeout": {"call": 20_000},
    });
    let gateway = gateway()
        .config(json!({"ext-plugin": runner}))
        .routes(marked_and_plain(&upstream))
        .start();
    assert_marked(&gateway, &upstream);
    assert!(socket.exists());
    // On a path that is not fresh each time, one has to go before the next comes.
    kill_runner(&gateway);
    assert_marked(&gateway, &upstream);
}

#[test]
fn named_runners_are_called_by_the_routes_that_name_them() {
    let upstream = Upstream::echo();
    let to = |uri: &str, runner: &str| {
        let mark = external([plugin(
            "header-rewrite",
            json!({"headers": {"X-Mark": runner}}),
        )]);
        let mark = with(mark, json!({"runner": runner}));
        with(
            route(uri, nodes(&[&upstream])),
            json!({"plugins": {"ext-plugin-post-req": mark}}),
        )
    };
    let demo = json!([OUTRIGGER, "demo-runner"]);
    let ext_plugin = json!({
        "runners": {"one": {"cmd": demo}, "two": {"cmd": ["sleep", "600"], "timeout": {"call": 500}}},
    });
    let gateway = gateway()
        .config(json!({"ext-plugin": ext_plugin}))
        .routes(routes([to("/one", "one"), to("/two", "two")]))
        .start();
    assert_eq!(gateway.wait_runners(2).len(), 2);
    assert_eq!(gateway.get("/one").send().status, 200);
    assert_eq!(upstream.last().header("x-mark"), Some("one"));
    assert_eq!(gateway.get("/two").send().status, 503);
    gateway.wait_log("runner=\"one\"");
}

#[test]
fn sigterm_ends_the_runner_too() {
    let upstream = Upstream::echo();
    let gateway = demo_runner().routes(marked_and_plain(&upstream)).start();
    assert_marked(&gateway, &upstream);
    let runners = gateway.wait_runners(1);
    let exit = gateway.stop();
    assert!(exit.status.success(), "{exit:?}");
    assert!(!runners[0].is_alive());
    assert!(exit.stderr.contains("exited as told"), "{exit:?}");
    assert!(!exit.stderr.contains("SIGKILL\n"), "{exit:?}");
}

#[test]
fn a_runner_that_does_not_heed_sigterm_is_killed_with_all_its_kin() {
    let stubborn = "trap '' TERM; sleep 600 & echo ready; while :; do sleep 600; done";
    let gateway = gateway()
        .config(json!({"ext-plugin": {"cmd": ["sh", "-c", stubborn], "stop_grace": 300}}))
        .start();
    gateway.wait_log("ready");
    let kin = gateway.process().descendants();
    assert!(kin.len() >= 2, "{kin:?}");
    let begun = Instant::now();
    let exit = gateway.stop();
    assert!(exit.status.success(), "{exit:?}");
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(300),
        "it had no grace: {took:?}"
    );
    assert!(
        exit.stderr.contains("its group were sent SIGKILL"),
        "{exit:?}"
    );
    eventually("none of them is left", || {
        kin.iter().all(|process| !process.is_alive())
    });
}

#[test]
fn a_gateway_killed_with_sigkill_takes_its_runner_along() {
    let upstream = Upstream::echo();
    let gateway = demo_runner().routes(marked_and_plain(&upstream)).start();
    assert_marked(&gateway, &upstream);
    let runners = gateway.wait_runners(1);
    gateway.signal(Signal::KILL);
    gateway.wait_exit();
    eventually("the runner is gone", || !runners[0].is_alive());
}

#[test]
fn a_runner_that_floods_the_log_does_not_hold_up_the_gateway() {
    let upstream = Upstream::echo();
    let gateway = gateway()
        .config(json!({"ext-plugin": {"cmd": ["sh", "-c", "exec yes flooding the log"]}}))
        .routes(marked_and_plain(&upstream))
        .start();
    gateway.wait_log("flooding");
    let traffic = Traffic::start(gateway.client(), "/hello", 1);
    traffic.wait_more(50);
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");
    gateway.wait_log("lines of output were left out");
    assert!(gateway.stop().status.success());
}
