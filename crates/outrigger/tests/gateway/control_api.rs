//! The control API and the commands that use it.

use std::fs;
use std::net::TcpListener;

use outrigger_harness::{Exit, Gateway, Program, Signal, Upstream, eventually, until};
use serde_json::{Value, json};

use crate::runners::{Scripted, demo_runner};
use crate::support::{OUTRIGGER, all_to, external, gateway, nodes, plugin, route, routes, with};

/// What `outrigger …` says when it is to speak with this gateway.
fn outrigger(gateway: &Gateway, args: &[&str]) -> Exit {
    let address = gateway.control().address().to_string();
    let args = args.iter().copied().chain(["--control", &address]);
    Program::new(OUTRIGGER).args(args).run()
}

/// What it prints when all is well.
#[track_caller]
fn told(gateway: &Gateway, args: &[&str]) -> String {
    let exit = outrigger(gateway, args);
    assert!(exit.status.success(), "{exit:?}");
    exit.stdout
}

/// What it complains of.
#[track_caller]
fn complaint(exit: &Exit) -> &str {
    assert_eq!(exit.status.code(), Some(1), "{exit:?}");
    assert_eq!(exit.stdout, "", "{exit:?}");
    exit.stderr.trim_end()
}

/// The runners as the API shows them.
fn runners(gateway: &Gateway) -> Vec<Value> {
    let response = gateway.control().get("/v1/runners").send();
    assert_eq!(response.status, 200, "{response:?}");
    response.json().as_array().unwrap().clone()
}

/// Waits until the only runner is in this state, and returns what is told of it.
#[track_caller]
fn wait_state(gateway: &Gateway, state: &str) -> Value {
    until(&format!("the runner is {state}"), || {
        let all = runners(gateway);
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().find(|runner| runner["state"] == state)
    })
}

/// A gateway whose every answer comes from a plugin in the demo runner.
fn demo() -> Gateway {
    let upstream = json!({"nodes": {"127.0.0.1:1": 1}});
    let say = external([plugin("say", json!({"body": "said"}))]);
    let plugins = json!({"plugins": {"ext-plugin-pre-req": say}});
    let gateway = demo_runner()
        .routes(routes([with(route("/*", upstream), plugins)]))
        .start();
    eventually("the runner answers", || {
        gateway.get("/").send().status == 200
    });
    gateway
}

#[test]
fn runners_are_listed_with_their_processes() {
    let gateway = demo();
    let runner = wait_state(&gateway, "running");
    let process = gateway.runners()[0];
    assert_eq!(runner["name"], "default");
    assert_eq!(runner["pid"], process.pid());
    assert_eq!(runner["restarts"], 0);
    assert!(runner["since"].as_u64().is_some(), "{runner}");
    let table = told(&gateway, &["runner", "list"]);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("NAME "), "{table}");
    let pid = process.pid().to_string();
    let cells: Vec<_> = lines[1].split_whitespace().collect();
    assert_eq!(cells[..3], ["default", "running", &pid], "{table}");
}

#[test]
fn a_runner_is_restarted_stopped_and_started() {
    let gateway = demo();
    let first = wait_state(&gateway, "running");

    told(&gateway, &["runner", "restart", "default"]);
    let second = until("another process serves", || {
        let runner = wait_state(&gateway, "running");
        (runner["pid"] != first["pid"]).then_some(runner)
    });
    assert_eq!(second["restarts"], 1);
    assert!(second["generation"].as_u64() > first["generation"].as_u64());
    assert_eq!(gateway.get("/").send().status, 200);

    told(&gateway, &["runner", "stop", "default"]);
    let stopped = wait_state(&gateway, "stopped");
    assert_eq!(stopped["pid"], Value::Null);
    gateway.wait_runners(0);
    assert_eq!(gateway.get("/").send().status, 503);

    told(&gateway, &["runner", "start", "default"]);
    wait_state(&gateway, "running");
    assert_eq!(gateway.get("/").send().status, 200);
}

#[test]
fn what_is_no_runner_of_the_gateway_takes_no_commands() {
    let runner = Scripted::start();
    let gateway = runner.gateway().start();
    let shown = wait_state(&gateway, "external");
    let path = runner.path().display().to_string();
    assert_eq!(shown["socket"], json!(path));
    let exit = outrigger(&gateway, &["runner", "stop", "default"]);
    let said = complaint(&exit);
    assert!(
        said.contains("started by others") && said.contains(&path),
        "{said}"
    );
    let exit = outrigger(&gateway, &["runner", "restart", "java"]);
    assert_eq!(
        complaint(&exit),
        "outrigger: there is no runner \"java\"; there are: default"
    );
}

#[test]
fn a_reload_restarts_runners_as_sighup_does() {
    let gateway = demo();
    let before = wait_state(&gateway, "running");
    assert_eq!(told(&gateway, &["reload"]).trim_end(), "reloaded");
    until("another process serves", || {
        let runner = wait_state(&gateway, "running");
        (runner["pid"] != before["pid"]).then_some(())
    });
    assert_eq!(gateway.get("/").send().status, 200);
}

