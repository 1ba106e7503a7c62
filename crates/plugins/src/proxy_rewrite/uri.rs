//! Which path and query the upstream is asked for: `uri`, else `regex_uri`,
//! and `use_real_request_uri_unsafe`.
//!
//! The path of a configuration and what variables put into it is decoded text,
//! encoded once when it is sent. A query is text that is encoded already. The
//! client's query comes after the configuration's own.
//! `use_real_request_uri_unsafe` takes the client's target as it came, with
//! its query, in place of the normalised path, and all text as encoded already.

use bytes::Bytes;
use outrigger_engine::exchange::Exchange;
use outrigger_engine::limits::MAX_TARGET;
use outrigger_engine::response::Refusal;
use outrigger_engine::target::{BadPath, NewPath, QueryText, Target, push_query};
use outrigger_engine::template::{Piece, Template, TooLong};
use outrigger_model::{Fault, PropertyPath};

use super::refuse;
use super::regex_uri::{Groups, RegexUri};
use crate::conf;

const TOO_LONG: &str = "the request target is too long";

/// What a configuration says of the target.
#[derive(Debug)]
pub(super) struct TargetRule {
    rule: Rule,
    /// `use_real_request_uri_unsafe`.
    real: bool,
}

#[derive(Debug)]
enum Rule {
    None,
    Uri(UriTemplate),
    Regex(RegexUri),
}

/// What is to become of one request's target.
#[derive(Debug)]
pub(super) enum TargetChange {
    /// It stays.
    None,
    /// It is the client's again, whatever plugins have made of it.
    Restore,
    /// It gets this path and this query.
    Replace(NewPath, NewQuery),
}

/// The query of a target that is replaced.
#[derive(Debug)]
pub(super) enum NewQuery {
    /// The one that is there.
    Same,
    /// This one, or none.
    This(Option<Bytes>),
}

impl TargetChange {
    pub(super) fn apply(self, target: &mut Target) -> Result<(), Refusal> {
        match self {
            TargetChange::None => {}
            TargetChange::Restore => target.restore(),
            TargetChange::Replace(path, query) => {
                target.replace_path(path);
                if let NewQuery::This(query) = query {
                    target.set_query(query);
                }
                if target.is_too_long() {
                    return Err(refuse(TOO_LONG));
                }
            }
        }
        Ok(())
    }
}

/// What the groups of `regex_uri` matched, as long as the target is not changed.
#[derive(Debug)]
pub(super) struct Captured<'a> {
    rule: &'a TargetRule,
    groups: Groups,
}

impl Captured<'_> {
    /// What a group matched in this request's target.
    pub(super) fn group<'a>(&self, exchange: &'a Exchange, group: usize) -> Option<&'a [u8]> {
        self.groups.get(group, self.rule.searched(exchange))
    }
}

impl TargetRule {
    /// `uri` wins over `regex_uri`.
    pub(super) fn new(
        uri: Option<&str>,
        regex_uri: Option<RegexUri>,
        real: bool,
    ) -> Result<Self, Fault> {
        let rule = match (uri, regex_uri) {
            (Some(uri), _) => Rule::Uri(UriTemplate::new(uri, real).map_err(|error| {
                conf::fault(PropertyPath::root().key("uri"), error.to_string())
            })?),
            (None, Some(pairs)) => Rule::Regex(pairs),
            (None, None) => Rule::None,
        };
        Ok(TargetRule { rule, real })
    }

