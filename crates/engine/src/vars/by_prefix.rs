//! Variables whose name says whose value they have: `http_NAME` and its kin.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, header};

use super::{Scope, Value, bytes};
use crate::args::Args;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    /// Header fields of the request.
    Http,
    /// Header fields of the response.
    SentHttp,
    /// Cookies of the request.
    Cookie,
    /// Arguments of the query, not decoded.
    Arg,
    /// Arguments of a form in the request's body, decoded.
    PostArg,
    /// Parameters of the route's path, decoded.
    UriParam,
    /// What plugins keep for the request.
    Context,
}

const PREFIXES: [(&str, Prefix); 7] = [
    ("http_", Prefix::Http),
    ("sent_http_", Prefix::SentHttp),
    ("cookie_", Prefix::Cookie),
    ("arg_", Prefix::Arg),
    ("post_arg_", Prefix::PostArg),
    ("uri_param_", Prefix::UriParam),
    ("ctx_", Prefix::Context),
];

impl Prefix {
    /// The prefix and what follows it.
    pub(super) fn read(name: &str) -> Option<(Self, &str)> {
        PREFIXES.iter().find_map(|(text, prefix)| {
            let (start, rest) = name.split_at_checked(text.len())?;
            let is = start.eq_ignore_ascii_case(text) && !rest.is_empty();
            is.then_some((*prefix, rest))
        })
    }

    pub(super) fn value<'a>(self, scope: Scope<'a>, name: &str) -> Option<Value<'a>> {
        match self {
            Prefix::Http => joined(scope.headers()?, name),
            Prefix::SentHttp => joined(scope.response_headers()?, name),
            Prefix::Cookie => bytes(cookie(scope.headers()?, name.as_bytes())?),
            Prefix::Arg => {
                let query = match scope.exchange() {
                    Some(exchange) => exchange.target.query()?,
                    None => scope.target()?.split_once('?')?.1.as_bytes(),
                };
                bytes(Args::raw(query, name.as_bytes())?)
            }
            Prefix::PostArg => {
                if !is_form(scope.headers()?) {
                    return None;
                }
                match scope.body()? {
                    Cow::Borrowed(body) => form_arg(body, name),
                    Cow::Owned(body) => {
                        let value = form_arg(&body, name)?.into_owned();
                        Some(Cow::Owned(value))
                    }
                }
            }
            Prefix::UriParam => bytes(scope.exchange()?.route.as_ref()?.parameter(name)?),
            Prefix::Context => bytes(scope.exchange()?.context.get(name.as_bytes())?),
        }
    }
}

/// All values of a field whose name is `name` where that has underscores for
/// dashes; several are joined with `, ` (`; ` for cookies), as nginx does.
fn joined<'a>(headers: &'a HeaderMap, name: &str) -> Option<Value<'a>> {
    let is = |field: &str| {
        let same = |(a, b): (u8, u8)| a == b || (a == b'-' && b == b'_');
        let lower = name.bytes().map(|byte| byte.to_ascii_lowercase());
        field.len() == name.len() && field.bytes().zip(lower).all(same)
    };
    let named = headers.iter().filter(|(field, _)| is(field.as_str()));
    let mut values = named.map(|(_, value)| value.as_bytes());
    let mut all = Cow::Borrowed(values.next()?);
    let separator: &[u8] = if name.eq_ignore_ascii_case("cookie") {
        b"; "
    } else {
        b", "
    };
    for value in values {
        let all = all.to_mut();
        all.extend_from_slice(separator);
        all.extend_from_slice(value);
    }
    Some(all)
}

/// The first cookie of the name, compared without case. Like nginx, takes a
/// comma for an end where a pair is another's, and leaves spaces at a value's end.
fn cookie<'a>(headers: &'a HeaderMap, name: &[u8]) -> Option<&'a [u8]> {
    let fields = headers.get_all(header::COOKIE).iter();
    fields
        .map(HeaderValue::as_bytes)
        .find_map(|field| cookie_of(field, name))
}

fn cookie_of<'a>(mut rest: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    loop {
        if let Some((start, after)) = rest.split_at_checked(name.len())
            && start.eq_ignore_ascii_case(name)
            && let Some(value) = skip_spaces(after).strip_prefix(b"=")
        {
            let value = skip_spaces(value);
            let end = memchr::memchr(b';', value);
            return Some(&value[..end.unwrap_or(value.len())]);
        }
        let end = memchr::memchr2(b';', b',', rest)?;
        rest = skip_spaces(&rest[end + 1..]);
    }
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| *byte != b' ');
    &text[start.unwrap_or(text.len())..]
}

/// `NAME` of `post_arg_NAME`.
#[must_use]
pub fn post_arg(name: &str) -> Option<&str> {
    match Prefix::read(name)? {
        (Prefix::PostArg, rest) => Some(rest),
        _ => None,
    }
}

/// Whether the body is said to be a form.
#[must_use]
pub fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(FORM))
}

/// The first value of an argument in a form; `None` where the argument is not
/// there or has no equals sign.
#[must_use]
pub fn form_arg<'a>(form: &'a [u8], name: &str) -> Option<Value<'a>> {
    let mut args = Args::new(form);
    args.find(|arg| *arg.name == *name.as_bytes())?.value
}

const FORM: &[u8] = b"application/x-www-form-urlencoded";
