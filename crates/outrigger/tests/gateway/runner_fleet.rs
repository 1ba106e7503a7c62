//! Runners under load: what is killed, reloaded, reconfigured, stopped and
//! started while requests go on.

use std::fs;

use outrigger_harness::{
    Exit, Gateway, GatewayBuilder, Process, Program, Signal, Traffic, Upstream, eventually, until,
};
use serde_json::{Value, json};

use crate::runners::{Scripted, demo_runner};
use crate::support::{OUTRIGGER, error_msg, external, gateway, nodes, plugin, route, routes, with};

/// Clients at once, as the gateway's users have them at a quiet hour.
const CLIENTS: usize = 16;

/// How often something happens to the runner.
const ROUNDS: usize = 5;

/// The command of the demo runner.
fn demo() -> Value {
    json!([OUTRIGGER, "demo-runner"])
}

/// A plugin's part in a route: a runner's plugin answers `body`.
fn says(body: &str, runner: Option<&str>) -> Value {
    let say = external([plugin("say", json!({"body": body}))]);
    let say = match runner {
        Some(runner) => with(say, json!({"runner": runner})),
        None => say,
    };
    json!({"plugins": {"ext-plugin-pre-req": say}})
}

/// A route of `uri` that a plugin answers.
fn answered(uri: &str, body: &str, runner: Option<&str>) -> Value {
    let nowhere = json!({"nodes": {"127.0.0.1:1": 1}});
    with(route(uri, nowhere), says(body, runner))
}

fn started(builder: GatewayBuilder) -> Gateway {
    let gateway = builder
        .routes(routes([answered("/*", "said", None)]))
        .start();
    eventually("the runner answers", || {
        gateway.get("/").send().status == 200
    });
    gateway
}

/// Sends SIGHUP and waits for this line of the log.
#[track_caller]
fn reload(gateway: &Gateway, line: &str) -> String {
    let mark = gateway.log().mark();
    gateway.signal(Signal::HUP);
    gateway.log().wait_after(mark, line)
}

fn outrigger(gateway: &Gateway, args: &[&str]) -> Exit {
    let address = gateway.control().address().to_string();
    let args = args.iter().copied().chain(["--control", &address]);
    Program::new(OUTRIGGER).args(args).run()
}

/// The runners as the control API shows them.
fn runners(gateway: &Gateway) -> Vec<Value> {
    let response = gateway.control().get("/v1/runners").send();
    response.json().as_array().unwrap().clone()
}

#[test]
fn a_runner_killed_again_and_again_under_load_fails_no_request() {
    let gateway = started(demo_runner());
    let traffic = Traffic::start(gateway.client(), "/", CLIENTS);
    for _ in 0..ROUNDS {
        traffic.wait_more(4 * CLIENTS);
        let mark = gateway.log().mark();
        gateway.wait_runners(1)[0].signal(Signal::KILL);
        gateway.log().wait_after(mark, "listens on");
    }
    traffic.wait_more(4 * CLIENTS);
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");
}

#[test]
fn a_runner_reloaded_again_and_again_under_load_fails_no_request() {
    let gateway = started(demo_runner());
    let traffic = Traffic::start(gateway.client(), "/", CLIENTS);
    for _ in 0..ROUNDS {
        traffic.wait_more(4 * CLIENTS);
        reload(&gateway, "listens on");
    }
    traffic.wait_more(4 * CLIENTS);
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");
    // Those before had no calls left, and did not wait for their time.
    eventually("one process is left", || gateway.runners().len() == 1);
}

