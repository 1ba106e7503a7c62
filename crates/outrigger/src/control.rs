//! `outrigger reload` and `outrigger runner …`: a running gateway is asked
//! through its control API.

use std::collections::HashSet;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Method;
use outrigger_config::{ControlApi, Settings};
use serde::Deserialize;
use serde_json::Value;

use crate::Failure;
use crate::cli::{RunnerCommand, Target};
use crate::client::{self, Answer};
use crate::run::control_runtime;
use crate::source::env;

/// How long the gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A row of `GET /v1/runners`, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    instance: u32,
    state: String,
    pid: Option<u32>,
    generation: Option<u64>,
    restarts: u64,
    since: Option<u64>,
    in_flight: u64,
    queued: u64,
    breaker: Option<String>,
    trouble: Option<String>,
}

#[allow(
    clippy::print_stdout,
    reason = "what a command did goes to standard output"
)]
pub(crate) fn reload(target: &Target) -> Result<(), Failure> {
    ask(target, Method::POST, "/v1/reload")?;
    println!("reloaded");
    Ok(())
}

#[allow(
    clippy::print_stdout,
    reason = "what a command did goes to standard output"
)]
pub(crate) fn runner(command: RunnerCommand) -> Result<(), Failure> {
    let (verb, runner) = match command {
        RunnerCommand::List { target } => {
            let rows = serde_json::from_value(ask(&target, Method::GET, "/v1/runners")?);
            let rows =
                rows.map_err(|error| format!("this is not the control API of a gateway: {error}"))?;
            println!("{}", table(rows, now()));
            return Ok(());
        }
        RunnerCommand::Restart { runner } => ("restart", runner),
        RunnerCommand::Stop { runner } => ("stop", runner),
        RunnerCommand::Start { runner } => ("start", runner),
    };
    let name =
        percent_encoding::utf8_percent_encode(&runner.name, percent_encoding::NON_ALPHANUMERIC);
    ask(
        &runner.gateway,
        Method::POST,
        &format!("/v1/runners/{name}/{verb}"),
    )?;
    println!("{}: {verb} is under way", runner.name);
    Ok(())
}

/// The answer to one request, if the gateway says that all is well.
fn ask(target: &Target, method: Method, path: &str) -> Result<Value, Failure> {
    let address = address(target)?;
    let answer = control_runtime()?.block_on(async {
        let asking = client::request(method, address, path);
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(answer) => answer.map_err(|error| explain(error, address)),
            Err(_) => Err(format!(
                "{address} does not answer within {PATIENCE:?}: \
                 is it the control API of a gateway?"
            )
            .into()),
        }
    })?;
    understand(&answer, address)
}

fn address(target: &Target) -> Result<SocketAddr, Failure> {
    if let Some(address) = target.control {
        return Ok(address);
    }
    let settings = Settings::load(&target.config, &env)?;
    let file = target.config.display();
    match settings.control {
        None => Err(format!(
            "{file}: the control API is off (apisix.enable_control): \
             switch it on and restart the gateway, or send the gateway SIGHUP to reload it"
        )
        .into()),
        Some(ControlApi { address, .. }) if address.port() == 0 => Err(format!(
            "{file}: the control API's port is one that the system chooses: \
             give the address from the gateway's log (\"control API: http://…\") with --control"
        )
        .into()),
        Some(ControlApi { mut address, .. }) => {
            // What listens everywhere listens here too.
            if address.ip().is_unspecified() {
                address.set_ip(match address {
                    SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                    SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
                });
            }
            Ok(address)
        }
    }
}

/// What to do about a gateway that cannot be reached.
fn explain(error: Failure, address: SocketAddr) -> Failure {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    if kind == Some(io::ErrorKind::ConnectionRefused) {
        return format!(
            "nobody listens at {address}: is the gateway running, with this configuration? \
             Its log says where its control API is (\"control API: http://…\")"
        )
        .into();
    }
    let mut why = error.to_string();
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(error) = cause {
        why = format!("{why}: {error}");
        cause = error.source();
    }
    format!("cannot ask the control API at {address}: {why}").into()
}

fn understand(answer: &Answer, address: SocketAddr) -> Result<Value, Failure> {
    let body = serde_json::from_slice::<Value>(&answer.body);
    if answer.status.is_success() {
        return body.map_err(|_| {
            format!("{address} is not the control API of a gateway: its answer is no JSON").into()
        });
    }
    let said = body.ok();
    let said = said.as_ref().and_then(|body| body["error_msg"].as_str());
    Err(match said {
        Some(said) => said.into(),
        None => format!(
            "{address} answers with {}: is it the control API of a gateway?",
            answer.status
        )
        .into(),
    })
}

/// The rows under their headings, each column as wide as it needs to be.
fn table(rows: Vec<Row>, now: u64) -> String {
    const HEADINGS: [&str; 10] = [
        "NAME",
        "STATE",
        "PID",
        "GENERATION",
        "RESTARTS",
        "SINCE",
        "IN-FLIGHT",
        "QUEUED",
        "BREAKER",
        "TROUBLE",
    ];
    let optional = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    // As the log names them.
    let further = rows.iter().filter(|row| row.instance > 1);
    let several: HashSet<String> = further.map(|row| row.name.clone()).collect();
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.into_iter().map(|row| {
        let name = if several.contains(&row.name) {
            format!("{}/{}", row.name, row.instance)
        } else {
            row.name
        };
        let cells = [
            name,
            row.state,
            optional(row.pid.map(|pid| pid.to_string())),
            optional(row.generation.map(|generation| generation.to_string())),
            row.restarts.to_string(),
            optional(row.since.map(|since| age(now.saturating_sub(since)))),
            row.in_flight.to_string(),
            row.queued.to_string(),
            optional(row.breaker),
            row.trouble.unwrap_or_default(),
        ];
        cells.map(printable)
    }));
    let mut widths = [0; HEADINGS.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let shown = lines.iter().map(|line| {
        let cells = line.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// With control characters written out: they could play tricks on a terminal.
fn printable(cell: String) -> String {
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    cell.chars().map(escape).collect()
}

/// A time in its two largest units.
fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{}s", seconds % 60),
        3600..86400 => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let row = |name: &str, instance, pid, trouble: Option<&str>| Row {
            name: name.to_owned(),
            instance,
            state: "running".to_owned(),
            pid,
            generation: Some(12),
            restarts: 3,
            since: Some(1000),
            in_flight: 4,
            queued: 0,
            breaker: None,
            trouble: trouble.map(str::to_owned),
        };
        let rows = vec![
            row("default", 1, Some(4711), None),
            row("java", 1, Some(4712), None),
            row("java", 2, None, Some("status\n1")),
        ];
        let expected = "\
NAME     STATE    PID   GENERATION  RESTARTS  SINCE  IN-FLIGHT  QUEUED  BREAKER  TROUBLE
default  running  4711  12          3         1m5s   4          0       -
java/1   running  4712  12          3         1m5s   4          0       -
java/2   running  -     12          3         1m5s   4          0       -        status\\n1";
        assert_eq!(table(rows, 1065), expected);
    }

    #[test]
    fn times_are_told_in_two_units() {
        let ages = [5, 65, 3600 + 120, 86400 * 3 + 3600 * 2].map(age);
        assert_eq!(ages, ["5s", "1m5s", "1h2m", "3d2h"]);
    }
}
