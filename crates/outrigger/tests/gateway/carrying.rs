//! `export`, `import` and `check`, with the gateway running and not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use outrigger_harness::{Client, Exit, Program, Running, Upstream};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{OUTRIGGER, gateway, nodes, route, with};

const KEY: &str = "a-key-of-this-test";

/// A gateway's folder, with a gateway that runs in it or not.
struct Place {
    folder: TempDir,
}

struct Started {
    running: Running,
    admin: Client,
    data: Client,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sockets = folder.path().display();
        let config = format!(
            "apisix: {{node_listen: [{{ip: 127.0.0.1, port: 0}}], control: {{port: 0}}}}\n\
             outrigger: {{workers: 1, runtime_dir: {sockets}}}\n\
             plugin_attr: {{prometheus: {{export_addr: {{port: 0}}}}}}\n\
             deployment: {{admin: {{admin_listen: {{port: 0}}, admin_key: [{{key: {KEY}}}]}}}}\n"
        );
        fs::write(folder.path().join("config.yaml"), config).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn start(&self) -> Started {
        let config = self.path("config.yaml");
        let running = Program::new(OUTRIGGER)
            .arg("run")
            .arg("-c")
            .arg(config)
            .start();
        let client = |what: &str| {
            let line = running.stderr().wait(what);
            let url = line.split_once("http://").unwrap().1.to_owned();
            Client::new(url.trim().parse().unwrap())
        };
        Started {
            admin: client("Admin API: http://"),
            data: client("listening on http://"),
            running,
        }
    }

    /// What a command says: its status, standard output and standard error, with the
    /// folder as `DIR`.
    fn outrigger(&self, args: &[&str]) -> (i32, String, String) {
        let folder = self.folder.path().to_str().unwrap();
        let mut args: Vec<_> = args.iter().map(|arg| arg.replace("DIR", folder)).collect();
        args.extend(["-c".to_owned(), format!("{folder}/config.yaml")]);
        let Exit {
            status,
            stdout,
            stderr,
        } = Program::new(OUTRIGGER).args(args).run();
        let shown = |text: String| text.replace(folder, "DIR");
        let code = status.code().expect("it exits");
        (code, shown(stdout), shown(stderr))
    }

    /// What a command says that does what it is to do.
    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let (code, stdout, stderr) = self.outrigger(args);
        assert_eq!(code, 0, "{args:?}: {stdout}\n{stderr}");
        stdout
    }
}

impl Started {
    #[track_caller]
    fn put(&self, path: &str, body: &Value) {
        let target = format!("/apisix/admin/{path}");
        let request = self.admin.request("PUT", &target);
        let response = request.header("X-API-KEY", KEY).json(body).send();
        assert!(matches!(response.status, 200 | 201), "{path}: {response:?}");
    }

    fn get(&self, path: &str) -> Value {
        let target = format!("/apisix/admin/{path}");
        let request = self.admin.request("GET", &target);
        request.header("X-API-KEY", KEY).send().json()
    }
}

