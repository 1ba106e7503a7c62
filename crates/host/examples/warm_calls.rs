//! What a call costs the gateway, once connections and tokens are there: CPU
//! time of the calling thread, and with `strace -f -c` its system calls.
//!
//! `cargo run --release -p outrigger-host --example warm_calls -- [CALLS] [AT ONCE]`
//!
//! The runner is a thread per connection that lets every request go on.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program to be looked at"
)]

use std::borrow::Cow;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use outrigger_a6::{
    ConfToken, Decode as _, Encoder, Entries, Entry, FrameDecoder, Method, RpcType, http_req_call,
    prepare_conf,
};
use outrigger_host::{
    Answers, BodyError, CallError, CallOptions, Conf, Connections, Runner, Settings,
};
use tokio::task::LocalSet;

struct NoAnswers;

impl Answers for NoAnswers {
    async fn var(&mut self, _name: &[u8]) -> Option<Cow<'_, [u8]>> {
        None
    }

    async fn request_body(&mut self) -> Result<Option<Bytes>, BodyError> {
        Ok(None)
    }

    async fn response_body(&mut self) -> Result<Option<Bytes>, BodyError> {
        Ok(None)
    }
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse().unwrap());
    let calls: usize = args.next().unwrap_or(100_000);
    let at_once: usize = args.next().unwrap_or(1);

    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("runner.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(|| serve(stream));
        }
    });

    let runner = Runner::new("demo", Settings::default(), Arc::new(()));
    runner.listening(0, socket);
    let conf = Conf::new("demo".to_owned(), vec![("say".to_owned(), "{}".to_owned())]);
    let connections = Rc::new(Connections::new());

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        call(&connections, &runner, &conf).await.unwrap();
        let (cpu, clock) = (thread_cpu(), Instant::now());
        let callers: Vec<_> = (0..at_once)
            .map(|_| {
                let connections = Rc::clone(&connections);
                let (runner, conf) = (Arc::clone(&runner), Arc::clone(&conf));
                tokio::task::spawn_local(async move {
                    for _ in 0..calls / at_once {
                        call(&connections, &runner, &conf).await.unwrap();
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        let calls = u32::try_from(calls / at_once * at_once).unwrap();
        let (cpu, clock) = ((thread_cpu() - cpu) / calls, clock.elapsed() / calls);
        println!("{calls} calls, {at_once} at once: CPU {cpu:?} a call, elapsed {clock:?} a call");
    });
}

async fn call(connections: &Connections, runner: &Runner, conf: &Conf) -> Result<(), CallError> {
    let headers: [_; 8] = [
        ("host", "api.example.com"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        ),
        (
            "accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "0190a0b0-7c3e-7b1a-9d6d-1f1f0c4b7a52"),
    ]
    .map(|(name, value)| Entry {
        name: name.as_bytes(),
        value: Some(value.as_bytes()),
    });
    let request = http_req_call::Request {
        src_ip: &[203, 0, 113, 7],
        method: Method::Get,
        path: b"/orders/42",
        headers: Entries::from(&headers),
        ..Default::default()
    };
    connections
        .request_call(
            runner,
            conf,
            &CallOptions::default(),
            request,
            &mut NoAnswers,
            |_| (),
        )
        .await
        .1
}

fn serve(mut stream: UnixStream) {
    let (mut decoder, mut encoder) = (FrameDecoder::new(), Encoder::new());
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(read) => decoder.feed(&buffer[..read]),
        }
        while let Some(frame) = decoder.next_frame().unwrap() {
            let answer = match frame.ty {
                RpcType::PrepareConf => encoder.encode(&prepare_conf::Response {
                    conf_token: ConfToken(1),
                }),
                _ => {
                    let call = http_req_call::Request::decode(frame.payload).unwrap();
                    encoder.encode(&http_req_call::Response {
                        id: call.id,
                        action: None,
                    })
                }
            };
            stream.write_all(answer.unwrap()).unwrap();
        }
    }
}

/// CPU time of this thread, user and system.
fn thread_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}
