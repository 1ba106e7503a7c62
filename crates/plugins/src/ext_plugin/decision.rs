//! What a runner wants done with a request: read from its answer, checked,
//! and carried out.
//!
//! Runners are not trusted. A name, value or path that would break the framing
//! of a message makes the whole answer bad; nothing of it is carried out then.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use outrigger_engine::args::{self, Arg, ArgEdit};
use outrigger_engine::body::Body;
use outrigger_engine::context::{Context, ContextFull};
use outrigger_engine::exchange::Exchange;
use outrigger_engine::headers::{HeaderEdit, is_framing};
use outrigger_engine::host_name::HostName;
use outrigger_engine::limits::MAX_ARGS;
use outrigger_engine::response::Response;
use outrigger_engine::target::Target;
use outrigger_host::a6::{Entries, http_req_call};

use super::context;
use super::limits::MAX_ENTRIES;

/// An answer that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadAnswer {
    #[error("it names more than {MAX_ENTRIES} headers or arguments")]
    TooManyEntries,
    #[error("the header name {0:?} is none")]
    HeaderName(String),
    #[error("the header {0} has a value that no header can have")]
    HeaderValue(HeaderName),
    #[error("the header {0} says how the message is framed and cannot be changed")]
    Framing(HeaderName),
    #[error("the host is none")]
    Host,
    #[error("the path does not begin with a slash or has a CR, LF or NUL in it")]
    Path,
    #[error("the status {0} is none")]
    Status(u16),
    #[error(transparent)]
    Context(#[from] ContextFull),
}

/// What a runner decided.
#[derive(Debug)]
pub(super) enum Decision {
    /// Go on with the request as it is.
    Continue,
    /// Answer the client.
    Stop(Stop),
    /// Go on with the request changed.
    Rewrite(Rewrite),
}

/// An answer to the client, checked.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) response: Response,
    /// The request's context, where it is another than before.
    pub(super) context: Option<Context>,
}

/// Changes of a request, checked.
#[derive(Debug, Default)]
pub(super) struct Rewrite {
    path: Option<Vec<u8>>,
    pub(super) headers: Vec<HeaderEdit>,
    args: Vec<(Vec<u8>, Change)>,
    response_headers: Vec<HeaderEdit>,
    pub(super) body: Option<Bytes>,
    context: Option<Context>,
}

#[derive(Debug, PartialEq)]
enum Change {
    Remove,
    Set(Vec<u8>),
    Append(Vec<u8>),
}

impl Decision {
    /// Reads and checks an answer to a call for this request.
    pub(super) fn read(
        answer: &http_req_call::Response<'_>,
        exchange: &Exchange,
    ) -> Result<Self, BadAnswer> {
        Ok(match &answer.action {
            None => Decision::Continue,
            Some(http_req_call::Action::Stop(stop)) => {
                Decision::Stop(Stop::read(stop, &exchange.context)?)
            }
            Some(http_req_call::Action::Rewrite(rewrite)) => {
                Decision::Rewrite(Rewrite::read(rewrite, exchange)?)
            }
        })
    }

    /// The bytes of a body that it brings.
    pub(super) fn body_mut(&mut self) -> Option<&mut Bytes> {
        match self {
            Decision::Rewrite(rewrite) => rewrite.body.as_mut(),
            Decision::Stop(Stop { response, .. }) => match &mut response.body {
                Body::Full(bytes) => Some(bytes),
                Body::Empty | Body::Stream(_) => None,
            },
            Decision::Continue => None,
        }
    }
}

/// A status that ends a request.
pub(super) fn final_status(status: u16) -> Result<StatusCode, BadAnswer> {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| !status.is_informational())
        .ok_or(BadAnswer::Status(status))
}

impl Stop {
    fn read(stop: &http_req_call::Stop<'_>, context: &Context) -> Result<Self, BadAnswer> {
        let status = if stop.status == 0 { 200 } else { stop.status };
        let status = final_status(status)?;
        let mut response = Response::new(status, Bytes::copy_from_slice(stop.body));
        let mut edits = header_edits(&stop.headers)?;
        let context = context::take_out(&mut edits, context)?;
        for edit in edits {
            if is_framing(edit.name()) {
                return Err(BadAnswer::Framing(edit.name().clone()));
            }
            edit.apply(&mut response.headers);
        }
        Ok(Stop { response, context })
    }
}

impl Rewrite {
    fn read(rewrite: &http_req_call::Rewrite<'_>, exchange: &Exchange) -> Result<Self, BadAnswer> {
        let breaks = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
        if rewrite
            .path
            .is_some_and(|path| path.first() != Some(&b'/') || path.iter().any(breaks))
        {
            return Err(BadAnswer::Path);
        }
        let mut headers = header_edits(&rewrite.headers)?;
        let mut context = context::take_out(&mut headers, &exchange.context)?;
        for edit in &headers {
            check_request_edit(edit, &exchange.headers)?;
        }
        headers.retain(|edit| !is_framing(edit.name()));
        let mut response_headers = header_edits(&rewrite.resp_headers)?;
        let before = context.as_ref().unwrap_or(&exchange.context);
        if let Some(after) = context::take_out(&mut response_headers, before)? {
            context = Some(after);
        }
        response_headers.retain(|edit| !is_kept_from_runners(edit.name()));
        Ok(Rewrite {
            path: rewrite.path.map(<[u8]>::to_vec),
            headers,
            args: arg_changes(&rewrite.args)?,
            response_headers,
            body: rewrite.body.map(Bytes::copy_from_slice),
            context,
        })
    }

