//! `check`, and `run` with a configuration that is no good.

use std::fs;
use std::path::Path;

use outrigger_harness::{Client, Exit, Program, Signal};
use tempfile::TempDir;

use crate::support::{OUTRIGGER, gateway};

/// The least that a `config.yaml` must say.
const CONFIG: &str =
    "deployment:\n  role: data_plane\n  role_data_plane: {config_provider: yaml}\n";

/// A folder with both files.
fn folder(config: &str, routes: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.yaml"), config).unwrap();
    fs::write(folder.path().join("apisix.yaml"), routes).unwrap();
    folder
}

/// What `outrigger check` says of them, with its exit status; their folder is
/// shown as `DIR`.
fn check(config: &str, routes: &str) -> (i32, String, String) {
    let folder = folder(config, routes);
    outrigger(folder.path(), &["check", "-c", "DIR/config.yaml"])
}

fn outrigger(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let folder = folder.to_str().unwrap();
    let args = args.iter().map(|arg| arg.replace("DIR", folder));
    let Exit {
        status,
        stdout,
        stderr,
    } = Program::new(OUTRIGGER).args(args).run();
    let shown = |text: String| text.replace(folder, "DIR");
    (
        status.code().expect("it exits"),
        shown(stdout),
        shown(stderr),
    )
}

#[test]
fn good_files_are_told_to_be_good() {
    let config = format!("{CONFIG}apisix:\n  enable_reuseport: true\n");
    let routes = "routes:\n  - {uri: /a, upstream: {nodes: {\"127.0.0.1:80\": 1}}}\n#END\n";
    let expected = "\
note: DIR/config.yaml:5:3: apisix.enable_reuseport: only nginx needs this; it has no effect here
DIR/config.yaml: ok
DIR/apisix.yaml: ok, 1 routes";
    let (code, stdout, stderr) = check(&config, routes);
    assert_eq!((code, stdout.as_str()), (0, expected), "{stderr}");
}

