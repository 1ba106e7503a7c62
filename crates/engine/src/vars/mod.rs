//! Variables by name, with nginx's and APISIX's meaning: what runners ask for
//! by extra info, what templates such as `$remote_addr` stand for, what routes
//! have conditions on, and what the access log tells.
//!
//! A [`Variable`] is a name that is known; a [`Scope`] is what is known of a
//! request when the value is asked for: some variables have one only once there is a
//! response, or only when it has been sent. Names are compared without case,
//! as nginx does.

mod about_configuration;
mod about_connection;
mod about_gateway;
mod about_request;
mod about_response;
mod about_tls;
mod about_upstream;
mod by_prefix;
mod scope;

use std::borrow::Cow;

use http::{HeaderMap, StatusCode};

use crate::exchange::Exchange;
use crate::finished::Finished;

pub use by_prefix::{form_arg, is_form, post_arg};
pub use scope::Scope;

/// A variable's value: text, or any bytes.
pub type Value<'a> = Cow<'a, [u8]>;

/// The name of a variable that there is; `N` holds the part of it that is
/// free, as in `http_NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable<N = Box<str>>(Group<N>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Group<N> {
    Request(about_request::Var),
    Connection(about_connection::Var),
    Tls(about_tls::Var),
    Configuration(about_configuration::Var),
    Upstream(about_upstream::Var),
    Response(about_response::Var),
    Gateway(about_gateway::Var),
    Prefixed(by_prefix::Prefix, N),
}

impl<'n> Variable<&'n str> {
    /// Reads a name; `None` for one that no variable has.
    #[must_use]
    pub fn named(name: &'n str) -> Option<Self> {
        let lower;
        let whole = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lower = name.to_ascii_lowercase();
            &lower
        } else {
            name
        };
        about_request::Var::read(whole)
            .map(Group::Request)
            .or_else(|| about_connection::Var::read(whole).map(Group::Connection))
            .or_else(|| about_tls::Var::read(whole).map(Group::Tls))
            .or_else(|| about_configuration::Var::read(whole).map(Group::Configuration))
            .or_else(|| about_upstream::Var::read(whole).map(Group::Upstream))
            .or_else(|| about_response::Var::read(whole).map(Group::Response))
            .or_else(|| about_gateway::Var::read(whole).map(Group::Gateway))
            .or_else(|| {
                let (prefix, rest) = by_prefix::Prefix::read(name)?;
                Some(Group::Prefixed(prefix, rest))
            })
            .map(Variable)
    }

    /// The same, not borrowing the name.
    #[must_use]
    pub fn into_owned(self) -> Variable {
        Variable(match self.0 {
            Group::Request(name) => Group::Request(name),
            Group::Connection(name) => Group::Connection(name),
            Group::Tls(name) => Group::Tls(name),
            Group::Configuration(name) => Group::Configuration(name),
            Group::Upstream(name) => Group::Upstream(name),
            Group::Response(name) => Group::Response(name),
            Group::Gateway(name) => Group::Gateway(name),
            Group::Prefixed(prefix, name) => Group::Prefixed(prefix, name.into()),
        })
    }
}

impl<N: AsRef<str>> Variable<N> {
    /// The value; `None` where there is none, as of an absent header field.
    #[must_use]
    pub fn value<'a>(&self, scope: Scope<'a>) -> Option<Value<'a>> {
        match &self.0 {
            Group::Request(name) => name.value(scope),
            Group::Connection(name) => name.value(scope),
            Group::Tls(name) => name.value(scope),
            Group::Configuration(name) => name.value(scope),
            Group::Upstream(name) => name.value(scope),
            Group::Response(name) => name.value(scope),
            Group::Gateway(name) => name.value(scope),
            Group::Prefixed(prefix, name) => prefix.value(scope, name.as_ref()),
        }
    }

    /// Whether it asks for the header fields of the response.
    #[must_use]
    pub fn is_of_response_headers(&self) -> bool {
        matches!(self.0, Group::Prefixed(by_prefix::Prefix::SentHttp, _))
    }
}

/// A variable's value before there is a response; `None` where the name is
/// unknown or has no value, as an absent header or argument.
#[must_use]
pub fn lookup<'a>(exchange: &'a Exchange, name: &str) -> Option<Value<'a>> {
    Variable::named(name)?.value(Scope::of(exchange))
}

/// As [`lookup`], once there is a response that has not been sent.
#[must_use]
pub fn lookup_with_response<'a>(
    exchange: &'a Exchange,
    status: StatusCode,
    headers: &'a HeaderMap,
    name: &str,
) -> Option<Value<'a>> {
    Variable::named(name)?.value(Scope::with_response(exchange, status, headers))
}

/// As [`lookup`], when the request is over.
#[must_use]
pub fn lookup_finished<'a>(finished: &'a Finished, name: &str) -> Option<Value<'a>> {
    Variable::named(name)?.value(Scope::finished(finished))
}

fn text<'a>(text: impl ToString) -> Option<Value<'a>> {
    Some(Cow::Owned(text.to_string().into_bytes()))
}

fn bytes(bytes: &[u8]) -> Option<Value<'_>> {
    Some(Cow::Borrowed(bytes))
}

/// Seconds with milliseconds, as nginx writes times.
fn seconds<'a>(time: std::time::Duration) -> Option<Value<'a>> {
    text(format_args!(
        "{}.{:03}",
        time.as_secs(),
        time.subsec_millis()
    ))
}

#[cfg(test)]
mod tests;