    /// Carries the changes out.
    pub(super) fn apply(self, exchange: &mut Exchange) {
        if let Some(path) = &self.path {
            exchange.target.set_path(path);
        }
        let edits = arg_edits(&self.args, &exchange.target);
        if !edits.is_empty() {
            let query = exchange.target.query().unwrap_or_default();
            let query = args::edit(query, &edits).map(Bytes::from);
            exchange.target.set_query(query);
        }
        for edit in self.headers {
            edit.apply(&mut exchange.headers);
        }
        exchange.response_edits.extend(self.response_headers);
        if let Some(body) = self.body {
            exchange.set_body(body);
        }
        if let Some(context) = self.context {
            exchange.context = context;
        }
    }
}

/// The changes as edits, but for those of a name that has the values already
/// which it is to have: its text stays as it is.
fn arg_edits<'c>(changes: &'c [(Vec<u8>, Change)], target: &Target) -> Vec<ArgEdit<'c>> {
    if changes.is_empty() {
        return Vec::new();
    }
    let present: Vec<Arg<'_>> = target.args().collect();
    // Of more arguments the last ones are not known.
    let all_known = present.len() < MAX_ARGS;
    let changes = changes
        .iter()
        .filter(|(name, _)| !(all_known && has_already(&present, name, changes)));
    let edits = changes.map(|(name, change)| match change {
        Change::Remove => ArgEdit::Remove(name),
        Change::Set(value) => ArgEdit::Set(name, value),
        Change::Append(value) => ArgEdit::Append(name, value),
    });
    edits.collect()
}

fn has_already(present: &[Arg<'_>], name: &[u8], changes: &[(Vec<u8>, Change)]) -> bool {
    let mut wanted: Vec<&[u8]> = Vec::new();
    for (_, change) in changes.iter().filter(|(other, _)| other == name) {
        match change {
            Change::Remove => wanted.clear(),
            Change::Set(value) => wanted = vec![value],
            Change::Append(value) => wanted.push(value),
        }
    }
    let present = present.iter().filter(|arg| *arg.name == *name);
    present
        .map(|arg| arg.value.as_deref())
        .eq(wanted.into_iter().map(Some))
}

/// A framing header may be named only with the value that it has.
pub(super) fn check_framing(edit: &HeaderEdit, present: &HeaderMap) -> Result<(), BadAnswer> {
    let name = edit.name();
    match edit {
        _ if !is_framing(name) => Ok(()),
        HeaderEdit::Set(_, value) if present.get(name) == Some(value) => Ok(()),
        HeaderEdit::Remove(_) if !present.contains_key(name) => Ok(()),
        _ => Err(BadAnswer::Framing(name.clone())),
    }
}

/// Besides, a request without a host cannot be sent.
fn check_request_edit(edit: &HeaderEdit, request: &HeaderMap) -> Result<(), BadAnswer> {
    check_framing(edit, request)?;
    let name = edit.name();
    if name == header::HOST {
        return match edit {
            HeaderEdit::Set(_, value) if HostName::parse(value).is_some() => Ok(()),
            _ => Err(BadAnswer::Host),
        };
    }
    Ok(())
}

/// Response headers that a request call cannot set; they are passed over, as
/// in APISIX.
fn is_kept_from_runners(name: &HeaderName) -> bool {
    is_framing(name)
        || matches!(
            *name,
            header::LOCATION
                | header::SERVER
                | header::WWW_AUTHENTICATE
                | header::CONTENT_ENCODING
                | header::CONTENT_TYPE
                | header::CONTENT_LOCATION
                | header::CONTENT_LANGUAGE
        )
}

/// No value deletes; the first value of a name replaces, further ones append.
pub(super) fn header_edits(entries: &Entries<'_>) -> Result<Vec<HeaderEdit>, BadAnswer> {
    limit(entries)?;
    let mut edits: Vec<HeaderEdit> = Vec::with_capacity(entries.len());
    for entry in entries {
        let name = HeaderName::from_bytes(entry.name)
            .map_err(|_| BadAnswer::HeaderName(String::from_utf8_lossy(entry.name).into_owned()))?;
        let Some(value) = entry.value else {
            edits.push(HeaderEdit::Remove(name));
            continue;
        };
        let Ok(value) = HeaderValue::from_bytes(value) else {
            return Err(BadAnswer::HeaderValue(name));
        };
        edits.push(if edits.iter().any(|edit| *edit.name() == name) {
            HeaderEdit::Append(name, value)
        } else {
            HeaderEdit::Set(name, value)
        });
    }
    Ok(edits)
}

fn arg_changes(entries: &Entries<'_>) -> Result<Vec<(Vec<u8>, Change)>, BadAnswer> {
    limit(entries)?;
    let mut changes: Vec<(Vec<u8>, Change)> = Vec::with_capacity(entries.len());
    for entry in entries {
        let seen = changes.iter().any(|(name, _)| *name == entry.name);
        let change = match entry.value {
            None => Change::Remove,
            Some(value) if seen => Change::Append(value.to_vec()),
            Some(value) => Change::Set(value.to_vec()),
        };
        changes.push((entry.name.to_vec(), change));
    }
    Ok(changes)
}

fn limit(entries: &Entries<'_>) -> Result<(), BadAnswer> {
    if entries.len() > MAX_ENTRIES {
        Err(BadAnswer::TooManyEntries)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
