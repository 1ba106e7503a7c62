//! Our own runner keeps every rule: with plugins for all that a plugin can do.

use std::collections::BTreeMap;

use outrigger_conform::{Options, Profile, Target, run};
use outrigger_runner::{NoConf, Plugin, Request, Response, Result, Runner};
use serde::Deserialize;

use crate::role;
use crate::support::{is_right, patient};

/// What a plugin does to a request, or to a response.
struct Does;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conf {
    #[serde(default)]
    stop: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    #[serde(default)]
    args: BTreeMap<String, Option<String>>,
    #[serde(default)]
    response_headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    variables: Vec<String>,
    #[serde(default)]
    read_body: bool,
    #[serde(default)]
    wait_ms: u64,
    #[serde(default)]
    fail: bool,
    #[serde(default)]
    status: Option<u16>,
}

impl Plugin for Does {
    type Conf = Conf;

    fn name(&self) -> &str {
        "does"
    }

    async fn request(&self, conf: &Conf, request: &mut Request) -> Result {
        if conf.fail {
            return Err("told to".into());
        }
        tokio::time::sleep(std::time::Duration::from_millis(conf.wait_ms)).await;
        for name in &conf.variables {
            request.var(name).await?;
        }
        if conf.read_body {
            let length = request.body().await?.len().to_string();
            request.headers_mut().set("x-length", length);
        }
        if let Some(path) = &conf.path {
            request.set_path(path);
        }
        for (name, value) in &conf.headers {
            match value {
                Some(value) => request.headers_mut().set(name, value),
                None => drop(request.headers_mut().remove(name)),
            }
        }
        for (name, value) in &conf.args {
            match value {
                Some(value) => request.args_mut().set(name, value),
                None => drop(request.args_mut().remove(name)),
            }
        }
        for (name, value) in &conf.response_headers {
            request.response_headers_mut().set(name, value);
        }
        if let Some(body) = &conf.body {
            request.set_body(body.clone());
        }
        if let Some(body) = &conf.stop {
            request
                .stop(403)
                .header("x-why", "because")
                .body(body.clone());
        }
        Ok(())
    }

    async fn response(&self, conf: &Conf, response: &mut Response) -> Result {
        if conf.read_body {
            response.body().await?;
        }
        if let Some(status) = conf.status {
            response.set_status(status);
        }
        for (name, value) in &conf.headers {
            match value {
                Some(value) => response.headers_mut().set(name, value),
                None => drop(response.headers_mut().remove(name)),
            }
        }
        if let Some(body) = &conf.body {
            response.set_body(body.clone());
        }
        Ok(())
    }
}

/// Does nothing.
struct Idle;

impl Plugin for Idle {
    type Conf = NoConf;

    fn name(&self) -> &str {
        "idle"
    }
}

/// A runner with both.
pub(crate) fn runner() -> Runner {
    Runner::new().plugin(Does).plugin(Idle)
}

const PROFILE: &str = "
plugins:
  stop: {conf: [{name: does, value: {stop: 'no'}}], expect: {status: 403, headers: {x-why: because}, body: 'no'}}
  rewrite-path: {conf: [{name: does, value: {path: /b}}], expect: {path: /b}}
  rewrite-headers:
    conf: [{name: does, value: {headers: {x-new: '1', x-old: null}}}]
    expect: {headers: {x-new: '1', x-old: null}}
  rewrite-args: {conf: [{name: does, value: {args: {a: '1', b: null}}}], expect: {args: {a: '1', b: null}}}
  rewrite-body: {conf: [{name: does, value: {body: b}}], expect: {body: b}}
  rewrite-response-headers:
    conf: [{name: does, value: {response_headers: {x-late: '1'}}}]
    expect: {headers: {x-late: '1'}}
  ask-variable: {conf: [{name: does, value: {variables: [uri, args]}}], expect: {variables: [args, uri]}}
  ask-request-body: {conf: [{name: does, value: {read_body: true}}], expect: {length_in: x-length}}
  ask-response-body: {conf: [{name: does, value: {read_body: true}}]}
  change-response:
    conf: [{name: does, value: {status: 203, headers: {x-new: '1', x-old: null}, body: b}}]
    expect: {status: 203, headers: {x-new: '1', x-old: null}, body: b}
  wait: {conf: [{name: does, value: {wait_ms: 300}}]}
  fail: {conf: [{name: does, value: {fail: true}}]}
  refuse-conf: {conf: [{name: does, value: {no_such_property: 1}}]}
  chain:
    conf: [{name: does, value: {headers: {x: a}}}, {name: idle}, {name: does, value: {headers: {x: b}}}]
    expect: {headers: {x: b}}
";

#[tokio::test(flavor = "multi_thread")]
async fn our_runner_keeps_every_rule() {
    let options = Options {
        times: patient(),
        profile: Profile::parse("profile", PROFILE).unwrap(),
        ..Options::default()
    };
    let target = Target::Command(role::command("sdk"));
    let report = run(target, options, |_| {}).await.unwrap();
    let counts = report.counts();
    for played in report.played() {
        // A few at a time is what a busy machine makes of it.
        let rule = played.rule().name;
        assert!(
            is_right(played.verdict()) || (rule == "waiting-calls" && counts.wrong == 0),
            "{}",
            report.table()
        );
    }
    assert!(report.passed());
}
