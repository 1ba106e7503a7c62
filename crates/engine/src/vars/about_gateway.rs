//! Variables about the gateway: its process, its host, its clock.

use std::borrow::Cow;
use std::time::UNIX_EPOCH;

use super::{Scope, Value, bytes, seconds, text};
use crate::worker::local_time::LocalTime;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Var {
    Pid,
    Hostname,
    NginxVersion,
    Msec,
    TimeLocal,
    TimeIso8601,
}

/// The version of nginx whose variables these are, for whoever asks it: that
/// of APISIX 3.16.
const NGINX_VERSION: &[u8] = b"1.27.1";

impl Var {
    pub(super) fn read(name: &str) -> Option<Self> {
        Some(match name {
            "pid" => Var::Pid,
            "hostname" => Var::Hostname,
            "nginx_version" => Var::NginxVersion,
            "msec" => Var::Msec,
            "time_local" => Var::TimeLocal,
            "time_iso8601" => Var::TimeIso8601,
            _ => return None,
        })
    }

    pub(super) fn value(self, scope: Scope<'_>) -> Option<Value<'_>> {
        match self {
            Var::Pid => text(std::process::id()),
            Var::Hostname => bytes(scope.worker().hostname().as_bytes()),
            Var::NginxVersion => bytes(NGINX_VERSION),
            Var::Msec => {
                let since = scope.time().duration_since(UNIX_EPOCH);
                seconds(since.unwrap_or_default())
            }
            Var::TimeLocal => {
                let clock = scope.worker().local::<LocalTime>();
                Some(Cow::Owned(clock.common_log(scope.time()).into()))
            }
            Var::TimeIso8601 => {
                let clock = scope.worker().local::<LocalTime>();
                Some(Cow::Owned(clock.iso8601(scope.time()).into()))
            }
        }
    }
}