#[test]
fn a_process_that_was_replaced_ends_the_call_it_has() {
    let upstream = Upstream::echo();
    let wait = external([plugin("wait", json!({"ms": 1500}))]);
    let wait = json!({"plugins": {"ext-plugin-pre-req": wait}});
    let gateway = demo_runner()
        .routes(routes([
            with(route("/wait", nodes(&[&upstream])), wait),
            answered("/*", "said", None),
        ]))
        .start();
    eventually("the runner answers", || {
        gateway.get("/").send().status == 200
    });
    let first = gateway.wait_runners(1)[0];
    std::thread::scope(|scope| {
        let idle = upstream.accepted();
        let waiting = scope.spawn(|| gateway.get("/wait").send());
        eventually("it is in the runner", || {
            runners(&gateway)[0]["in_flight"] == 1
        });
        reload(&gateway, "takes no new calls");
        let is_alive = first.is_alive();
        assert!(
            is_alive || waiting.is_finished(),
            "it was stopped too early"
        );
        assert_eq!(gateway.get("/").send().status, 200);
        assert_eq!(waiting.join().unwrap().status, 200);
        assert_eq!(upstream.accepted(), idle + 1);
    });
    eventually("it is stopped then", || !first.is_alive());
    assert!(!gateway.log().text().contains("SIGKILL\n"));
}

#[test]
fn a_reload_on_a_fixed_path_makes_calls_wait_but_fails_none() {
    let folder = tempfile::tempdir().unwrap();
    let fixed = json!({"cmd": demo(), "path_for_test": folder.path().join("r.sock")});
    let gateway = started(gateway().config(json!({"ext-plugin": fixed})));
    let traffic = Traffic::start(gateway.client(), "/", CLIENTS);
    for _ in 0..3 {
        traffic.wait_more(2 * CLIENTS);
        reload(&gateway, "listens on");
    }
    traffic.wait_more(2 * CLIENTS);
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");
}

#[test]
fn a_reload_with_a_command_that_does_not_work_keeps_the_runner_that_does() {
    let gateway = started(demo_runner());
    let runner = gateway.wait_runners(1)[0];
    let traffic = Traffic::start(gateway.client(), "/", 4);
    for broken in [json!(["./no-such-program"]), json!(["sh", "-c", "exit 3"])] {
        gateway.write_config(json!({"ext-plugin": {"cmd": broken}}));
        let line = reload(&gateway, "the new process did not come up");
        assert!(line.contains("ERROR"), "{line}");
        assert!(line.contains("the one before stays in service"), "{line}");
    }
    // One that never listens.
    let mute = json!({"cmd": ["sleep", "600"], "start_timeout": 100});
    gateway.write_config(json!({"ext-plugin": mute}));
    reload(&gateway, "it does not listen after");
    let shown = &runners(&gateway)[0];
    assert_eq!(shown["state"], "running");
    assert_eq!(shown["pid"], runner.pid());
    let trouble = shown["trouble"].as_str().unwrap_or_default();
    assert!(trouble.contains("did not come up"), "{shown}");

    // Killed, it comes back with the command that works.
    runner.signal(Signal::KILL);
    gateway.log().wait("signal 9 (SIGKILL)");
    traffic.wait_more(20);
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");
}

#[test]
fn instances_share_the_calls_and_one_is_enough() {
    let several = json!({"cmd": demo(), "instances": 3});
    let gateway = started(gateway().config(json!({"ext-plugin": several})));
    let processes = gateway.wait_runners(3);
    eventually("all of them listen", || {
        runners(&gateway)
            .iter()
            .all(|runner| runner["state"] == "running")
    });
    let shown = runners(&gateway);
    let instances: Vec<_> = shown
        .iter()
        .map(|runner| runner["instance"].clone())
        .collect();
    assert_eq!(instances, [1, 2, 3]);
    gateway.wait_log("runner=\"default/3\"");

    let traffic = Traffic::start(gateway.client(), "/", CLIENTS);
    eventually("each has connections of its own", || {
        processes.iter().all(|process| sockets(*process) > 1)
    });
    processes[0].signal(Signal::KILL);
    processes[1].signal(Signal::KILL);
    traffic.wait_more(4 * CLIENTS);
    eventually("there are three again", || {
        let running = |runner: &Value| runner["state"] == "running";
        runners(&gateway).iter().filter(|it| running(it)).count() == 3
    });
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");
}

/// How many unix sockets a process has, but for the one it listens at.
fn sockets(process: Process) -> usize {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{}/fd", process.pid())) else {
        return 0;
    };
    let targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok());
    let sockets = targets.filter(|target| target.to_string_lossy().starts_with("socket:"));
    sockets.count().saturating_sub(1)
}