#[test]
fn everything_that_is_wrong_with_config_yaml_is_told_at_once() {
    let config = "\
apisix:
  node_listen: 99999
  ssl:
    listen: [{enable_http3: true}]
deployment:
  role: data_plane
  role_data_plane: {config_provider: yaml}
ext-plugin:
  cmnd: [\"./runner\"]
  timeout: {call: soon}
nginx_config:
  http:
    client_max_body_size: 10q
";
    let expected = "\
outrigger: DIR/config.yaml:2:3: apisix.node_listen: expected 99999 to be at most 65535
outrigger: DIR/config.yaml:4:15: apisix.ssl.listen[0].enable_http3: HTTP/3 is not supported: set it to false
outrigger: DIR/config.yaml:9:3: ext-plugin.cmnd: unknown property, did you mean \"cmd\"?
outrigger: DIR/config.yaml:10:13: ext-plugin.timeout.call: wrong type: expected integer, got string
outrigger: DIR/config.yaml:13:5: nginx_config.http.client_max_body_size: expected a size such as 1024, 8k, 10m or 1g";
    let (code, stdout, stderr) = check(config, "#END\n");
    assert_eq!((code, stderr.as_str(), stdout.as_str()), (1, expected, ""));
}

#[test]
fn everything_that_is_wrong_with_apisix_yaml_is_told_at_once() {
    let routes = "\
routes:
  - uri: /a
    methdos: [GET]
  - uri: /b
    upstream:
      nodes: {\"127.0.0.1:0\": 1}
#END
";
    let expected = "\
outrigger: DIR/apisix.yaml:2:5: routes[0]: at least one of \"plugins\", \"upstream\", \"upstream_id\", \"service_id\" and \"plugin_config_id\" is required
outrigger: DIR/apisix.yaml:3:5: routes[0].methdos: unknown property, did you mean \"methods\"?
outrigger: DIR/apisix.yaml:6:15: routes[1].upstream.nodes[\"127.0.0.1:0\"]: invalid port: expected a number from 1 to 65535";
    let (code, _, stderr) = check(CONFIG, routes);
    assert_eq!((code, stderr.as_str()), (1, expected));
}

#[test]
fn everything_that_is_wrong_with_plugins_is_told_at_once() {
    let routes = "\
routes:
  - uri: /a
    plugins:
      ext-plugin-pre-req: {conf: [{name: say}]}
      ext-plugin-post-req: {runner: java}
      proxy-rewrite: {uri: c}
#END
";
    let expected = "\
outrigger: DIR/apisix.yaml:4:35: routes[0].plugins.ext-plugin-pre-req.conf[0]: property \"value\" is required
outrigger: DIR/apisix.yaml:5:29: routes[0].plugins.ext-plugin-post-req.runner: there is no runner of this name in config.yaml (ext-plugin.runners); there are: default
outrigger: DIR/apisix.yaml:6:23: routes[0].plugins.proxy-rewrite.uri: failed to match pattern \"^\\\\/.*\" with \"c\"";
    let (code, _, stderr) = check(CONFIG, routes);
    assert_eq!((code, stderr.as_str()), (1, expected));
}

#[test]
fn what_is_wrong_with_both_files_is_told_at_once() {
    let config = format!("{CONFIG}apisix: {{node_listen: 0x, enable_ipv6: '${{{{GONE}}}}'}}\n");
    let routes = "routes:\n  - {uri: 7}\n  - {urii: /a}\n#END\n";
    let (code, stdout, stderr) = check(&config, routes);
    let places: Vec<_> = stderr
        .lines()
        .map(|line| line.split(": ").nth(1).unwrap())
        .collect();
    let expected = [
        "DIR/config.yaml:4:10",
        "DIR/config.yaml:4:27",
        "DIR/apisix.yaml:2:6",
        "DIR/apisix.yaml:3:6",
    ];
    assert_eq!((code, stdout.as_str()), (1, ""));
    for expected in expected {
        assert!(places.contains(&expected), "{expected}: {stderr}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["check", "run"] {
        let (code, _, stderr) = outrigger(folder.path(), &[command, "-c", "DIR/config.yaml"]);
        let expected =
            "outrigger: DIR/config.yaml: cannot be read: No such file or directory (os error 2)";
        assert_eq!((code, stderr.as_str()), (1, expected));
    }
    fs::write(folder.path().join("config.yaml"), CONFIG).unwrap();
    let (code, _, stderr) = outrigger(folder.path(), &["check", "-c", "DIR/config.yaml"]);
    let expected =
        "outrigger: DIR/apisix.yaml: cannot be read: No such file or directory (os error 2)";
    assert_eq!((code, stderr.as_str()), (1, expected));
}

#[test]
fn a_gateway_does_not_start_with_a_bad_config_yaml() {
    let exit = gateway().config("nginx_confg: {}").run();
    assert_eq!(exit.status.code(), Some(1), "{exit:?}");
    assert!(
        exit.stderr.contains("config.yaml:1:1: nginx_confg: "),
        "{exit:?}"
    );
    assert!(
        exit.stderr.contains("nginx_config"),
        "the nearest name: {exit:?}"
    );
}

#[test]
fn a_gateway_does_not_start_with_a_bad_apisix_yaml() {
    let exit = gateway().routes("routes: [{uri: /}]").run();
    assert_eq!(exit.status.code(), Some(1), "{exit:?}");
    assert!(exit.stderr.contains("apisix.yaml:1:"), "{exit:?}");
    assert!(exit.stderr.contains(": routes[0]: "), "{exit:?}");
}

#[test]
fn a_gateway_does_not_start_where_another_listens() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let apisix = format!(
        "apisix: {{node_listen: [{{ip: 127.0.0.1, port: {}}}]}}",
        address.port()
    );
    let exit = gateway().config(apisix).run();
    assert_eq!(exit.status.code(), Some(1), "{exit:?}");
    assert!(
        exit.stderr.contains(&format!("cannot listen on {address}")),
        "{exit:?}"
    );
    assert!(
        exit.stderr.contains("another process listens there"),
        "{exit:?}"
    );
}

#[test]
fn a_command_that_is_none_is_refused() {
    let exit = Program::new(OUTRIGGER).arg("serve").run();
    assert_eq!(exit.status.code(), Some(2), "{exit:?}");
    assert!(exit.stderr.contains("serve"), "{exit:?}");
}

#[test]
fn a_log_level_that_is_none_is_refused() {
    let exit = Program::new(OUTRIGGER)
        .args(["--log", "outrigger=loud", "check"])
        .run();
    assert_eq!(exit.status.code(), Some(1), "{exit:?}");
    assert!(exit.stderr.contains("loud"), "{exit:?}");
}

#[test]
fn the_demo_shows_a_request_and_serves_until_it_is_told_to_stop() {
    let demo = Program::new(OUTRIGGER).arg("demo").start();
    demo.stdout().wait("Ctrl-C ends the demo.");
    let story = demo.stdout().text();
    for part in [
        "plugin    saw        GET /hello/world",
        "x-plugin-was-here: yes",
        "200 OK",
    ] {
        assert!(story.contains(part), "{part} is missing in:\n{story}");
    }
    let line = demo.stdout().wait("curl -i http://");
    let url = line.trim().trim_start_matches("curl -i http://");
    let address = url.split('/').next().unwrap().parse().unwrap();
    let said = Client::new(address).get("/say").send();
    assert_eq!(said.text(), "said by the plugin, not by the upstream\n");
    let processes = demo.process().descendants();
    assert_eq!(processes.len(), 1, "the runner");
    demo.signal(Signal::INT);
    let exit = demo.wait();
    assert_eq!(exit.status.code(), Some(0), "{exit:?}");
    assert!(!processes[0].is_alive());
}

#[test]
fn the_demo_runner_says_what_it_needs() {
    let exit = Program::new(OUTRIGGER)
        .arg("demo-runner")
        .without_env("APISIX_LISTEN_ADDRESS")
        .run();
    assert_eq!(exit.status.code(), Some(1), "{exit:?}");
    assert!(exit.stderr.contains("APISIX_LISTEN_ADDRESS"), "{exit:?}");
}
