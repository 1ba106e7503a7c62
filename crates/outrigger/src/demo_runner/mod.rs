//! A runner to try things with: `outrigger demo-runner`, named as `ext-plugin.cmd`.
//!
//! Its plugins are those that the Go runner brings as samples, with the same
//! names and configurations, and a few more. They are also meant to be read:
//! each file is a plugin as a user of the SDK would write it.

mod fault_injection;
mod header_rewrite;
mod limit_req;
mod request_body_rewrite;
mod response_rewrite;
mod say;
mod status;
mod stopwatch;
mod tell;
mod wait;

#[cfg(test)]
mod tests;

use outrigger_runner::{Runner, ServeError};

pub(crate) use tell::PLUGIN_SAW;

/// The header by which an answer or a response shows that a plugin of this
/// runner was at it.
const MARK: (&str, &str) = ("X-Resp-A6-Runner", "Rust");

/// Serves as a gateway's child, until a signal ends it.
///
/// # Errors
/// [`ServeError`] where that is not possible; its message says what to do.
pub(crate) async fn run() -> Result<(), ServeError> {
    let tells = std::env::var_os("OUTRIGGER_DEMO_TELL").is_some();
    runner(tells).serve_from_env().await
}

/// All plugins; with `tells`, one of them says what it sees.
fn runner(tells: bool) -> Runner {
    let header_rewrite = header_rewrite::HeaderRewrite;
    let runner = if tells {
        Runner::new().plugin(tell::Tell(header_rewrite))
    } else {
        Runner::new().plugin(header_rewrite)
    };
    runner
        .plugin(fault_injection::FaultInjection)
        .plugin(limit_req::LimitReq)
        .plugin(request_body_rewrite::RequestBodyRewrite)
        .plugin(response_rewrite::ResponseRewrite)
        .plugin(say::Say)
        .plugin(stopwatch::Stopwatch)
        .plugin(wait::Wait)
}