#[test]
fn runners_are_added_changed_and_removed_while_requests_go_on() {
    let one = json!({"runners": {"one": {"cmd": demo()}}});
    let gateway = gateway()
        .config(json!({"ext-plugin": one}))
        .routes(routes([answered("/one", "one", Some("one"))]))
        .start();
    let is = |path: &str, body: &str| {
        let response = gateway.get(path).send();
        response.status == 200 && response.text() == body
    };
    eventually("it answers", || is("/one", "one"));
    let traffic = Traffic::start(gateway.client(), "/one", 4);

    // A route that names what is not there yet is refused until it is.
    let both = routes([
        answered("/one", "one", Some("one")),
        answered("/two", "two", Some("two")),
    ]);
    let mark = gateway.log().mark();
    gateway.write_routes(both);
    gateway
        .log()
        .wait_after(mark, "there is no runner of this name");
    let two = json!({
        "one": {"cmd": demo(), "instances": 2, "timeout": {"call": 30_000}, "max_in_flight": 50},
        "two": {"cmd": demo()},
    });
    gateway.write_config(json!({"ext-plugin": {"runners": two}}));
    reload(&gateway, "2 routes applied");
    eventually("both answer", || is("/one", "one") && is("/two", "two"));
    gateway.wait_runners(3);

    // One that a route names cannot go.
    gateway.write_config(json!({"ext-plugin": {"runners": {"two": {"cmd": demo()}}}}));
    let line = reload(&gateway, "nothing was reloaded");
    for part in [
        "routes[0].plugins.ext-plugin-pre-req.runner",
        "there are: default, two",
    ] {
        assert!(gateway.log().text().contains(part), "{part}: {line}");
    }
    assert_eq!(runners(&gateway).len(), 3);
    traffic.wait_more(20);
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");

    gateway.set_routes(routes([answered("/two", "two", Some("two"))]));
    reload(&gateway, "removed from config.yaml");
    // A worker lets go of the routes before when its next request comes.
    assert!(is("/two", "two"));
    gateway.wait_runners(1);
    assert_eq!(runners(&gateway).len(), 1);
}

#[test]
fn a_reload_that_is_refused_does_not_swallow_a_change_of_the_routes() {
    let one = json!({"runners": {"one": {"cmd": demo()}}});
    let gateway = gateway()
        .config(json!({"ext-plugin": one}))
        .routes(routes([answered("/one", "one", Some("one"))]))
        .start();
    for round in 0..3 {
        let other = format!("/other/{round}");
        gateway.write_config(json!({"ext-plugin": {"cmd": demo()}}));
        gateway.write_routes(routes([
            answered("/one", "one", Some("one")),
            answered(&other, "two", Some("one")),
        ]));
        reload(&gateway, "nothing was reloaded");
        eventually("the new route answers", || {
            gateway.get(&other).send().text() == "two"
        });
    }
    assert_eq!(gateway.runners().len(), 1);
}

#[test]
fn a_runner_of_others_becomes_the_gateways_own_and_back() {
    let others = Scripted::start();
    let gateway = started(demo_runner());
    let traffic = Traffic::start(gateway.client(), "/", 4);
    others.always(
        outrigger_a6::RpcType::HttpReqCall,
        crate::runners::decision(stop()),
    );
    gateway.write_config(json!({"ext-plugin": {"path_for_test": others.path()}}));
    reload(&gateway, "started by others");
    eventually("the other one answers", || {
        gateway.get("/").send().text() == "other"
    });
    gateway.wait_runners(0);
    assert_eq!(runners(&gateway)[0]["state"], "external");

    gateway.write_config(json!({"ext-plugin": {"cmd": demo()}}));
    reload(&gateway, "listens on");
    eventually("the gateway's own answers", || {
        gateway.get("/").send().text() == "said"
    });
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");
}

/// An answer that is not the demo runner's.
fn stop() -> outrigger_a6::http_req_call::Action<'static> {
    use outrigger_a6::http_req_call::{Action, Stop};

    Action::Stop(Stop {
        status: 200,
        headers: Default::default(),
        body: b"other",
    })
}

