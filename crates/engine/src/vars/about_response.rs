//! Variables about the response and how long plugins took over it.

use std::time::Duration;

use super::{Scope, Value, bytes, text};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Var {
    Status,
    BytesSent,
    BodyBytesSent,
    Completion,
    ExtPluginTime,
    PreReqTime,
    PostReqTime,
    PostRespTime,
}

impl Var {
    pub(super) fn read(name: &str) -> Option<Self> {
        Some(match name {
            "status" => Var::Status,
            "bytes_sent" => Var::BytesSent,
            "body_bytes_sent" => Var::BodyBytesSent,
            "request_completion" => Var::Completion,
            "ext_plugin_time" => Var::ExtPluginTime,
            "ext_plugin_pre_req_time" => Var::PreReqTime,
            "ext_plugin_post_req_time" => Var::PostReqTime,
            "ext_plugin_post_resp_time" => Var::PostRespTime,
            _ => return None,
        })
    }

    pub(super) fn value(self, scope: Scope<'_>) -> Option<Value<'_>> {
        let times = || Some(&scope.exchange()?.plugin_times);
        match self {
            // nginx writes three digits even before there is a status.
            Var::Status => match scope.status() {
                Some(status) => text(status.as_u16()),
                None => bytes(b"000"),
            },
            Var::BytesSent => text(scope.end().map_or(0, |end| end.bytes_sent)),
            Var::BodyBytesSent => text(scope.end().map_or(0, |end| end.body_bytes_sent)),
            Var::Completion => {
                let whole = scope.end().is_some_and(|end| end.whole);
                bytes(if whole { b"OK" } else { b"" })
            }
            Var::ExtPluginTime => microseconds(times()?.sum()?),
            Var::PreReqTime => microseconds(times()?.pre_req?),
            Var::PostReqTime => microseconds(times()?.post_req?),
            Var::PostRespTime => microseconds(times()?.post_resp?),
        }
    }
}

/// Seconds, in a form that still tells of calls that take less than nginx's
/// milliseconds.
fn microseconds<'a>(time: Duration) -> Option<Value<'a>> {
    text(format_args!(
        "{}.{:06}",
        time.as_secs(),
        time.subsec_micros()
    ))
}