    /// Says what is to become of the target, and where the groups of
    /// `regex_uri` matched, if `groups` are asked for.
    pub(super) fn plan(
        &self,
        exchange: &Exchange,
        groups: bool,
    ) -> Result<(TargetChange, Captured<'_>), Refusal> {
        let unchanged = if self.real {
            TargetChange::Restore
        } else {
            TargetChange::None
        };
        let mut captured = Captured {
            rule: self,
            groups: Groups::default(),
        };
        let (path, query) = match &self.rule {
            Rule::None => return Ok((unchanged, captured)),
            Rule::Uri(template) => template.fill(exchange, self.real)?,
            Rule::Regex(pairs) => {
                let text = self.searched(exchange);
                let Some(found) = pairs.find(text, groups) else {
                    return Ok((unchanged, captured));
                };
                // Groups can stand in a replacement many times.
                if found.new_len(text) > MAX_TARGET {
                    return Err(refuse(TOO_LONG));
                }
                let (path, query) = if self.real {
                    found.replace_in_target(text).map_err(refuse)?
                } else {
                    found.replace_in_path(text)
                };
                captured.groups = found.groups;
                (path, query.map(Bytes::from))
            }
        };
        let query = self.joined(query, exchange.target.query());
        Ok((TargetChange::Replace(path, query), captured))
    }

    /// The text that `regex_uri` is matched against.
    fn searched<'a>(&self, exchange: &'a Exchange) -> &'a [u8] {
        if self.real {
            exchange.target.original().as_bytes()
        } else {
            exchange.target.path()
        }
    }

    /// Puts the query of the configuration before the one that is there.
    fn joined(&self, own: Option<Bytes>, there: Option<&[u8]>) -> NewQuery {
        match (own, there.filter(|query| !query.is_empty() && !self.real)) {
            (own, None) => NewQuery::This(own),
            (Some(own), Some(there)) if !own.is_empty() => {
                NewQuery::This(Some([&own[..], there].join(&b'&').into()))
            }
            (_, Some(_)) => NewQuery::Same,
        }
    }
}

/// `uri`, split at the question mark in its text.
#[derive(Debug)]
struct UriTemplate {
    path: PathTemplate,
    query: Option<QueryTemplate>,
}

#[derive(Debug)]
enum PathTemplate {
    Fixed(NewPath),
    Variable(Template),
}

#[derive(Debug)]
enum QueryTemplate {
    Fixed(Bytes),
    Variable(Template),
}

impl UriTemplate {
    fn new(uri: &str, real: bool) -> Result<Self, BadPath> {
        let whole = Template::parse(uri);
        let (path, query) = match whole.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (whole, None),
        };
        let path = match path.literal() {
            Some(text) => PathTemplate::Fixed(new_path(text.into(), real)?),
            None => PathTemplate::Variable(path),
        };
        let query = query.map(|query| match query.literal() {
            Some(text) => {
                let mut fixed = Vec::new();
                push_query(&mut fixed, text.as_bytes(), QueryText::Query);
                QueryTemplate::Fixed(fixed.into())
            }
            None => QueryTemplate::Variable(query),
        });
        Ok(UriTemplate { path, query })
    }

    fn fill(&self, exchange: &Exchange, real: bool) -> Result<(NewPath, Option<Bytes>), Refusal> {
        let path = match &self.path {
            PathTemplate::Fixed(path) => path.clone(),
            PathTemplate::Variable(template) => {
                let text = template.render(MAX_TARGET, exchange).map_err(refuse)?;
                new_path(text.into_owned(), real).map_err(refuse)?
            }
        };
        let query = match &self.query {
            None => None,
            Some(QueryTemplate::Fixed(query)) => Some(query.clone()),
            Some(QueryTemplate::Variable(template)) => {
                Some(fill_query(template, exchange).map_err(refuse)?.into())
            }
        };
        Ok((path, query))
    }
}

fn new_path(text: Vec<u8>, real: bool) -> Result<NewPath, BadPath> {
    if real {
        NewPath::from_encoded(&text)
    } else {
        Ok(NewPath::from_decoded(text))
    }
}

fn fill_query(template: &Template, exchange: &Exchange) -> Result<Vec<u8>, TooLong> {
    let mut query = Vec::new();
    for piece in template.pieces(exchange) {
        let kind = match piece {
            Piece::Text(_) => QueryText::Query,
            Piece::Value(_) => QueryText::Value,
        };
        if piece.as_bytes().len() > MAX_TARGET - query.len().min(MAX_TARGET) {
            return Err(TooLong { limit: MAX_TARGET });
        }
        push_query(&mut query, piece.as_bytes(), kind);
    }
    Ok(query)
}