/// Some of everything, with a secret, to `upstream`.
fn fill(gateway: &Started, upstream: &Upstream) {
    gateway.put("upstreams/u", &nodes(&[upstream]));
    gateway.put("services/s", &json!({"upstream_id": "u"}));
    gateway.put("plugin_configs/p", &json!({"plugins": {"request-id": {}}}));
    gateway.put("consumer_groups/g", &json!({"plugins": {}}));
    let jack = json!({"username": "jack", "group_id": "g", "desc": "${{HOME}} is no variable"});
    gateway.put("consumers", &jack);
    let key = json!({"plugins": {"key-auth": {"key": "s3cret"}}});
    gateway.put("consumers/jack/credentials/c1", &key);
    let route = json!({
        "uri": "/closed", "service_id": "s", "plugin_config_id": "p", "plugins": {"key-auth": {}},
    });
    gateway.put("routes/closed", &route);
    gateway.put("routes/1", &json!({"uri": "/open", "upstream_id": "u"}));
    gateway.put(
        "global_rules/1",
        &json!({"plugins": {"response-rewrite": {"headers": {"set": {"X-Rule": "1"}}}}}),
    );
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_exported_is_the_same_after_it_was_imported_elsewhere() {
    let upstream = Upstream::echo();
    let from = Place::new();
    let gateway = from.start();
    fill(&gateway, &upstream);
    let (code, stdout, stderr) = from.outrigger(&["export", "-o", "DIR/running.yaml"]);
    let said = "DIR/running.yaml: 2 routes, 1 services, 1 upstreams, 1 plugin_configs, \
                1 global_rules, 1 consumers, 1 credentials, 1 consumer_groups; it holds secrets: keep it as you keep them";
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    assert_eq!(sorted(&stderr), sorted(said));
    assert_eq!(mode(&from.path("running.yaml")), 0o600);
    gateway.running.kill();
    drop(gateway);
    let running = fs::read_to_string(from.path("running.yaml")).unwrap();
    let stopped = from.done(&["export"]);
    assert_eq!(stopped.trim_end(), running.trim_end());
    assert!(running.contains("s3cret"), "it is of no use without them");

    // To one that is stopped, and was never run.
    let to = Place::new();
    to.write("in.yaml", &running);
    let said = to.done(&["import", "DIR/in.yaml"]);
    assert!(
        said.ends_with("DIR/in.yaml: imported (revision 1)"),
        "{said}"
    );
    assert_eq!(to.done(&["export"]).trim_end(), running.trim_end());
    // And to one that runs, as JSON.
    let json = to.done(&["export", "--format", "json"]);
    let other = Place::new();
    let gateway = other.start();
    other.write("in.json", &json);
    other.done(&["import", "DIR/in.json"]);
    assert_eq!(gateway.data.get("/open").send().header("x-rule"), Some("1"));
    assert_eq!(gateway.data.get("/closed").send().status, 401);
    let request = gateway.data.get("/closed").header("apikey", "s3cret");
    assert_eq!(request.send().status, 200);
    assert_eq!(upstream.last().header("x-consumer-username"), Some("jack"));
    let value = &gateway.get("consumers/jack")["value"];
    assert_eq!(value["desc"], "${{HOME}} is no variable");
    assert_eq!(other.done(&["export"]).trim_end(), running.trim_end());
    assert_eq!(
        other.done(&["import", "DIR/in.json"]).lines().last(),
        Some("DIR/in.json: nothing to do")
    );
    assert!(!gateway.running.stderr().text().contains("s3cret"));
}

/// The words of a text: counts come in the order of the store.
fn sorted(text: &str) -> Vec<String> {
    let mut words: Vec<_> = text
        .split([',', ';', ':'])
        .map(|it| it.trim().to_owned())
        .collect();
    words.sort();
    words
}

#[test]
fn an_export_is_an_apisix_yaml() {
    let upstream = Upstream::echo();
    let from = Place::new();
    let gateway = from.start();
    fill(&gateway, &upstream);
    let yaml = from.done(&["export"]);
    let json = from.done(&["export", "--format", "json"]);
    let provided = |provider: &str| {
        let role = json!({"role": "data_plane", "role_data_plane": {"config_provider": provider}});
        json!({"deployment": role})
    };
    let by_yaml = self::gateway().routes(yaml.as_str()).start();
    let by_json = self::gateway()
        .config(provided("json"))
        .file("apisix.json", json)
        .start();
    for gateway in [&by_yaml, &by_json] {
        assert_eq!(gateway.get("/open").send().header("x-rule"), Some("1"));
        let request = gateway.get("/closed").header("apikey", "s3cret");
        assert_eq!(request.send().status, 200);
    }
    // What comes out of a file is what was in it.
    let config = by_json.folder().join("config.yaml");
    let again = Program::new(OUTRIGGER).arg("export").arg("-c").arg(config);
    assert_eq!(again.run().stdout.trim_end(), yaml.trim_end());
}

#[test]
fn an_import_adds_and_changes_and_with_replace_deletes() {
    let upstream = Upstream::echo();
    let place = Place::new();
    let gateway = place.start();
    fill(&gateway, &upstream);
    let made = gateway.get("routes/1")["value"]["create_time"].clone();
    place.write(
        "in.yaml",
        "routes:\n  \
           - {id: 1, uri: /new, upstream_id: u}\n  \
           - {id: r2, uri: /r2, upstream_id: u, create_time: 5, update_time: 6}\n\
         upstreams:\n  \
           - {id: u2, nodes: {\"127.0.0.1:1\": 1}}\n#END\n",
    );
    let before = place.done(&["export"]);
    let said = place.done(&["import", "--dry-run", "DIR/in.yaml"]);
    let expected = "would add routes/r2\nwould add upstreams/u2\nwould change routes/1\n\
                    added: 1 routes, 1 upstreams\nchanged: 1 routes\n\
                    DIR/in.yaml: nothing was written (--dry-run)";
    assert_eq!(said, expected);
    assert_eq!(place.done(&["export"]), before);

    let said = place.done(&["import", "DIR/in.yaml"]);
    assert!(said.starts_with("added: 1 routes, 1 upstreams\nchanged: 1 routes\n"));
    assert_eq!(gateway.data.get("/new").send().status, 200);
    assert_eq!(gateway.data.get("/open").send().status, 404);
    assert_eq!(gateway.data.get("/closed").send().status, 401);
    assert_eq!(gateway.get("routes/1")["value"]["create_time"], made);
    assert_eq!(gateway.get("routes/r2")["value"]["create_time"], 5);
    assert_eq!(gateway.get("routes/r2")["value"]["update_time"], 6);

    // What is left names what would go.
    let (code, _, stderr) = place.outrigger(&["import", "--replace", "DIR/in.yaml"]);
    let line = "outrigger: DIR/in.yaml:2:24: routes[0].upstream_id: \
                there is no upstream with the id u";
    assert_eq!((code, stderr.lines().next()), (1, Some(line)), "{stderr}");
    assert_eq!(
        gateway.data.get("/closed").send().status,
        401,
        "nothing went"
    );
    place.write(
        "one.json",
        r#"{"routes": [{"id": "x", "uri": "/x", "plugins": {}}]}"#,
    );
    let said = place.done(&["import", "--replace", "DIR/one.json"]);
    assert!(said.contains("\ndeleted: "), "{said}");
    assert_eq!(gateway.get("routes")["total"], 1);
    assert_eq!(gateway.get("consumers")["total"], 0);
    assert_eq!(gateway.data.get("/closed").send().status, 404);
}

#[test]
fn everything_that_is_wrong_with_an_import_is_told_at_once_and_nothing_is_written() {
    let place = Place::new();
    for (text, expected) in [
        (
            "routes:\n  - uri: /a\n    plugins: {}\n  - {id: 1, uri: /, plugins: {}}\n  \
             - {id: '1', uri: /, plugins: {}}\n#END\n",
            vec![
                "2:5: routes[0]: an id is required: a store knows resources by their ids",
                "5:5: routes[2]: routes[1] is routes/1 too",
            ],
        ),
        (
            "routes:\n  - {id: 1, uri: 5, plugins: {}}\n  - {id: 2, uri: /, plugin: {}}\n#END\n",
            vec![
                "2:13: routes[0].uri: wrong type: expected string, got number",
                "3:5: routes[1]: at least one of \"plugins\", \"upstream\", \"upstream_id\", \
                 \"service_id\" and \"plugin_config_id\" is required",
                "3:21: routes[1].plugin: unknown property, did you mean \"plugins\"?",
            ],
        ),
        (
            "routes:\n  - {id: 1, uri: /, plugins: {no-such: {}}}\n  \
             - {id: 2, uri: /, service_id: none}\n  \
             - {id: 3, uri: /, plugins: {ext-plugin-pre-req: {runner: none}}}\n#END\n",
            vec![
                "2:31: routes[0].plugins.no-such",
                "3:21: routes[1].service_id",
                "4:52: routes[2].plugins.ext-plugin-pre-req.runner",
            ],
        ),
    ] {
        place.write("in.yaml", text);
        for args in [
            &["import", "DIR/in.yaml"][..],
            &["import", "--dry-run", "DIR/in.yaml"],
        ] {
            let (code, stdout, stderr) = place.outrigger(args);
            assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
            let lines: Vec<_> = stderr.lines().collect();
            assert_eq!(lines.len(), expected.len(), "{stderr}");
            for (line, expected) in lines.iter().zip(&expected) {
                let expected = format!("outrigger: DIR/in.yaml:{expected}");
                assert!(line.starts_with(&expected), "{line} is not {expected}");
            }
        }
    }
    let (code, _, stderr) = place.outrigger(&["import", "DIR/none.yaml"]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("DIR/none.yaml: cannot be read: "),
        "{stderr}"
    );
    assert!(!place.path("data").exists(), "nothing was made");
    let (code, _, stderr) = place.outrigger(&["export"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("there is no store yet"), "{stderr}");
    place.write("in.yaml", "routes: [{id: 1, uri: /, plugins: {}}]\n#END\n");
    place.done(&["import", "DIR/in.yaml"]);
    place.write("in.yaml", "#END\n");
    place.done(&["import", "--replace", "DIR/in.yaml"]);
    assert_eq!(place.done(&["export", "--format", "json"]), "{}");
}

#[test]
fn a_gateway_that_reads_a_file_imports_nothing() {
    let upstream = Upstream::echo();
    let gateway = gateway()
        .routes(json!({"routes": [route("/*", nodes(&[&upstream]))]}))
        .start();
    let config = gateway.folder().join("config.yaml");
    let file = gateway.folder().join("apisix.yaml");
    let import = Program::new(OUTRIGGER).arg("import").arg("-c").arg(config);
    let exit = import.arg(file).run();
    assert_eq!(exit.status.code(), Some(1));
    assert!(exit.stderr.contains("resources come from"), "{exit:?}");
}

#[test]
fn check_looks_into_the_store_of_a_gateway_that_runs_or_not() {
    let place = Place::new();
    let first_line = |args: &[&str]| {
        let (code, stdout, stderr) = place.outrigger(args);
        (
            code,
            stdout.lines().last().unwrap_or_default().to_owned(),
            stderr,
        )
    };
    let (code, said, _) = first_line(&["check"]);
    let none_yet = "DIR/data: ok, no resources (there is no store yet)";
    assert_eq!((code, said.as_str()), (0, none_yet));
    assert!(!place.path("data").exists(), "nothing was made");

    let gateway = place.start();
    let with_cors = with(
        route("/a", json!({"nodes": {"127.0.0.1:1": 1}})),
        json!({"plugins": {"cors": {}}}),
    );
    gateway.put("routes/a", &with_cors);
    gateway.put(
        "routes/b",
        &route("/b", json!({"nodes": {"127.0.0.1:1": 1}})),
    );
    let (code, said, stderr) = first_line(&["check"]);
    let running = "DIR/data: ok, 2 routes (a gateway runs on them)";
    assert_eq!((code, said.as_str()), (0, running), "{stderr}");
    gateway.running.kill();
    drop(gateway);
    let (code, said, _) = first_line(&["check"]);
    assert_eq!((code, said.as_str()), (0, "DIR/data: ok, 2 routes"));

    let more = json!({
        "routes": [{"id": "c", "uri": "/c", "service_id": "s"}],
        "services": [{"id": "s"}],
    });
    place.write("in.json", &more.to_string());
    place.done(&["import", "DIR/in.json"]);
    let gateway = place.start();
    let service = "/apisix/admin/services/s?force=true";
    let delete = gateway.admin.request("DELETE", service);
    assert_eq!(delete.header("X-API-KEY", KEY).send().status, 200);
    let (code, _, stderr) = first_line(&["check"]);
    let expected = "outrigger: DIR/data: route c: service_id: there is no service with the id s";
    assert_eq!((code, stderr.as_str()), (1, expected));
    gateway.running.kill();
    drop(gateway);

    let config = fs::read_to_string(place.path("config.yaml")).unwrap();
    place.write("config.yaml", &format!("{config}plugins: [key-auth]\n"));
    let (code, said, stderr) = first_line(&["check"]);
    assert_eq!((code, said.as_str()), (1, "DIR/data: 2 routes"));
    assert!(
        stderr.starts_with("outrigger: DIR/data: routes/a would be left out: plugins.cors"),
        "{stderr}"
    );
}

#[test]
fn check_says_when_it_could_not_look() {
    let place = Place::new();
    let gateway = place.start();
    fs::remove_file(place.path("data/gateway.sock")).unwrap();
    let (code, _, stderr) = place.outrigger(&["check"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("is used by another process"), "{stderr}");
    drop(gateway);
}