#[test]
fn a_reload_of_a_broken_file_says_what_is_wrong_and_changes_nothing() {
    let gateway = demo();
    let before = wait_state(&gateway, "running");
    gateway.write_config(json!({"ext-plugin": {"cmnd": ["x"]}}));
    let exit = outrigger(&gateway, &["reload"]);
    let said = complaint(&exit);
    assert!(
        said.contains("config.yaml:") && said.contains("did you mean \"cmd\"?"),
        "{said}"
    );
    let after = wait_state(&gateway, "running");
    assert_eq!(after["pid"], before["pid"]);
    // It goes on to be told by signal, too.
    gateway.signal(Signal::HUP);
    gateway.wait_log("nothing was reloaded");
}

#[test]
fn the_routes_that_are_in_effect_can_be_looked_at() {
    let upstream = Upstream::echo();
    let gateway = gateway().routes(all_to(&upstream)).start();
    let control = gateway.control();
    let shown = control.get("/v1/routes").send().json();
    assert_eq!(shown.as_array().unwrap().len(), 1, "{shown}");
    assert_eq!(shown[0]["key"], "/routes/arr_1");
    assert_eq!(shown[0]["value"]["uri"], "/*");
    assert_eq!(shown[0]["value"]["upstream"], nodes(&[&upstream]));
    let first = shown[0]["modifiedIndex"].as_u64();

    gateway.set_routes(routes([with(
        route("/a", nodes(&[&upstream])),
        json!({"id": "mine"}),
    )]));
    let shown = control.get("/v1/route/mine").send().json();
    assert_eq!(shown["value"]["uri"], "/a");
    assert!(shown["modifiedIndex"].as_u64() > first, "{shown}");
    assert_eq!(control.get("/v1/route/arr_1").send().status, 404);
    assert_eq!(control.get("/v1/services").send().json(), json!([]));

    gateway.write_routes("routes: [{uri: 7}]");
    gateway.wait_log("not applied");
    assert_eq!(control.get("/v1/route/mine").send().status, 200);
}

#[test]
fn web_pages_are_kept_out() {
    let gateway = gateway().start();
    let control = gateway.control();
    for (name, value) in [("Origin", "http://127.0.0.1"), ("Host", "evil.test")] {
        let response = control.get("/v1/runners").header(name, value).send();
        assert_eq!(response.status, 403, "{name}: {response:?}");
    }
    assert_eq!(control.get("/v1/runners").send().status, 200);
}

#[test]
fn the_api_can_be_switched_off() {
    let gateway = gateway()
        .config("apisix: {node_listen: [{ip: 127.0.0.1, port: 0}], enable_control: false}")
        .start();
    assert!(gateway.log().containing("control API").is_empty());
    let config = gateway.folder().join("config.yaml");
    let exit = Program::new(OUTRIGGER)
        .arg("reload")
        .arg("-c")
        .arg(config)
        .run();
    let said = complaint(&exit);
    assert!(
        said.contains("the control API is off (apisix.enable_control)"),
        "{said}"
    );
}

#[test]
fn an_address_that_was_asked_for_and_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let exit = gateway()
        .config(format!(
            "apisix: {{node_listen: [{{ip: 127.0.0.1, port: 0}}], control: {{port: {port}}}}}"
        ))
        .run();
    let said = complaint(&exit);
    assert!(
        said.contains(&format!(
            "cannot listen on 127.0.0.1:{port} for the control API"
        )),
        "{said}"
    );
}

#[test]
fn the_commands_say_what_to_do_where_nobody_answers() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let command = |args: &[&str]| Program::new(OUTRIGGER).args(args).run();
    let exit = command(&["runner", "list", "--control", &address.to_string()]);
    let said = complaint(&exit);
    assert!(
        said.contains(&format!(
            "nobody listens at {address}: is the gateway running"
        )),
        "{said}"
    );

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    let deployment = "deployment: {role: data_plane, role_data_plane: {config_provider: yaml}}\n";
    let config_path = config.to_str().unwrap();
    fs::write(
        &config,
        format!("{deployment}apisix: {{control: {{port: 0}}}}\n"),
    )
    .unwrap();
    let exit = command(&["reload", "-c", config_path]);
    let said = complaint(&exit);
    assert!(said.contains("from the gateway's log"), "{said}");
    fs::write(
        &config,
        format!(
            "{deployment}apisix: {{control: {{port: {}}}}}\n",
            address.port()
        ),
    )
    .unwrap();
    let exit = command(&["reload", "-c", config_path]);
    let said = complaint(&exit);
    assert!(
        said.contains(&format!("nobody listens at {address}")),
        "{said}"
    );

    let upstream = Upstream::echo();
    let exit = command(&["runner", "list", "--control", &upstream.node()]);
    let said = complaint(&exit);
    assert!(said.contains("this is not the control API"), "{said}");
}