#[test]
fn a_stopped_runner_fails_calls_at_once_and_stays_down_until_it_is_started() {
    let gateway = started(demo_runner());
    let runner = gateway.wait_runners(1)[0];
    let exit = outrigger(&gateway, &["runner", "stop", "default"]);
    assert!(exit.status.success(), "{exit:?}");
    gateway.wait_log("halted");
    assert!(!runner.is_alive());
    let response = gateway.get("/").send();
    assert_eq!(response.status, 503);
    let unavailable = "503 Service Unavailable: ext-plugin-pre-req: unavailable";
    assert_eq!(error_msg(&response), unavailable);
    assert_eq!(runners(&gateway)[0]["state"], "stopped");

    let exit = outrigger(&gateway, &["runner", "start", "default"]);
    assert!(exit.status.success(), "{exit:?}");
    // The call waits for it.
    assert_eq!(gateway.get("/").send().status, 200);

    outrigger(&gateway, &["runner", "stop", "default"]);
    gateway.wait_runners(0);
    reload(&gateway, "listens on");
    assert_eq!(gateway.get("/").send().status, 200);
}

#[test]
fn a_runner_that_never_comes_up_fails_calls_at_once() {
    let broken = json!({"cmd": ["sh", "-c", "exit 1"]});
    let gateway = gateway()
        .config(json!({"ext-plugin": broken}))
        .routes(routes([answered("/*", "said", None)]))
        .start();
    let line = gateway.wait_log("does not come up");
    assert!(line.contains("ERROR"), "{line}");
    // Well before the minute that a call may wait for a runner that is starting.
    let response = gateway.get("/").send();
    assert_eq!(response.status, 503);
    let shown = &runners(&gateway)[0];
    assert_eq!(shown["state"], "failing");
    let trouble = shown["trouble"].as_str().unwrap_or_default();
    assert!(trouble.contains("status 1"), "{shown}");

    gateway.write_config(json!({"ext-plugin": {"cmd": demo()}}));
    reload(&gateway, "listens on");
    assert_eq!(gateway.get("/").send().status, 200);
}

#[test]
fn a_runner_that_takes_too_much_memory_is_replaced_and_no_request_fails() {
    // Any runner takes more than this.
    let small = json!({"cmd": demo(), "max_rss": "1m"});
    let gateway = started(gateway().config(json!({"ext-plugin": small})));
    let first = gateway.wait_runners(1)[0];
    let traffic = Traffic::start(gateway.client(), "/", 4);
    let line = gateway.wait_log("more than max_rss (1 MiB)");
    assert!(line.contains("WARN"), "{line}");
    until("another process serves", || {
        let pid = runners(&gateway)[0]["pid"].as_u64()?;
        (pid != u64::from(first.pid())).then_some(())
    });
    traffic.wait_more(20);
    let tally = traffic.stop();
    assert!(tally.only(200), "{tally:?}");
    eventually("the old one is gone", || !first.is_alive());
}

#[test]
fn a_plugin_that_is_not_in_the_list_is_refused_by_name() {
    let settings = json!({"plugins": ["ext-plugin-pre-req", "no-plugin-of-ours"]});
    let gateway = demo_runner()
        .config(settings)
        .routes(routes([answered("/", "said", None)]))
        .start();
    gateway.wait_log("there are no plugins of these names here: no-plugin-of-ours");
    let mut both = answered("/", "said", None);
    both["plugins"]["proxy-rewrite"] = json!({"uri": "/x"});
    gateway.write_routes(routes([both]));
    gateway.wait_log(
        "routes[0].plugins.proxy-rewrite: the plugin [proxy-rewrite] is switched off: \
         it is not in the list `plugins` of config.yaml",
    );
    // The list is read again with SIGHUP, and the routes with it.
    let all = json!({"plugins": ["ext-plugin-pre-req", "proxy-rewrite"]});
    gateway.write_config(with(json!({"ext-plugin": {"cmd": demo()}}), all));
    reload(&gateway, "1 routes applied");
    assert_eq!(gateway.get("/").send().status, 200);
}
