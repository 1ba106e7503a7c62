//! The runner's process: where it listens, how it ends, and what it leaves.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::time::Duration;

use outrigger_a6::error::Code;
use tokio::time::Instant;

use crate::bench::{Bench, request};
use crate::limits;
use crate::process::{Process, ended};
use crate::profile::Conf;
use crate::rule::Rule;
use crate::verdict::{Fault, Outcome, Seen, differently, not_tested, wrong};
use crate::wire::{Reaction, Wire};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        "socket-file",
        "listens at a socket of its own user that others cannot write to",
        |bench| Box::pin(socket_file(bench)),
    ),
    Rule::new(
        "listens-where-told",
        "listens, itself or a process of its group, where APISIX_LISTEN_ADDRESS says",
        |bench| Box::pin(listens_where_told(bench)),
    )
    .command(),
    Rule::new(
        "without-input",
        "lives on although its standard input has nothing and is at its end",
        |bench| Box::pin(without_input(bench)),
    )
    .command(),
    Rule::new(
        "first-token",
        "does not give its first token again after a restart",
        |bench| Box::pin(first_token(bench)),
    )
    .command(),
    Rule::new(
        "conf-lifetime",
        "keeps a configuration for APISIX_CONF_EXPIRE_TIME at least, and 1.2 times as long at most",
        |bench| Box::pin(conf_lifetime(bench)),
    )
    .command(),
    Rule::new(
        "stale-socket",
        "listens where the socket of a process lies that was killed",
        |bench| Box::pin(stale_socket(bench)),
    )
    .command(),
    Rule::new("sigterm", "ends within a second of SIGTERM", |bench| {
        Box::pin(sigterm(bench))
    })
    .command(),
    Rule::new(
        "removes-socket",
        "removes its socket when it ends on SIGTERM",
        |bench| Box::pin(removes_socket(bench)),
    )
    .command(),
    Rule::new(
        "leaves-successor",
        "leaves a socket alone that another process has put in the place of its own",
        |bench| Box::pin(leaves_successor(bench)),
    )
    .command(),
    Rule::new(
        "restart-same-path",
        "listens again at the path where it was stopped",
        |bench| Box::pin(restart_same_path(bench)),
    )
    .command(),
];

async fn socket_file(bench: &Bench) -> Outcome {
    let found = std::fs::symlink_metadata(&bench.socket);
    let file = match found {
        Ok(file) => file,
        Err(error) => return not_tested(format!("{}: {error}", bench.socket.display())),
    };
    if !file.file_type().is_socket() {
        // A link to one, say.
        return differently("the path is not a socket itself");
    }
    let (_, user) = peer(&bench.connect().await?)?;
    if file.uid() != user {
        let owner = file.uid();
        return wrong(format!(
            "the socket belongs to user {owner}, its process to {user}"
        ));
    }
    // Whoever may write may connect.
    match file.mode() & 0o022 {
        0 => Ok(Seen::Right),
        _ => differently(format!(
            "others may connect, its mode is {:o}: hosts must keep the folder private",
            file.mode() & 0o7777
        )),
    }
}

async fn listens_where_told(bench: &Bench) -> Outcome {
    let process = bench.another("told.sock").await?;
    let wire = Wire::connect(&process.socket, bench.times).await?;
    match peer(&wire)? {
        (Some(pid), _) if process.owns(pid) => Ok(Seen::Right),
        (Some(pid), _) => differently(format!(
            "process {pid} listens, which is outside its group: hosts cannot stop it"
        )),
        (None, _) => not_tested("needs a system that tells who listens"),
    }
}

fn peer(wire: &Wire) -> Result<(Option<i32>, u32), Fault> {
    wire.peer()
        .map_err(|error| Fault::NotTested(format!("the system does not tell who listens: {error}")))
}

async fn without_input(bench: &Bench) -> Outcome {
    let mut process = bench.another("input.sock").await?;
    tokio::time::sleep(bench.times.idle).await;
    match process.exited() {
        None => Ok(Seen::Right),
        Some(status) => wrong(format!(
            "it ended with {} soon after it listened",
            ended(status)
        )),
    }
}

async fn first_token(bench: &Bench) -> Outcome {
    let process = bench.another("token.sock").await?;
    let token = bench
        .prepare_at(&process.socket, &Conf::new(), &bench.key())
        .await?;
    match bench.first_token.get() {
        None => not_tested("needs a runner that gives a token for a configuration without plugins"),
        Some(first) if first == token => differently(format!(
            "every process begins with token {token}: hosts must forget the tokens of one that ended"
        )),
        Some(_) => Ok(Seen::Right),
    }
}

