//! The session that golden captures are recorded from: one of each kind of
//! exchange, so that the frames stay few enough to be read.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;

use outrigger_a6::http_resp_call as response_call;
use outrigger_a6::{ConfToken, Decode, Encode, Encoder, Entry, extra_info, prepare_conf};
use serde_json::json;

use crate::limits;
use crate::program::Program;
use crate::record::read_frame;
use crate::stage::{Mode, Setting, Stage};

/// Records frames of `program` into `folder`, which must not hold any yet.
///
/// # Errors
/// The folder cannot be used.
///
/// # Panics
/// If an exchange does not go as it should.
pub(crate) fn record(program: &Program, folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let taken = fs::read_dir(folder).is_ok_and(|mut entries| {
        entries
            .any(|entry| entry.is_ok_and(|entry| entry.path().extension() == Some("bin".as_ref())))
    });
    if taken {
        return Err(format!("{} holds frames already", folder.display()));
    }
    let setting = Setting {
        record: Some(folder.to_owned()),
        ..Setting::default()
    };
    let stage = Stage::with(program, Mode::Path, setting);
    through_the_gateway(&stage);
    by_hand(&stage);
    Ok(())
}

fn through_the_gateway(stage: &Stage<'_>) {
    let get = |target: &str| stage.gateway.get(target).send();
    let stop = json!({"status": 418, "headers": {"X-Tea": "green"}, "body": "a teapot\n"});
    stage.plugins(&[("conf-stop", stop)]);
    assert_eq!(get("/tea").status, 418);
    let rewrite = json!({
        "path": "/a b/ü",
        "headers": {"X-New": "1", "X-Gone": null},
        "args": {"new": "1", "gone": null},
    });
    stage.plugins(&[("conf-rewrite", rewrite)]);
    let request = stage.gateway.get("/old?gone=1&x=1&x=2&y&z=");
    request.header("X-Gone", "1").header("X-Gone", "2").send();
    stage.plugins(&[("conf-vars", json!({"vars": ["remote_addr", "arg_color"]}))]);
    get("/vars?color=red");
    stage.plugins(&[("conf-body", json!({}))]);
    stage.gateway.post("/echo").body("a body\n").send();
    stage.gateway.post("/echo").body("").send();
    stage.plugins(&[("conf-wait", json!({"ms": 0}))]);
    assert_eq!(get("/hello").status, 200);
    stage.plugins(&[("conf-response-body", json!({}))]);
    assert_eq!(get("/hello").status, 200);
    stage.plugins(&[("conf-fail", json!({"how": "throw"}))]);
    assert_eq!(get("/hello").status, 503);
}

/// What the gateway does not send by itself: a token that the runner never gave,
/// and calls about responses.
fn by_hand(stage: &Stage<'_>) {
    let mut host = Host::connect(stage);
    host.respond(ConfToken(1), b"");
    let changed = r#"{"status":201,"headers":{"X-New":"1","X-Gone":null},"body":"a new body\n"}"#;
    for (plugin, conf) in [("conf-response", changed), ("conf-response-body", "{}")] {
        let token = Host::connect(stage).prepare(plugin, conf);
        host.respond(token, b"as it was\n");
    }
}

struct Host {
    stream: UnixStream,
    encoder: Encoder,
}

impl Host {
    fn connect(stage: &Stage<'_>) -> Self {
        let stream = UnixStream::connect(stage.recorded_socket()).expect("the recorder listens");
        let limit = Some(limits::RECORD_WAIT);
        stream.set_read_timeout(limit).expect("the limit is not 0");
        Self {
            stream,
            encoder: Encoder::new(),
        }
    }

    fn send(&mut self, message: &impl Encode) {
        let frame = self.encoder.encode(message).expect("it fits into a frame");
        std::io::Write::write_all(&mut self.stream, frame).expect("the recorder reads");
    }

    fn receive(&mut self) -> Vec<u8> {
        read_frame(&mut self.stream).expect("the runner answers")
    }

    fn prepare(&mut self, plugin: &str, conf: &str) -> ConfToken {
        let entry = [Entry {
            name: plugin.as_bytes(),
            value: Some(conf.as_bytes()),
        }];
        let key = format!("route#{plugin}#ext-plugin-post-resp#1");
        self.send(&prepare_conf::Request {
            conf: (&entry).into(),
            key: key.as_bytes(),
        });
        let frame = self.receive();
        let reply = prepare_conf::Response::decode(&frame[4..]);
        reply.expect("the runner answers with a token").conf_token
    }

    /// Calls with a response, and answers one question about its body.
    fn respond(&mut self, conf_token: ConfToken, body: &[u8]) {
        let headers = [
            Entry {
                name: b"Content-Type",
                value: Some(b"text/plain"),
            },
            Entry {
                name: b"X-Gone",
                value: Some(b"1"),
            },
        ];
        self.send(&response_call::Request {
            id: 9,
            status: 200,
            headers: (&headers).into(),
            conf_token,
        });
        if self.receive()[0] == 3 {
            self.send(&extra_info::Response { result: Some(body) });
            self.receive();
        }
    }
}
