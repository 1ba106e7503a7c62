//! A request's context as it travels: plugins set a value by a header of a
//! reserved name in any answer, which is taken out of it here, and read it as a
//! variable.
//!
//! So it works with every runner, old ones included. Headers of that name that come
//! from elsewhere mean nothing and are taken away before a runner sees them, so
//! that one that sends back what it got cannot be made to set anything.

use http::HeaderMap;
use outrigger_engine::context::{Context, ContextFull};
use outrigger_engine::headers::HeaderEdit;

/// How the names of such headers begin; the rest is the value's name.
const PREFIX: &str = "x-outrigger-ctx-";

/// Takes such headers out of what came from a client or an upstream.
pub(super) fn drop_foreign(headers: &mut HeaderMap) {
    let foreign = |headers: &HeaderMap| {
        let name = headers
            .keys()
            .find(|name| name.as_str().starts_with(PREFIX));
        name.cloned()
    };
    while let Some(name) = foreign(headers) {
        headers.remove(name);
    }
}

/// Takes such headers out of what a runner wants changed and returns the
/// context with them; none where there are none.
///
/// # Errors
/// There is no room for them.
pub(super) fn take_out(
    edits: &mut Vec<HeaderEdit>,
    context: &Context,
) -> Result<Option<Context>, ContextFull> {
    let is_ours = |edit: &HeaderEdit| edit.name().as_str().starts_with(PREFIX);
    if !edits.iter().any(is_ours) {
        return Ok(None);
    }
    let mut context = context.clone();
    for edit in edits.iter().filter(|edit| is_ours(edit)) {
        let name = &edit.name().as_str().as_bytes()[PREFIX.len()..];
        match edit {
            HeaderEdit::Remove(_) => context.remove(name),
            HeaderEdit::Set(_, value) => context.set(name, value.as_bytes())?,
            HeaderEdit::Append(_, value) => {
                let before = context.get(name).unwrap_or_default();
                let joined = [before, value.as_bytes()].join(&b", "[..]);
                context.set(name, &joined)?;
            }
        }
    }
    edits.retain(|edit| !is_ours(edit));
    Ok(Some(context))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn name(name: &'static str) -> HeaderName {
        HeaderName::from_static(name)
    }

    #[test]
    fn values_are_set_joined_and_removed_and_the_headers_are_gone() {
        let mut context = Context::default();
        context.set(b"old", b"1").unwrap();
        let value = HeaderValue::from_static;
        let mut edits = vec![
            HeaderEdit::Set(name("x-outrigger-ctx-user"), value("a")),
            HeaderEdit::Set(name("x-other"), value("b")),
            HeaderEdit::Append(name("x-outrigger-ctx-user"), value("c")),
            HeaderEdit::Remove(name("x-outrigger-ctx-old")),
        ];
        let new = take_out(&mut edits, &context).unwrap().unwrap();
        assert_eq!(new.get(b"user"), Some(&b"a, c"[..]));
        assert_eq!(new.get(b"old"), None);
        assert_eq!(context.get(b"old"), Some(&b"1"[..]), "not carried out yet");
        assert_eq!(edits, [HeaderEdit::Set(name("x-other"), value("b"))]);
        assert!(take_out(&mut edits, &context).unwrap().is_none());
    }

    #[test]
    fn what_others_send_means_nothing() {
        let mut headers = HeaderMap::new();
        for name in [
            "x-outrigger-ctx-a",
            "x-outrigger-ctx-b",
            "x-outrigger-ctx-a",
            "x-outrigger-ct",
        ] {
            headers.append(name, HeaderValue::from_static("1"));
        }
        drop_foreign(&mut headers);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("x-outrigger-ct"));
    }
}