async fn conf_lifetime(bench: &Bench) -> Outcome {
    let lifetime = bench.times.conf_lifetime;
    let process = bench.another("lifetime.sock").await?;
    let prepare = || async {
        let before = Instant::now();
        let token = bench
            .prepare_at(&process.socket, &Conf::new(), &bench.key())
            .await?;
        Ok::<_, Fault>((before, token))
    };
    // One to be looked at in time, one to be left alone until it has to be gone:
    // looking may prolong it.
    let (before, early) = prepare().await?;
    let (_, late) = prepare().await?;
    let prepared = Instant::now();
    tokio::time::sleep_until(before + lifetime.mul_f64(0.75)).await;
    let mut wire = Wire::connect(&process.socket, bench.times).await?;
    let in_time = wire.unchanged(early).await;
    // On a busy machine nobody was there in time.
    if before.elapsed() < lifetime {
        let when = lifetime.mul_f64(0.75);
        in_time.map_err(|fault| fault.during(format_args!("{when:?} of {lifetime:?}")))?;
    }
    // Whole seconds are as exact as its clock has to be.
    let gone = lifetime.mul_f64(1.2) + Duration::from_millis(1500);
    tokio::time::sleep_until(prepared + gone).await;
    let mut wire = Wire::connect(&process.socket, bench.times).await?;
    wire.send(&request(late)).await?;
    match wire.reaction().await {
        Reaction::Error(Code::ConfTokenNotFound) => Ok(Seen::Right),
        Reaction::Error(code) => wrong(format!("it answers {code} when a token has expired")),
        Reaction::Frame(_) => differently(format!(
            "it still knows a token after {gone:?} of {lifetime:?}"
        )),
        Reaction::Rubbish(error) => wrong(error.to_string()),
        Reaction::Closed => wrong("it closes the connection when a token has expired"),
        Reaction::Silence => wrong("it says nothing when a token has expired"),
    }
}

async fn stale_socket(bench: &Bench) -> Outcome {
    let mut before = bench.another("stale.sock").await?;
    before.kill().await;
    match bench.another_at(&before.socket).await {
        Ok(_) => Ok(Seen::Right),
        Err(Fault::Wrong(why)) => {
            differently(format!("{}: hosts must use a new path", first_line(&why)))
        }
        Err(fault) => Err(fault),
    }
}

async fn sigterm(bench: &Bench) -> Outcome {
    let mut process = bench.another("sigterm.sock").await?;
    terminate(&process)?;
    match process.ends_within(bench.times.stop).await {
        Some(took) if took <= limits::STOP_GRACE => Ok(Seen::Right),
        Some(took) => differently(format!(
            "it takes {took:.1?}: a host that waits {:?} kills it",
            limits::STOP_GRACE
        )),
        None => wrong(format!(
            "it is still there {:?} after SIGTERM",
            bench.times.stop
        )),
    }
}

async fn removes_socket(bench: &Bench) -> Outcome {
    let mut process = bench.another("removes.sock").await?;
    stop(bench, &mut process).await?;
    if process.socket.symlink_metadata().is_ok() {
        return differently("its socket stays: hosts must remove it");
    }
    Ok(Seen::Right)
}

async fn leaves_successor(bench: &Bench) -> Outcome {
    let mut process = bench.another("successor.sock").await?;
    let removed = std::fs::remove_file(&process.socket);
    let bound = removed.and_then(|()| std::os::unix::net::UnixListener::bind(&process.socket));
    let _successor = match bound {
        Ok(listener) => listener,
        Err(error) => return not_tested(format!("{}: {error}", process.socket.display())),
    };
    stop(bench, &mut process).await?;
    if process.socket.symlink_metadata().is_ok() {
        return Ok(Seen::Right);
    }
    differently("it removes its successor's socket: hosts must never use a path again")
}

async fn restart_same_path(bench: &Bench) -> Outcome {
    let mut before = bench.another("restart.sock").await?;
    stop(bench, &mut before).await?;
    match bench.another_at(&before.socket).await {
        Ok(_) => Ok(Seen::Right),
        Err(Fault::Wrong(why)) => {
            differently(format!("{}: hosts must use a new path", first_line(&why)))
        }
        Err(fault) => Err(fault),
    }
}

fn terminate(process: &Process) -> Result<(), Fault> {
    process
        .terminate()
        .map_err(|error| Fault::NotTested(format!("SIGTERM cannot be sent: {error}")))
}

/// Stops a process by SIGTERM.
async fn stop(bench: &Bench, process: &mut Process) -> Result<(), Fault> {
    terminate(process)?;
    match process.ends_within(bench.times.stop).await {
        Some(_) => Ok(()),
        None => not_tested("needs a runner that ends on SIGTERM"),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
