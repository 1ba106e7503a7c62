//! The log: one line per event on standard error.

use std::io;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// A filter that does not parse.
#[derive(Debug, thiserror::Error)]
#[error(
    "the log filter {filter:?} does not parse: {source}; try \"info\" or \"outrigger_host=debug,info\""
)]
pub struct BadFilter {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// A subscriber that writes lines of time, level, message and fields to
/// standard error, in colour on a terminal.
///
/// `filter` is a level, or levels by module as `tracing` takes them.
///
/// # Errors
/// [`BadFilter`] where `filter` does not parse.
pub fn subscriber(filter: &str, colour: bool) -> Result<impl Subscriber + Send + Sync, BadFilter> {
    let parsed = EnvFilter::try_new(filter).map_err(|source| BadFilter {
        filter: filter.to_owned(),
        source,
    })?;
    Ok(tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_span_events(FmtSpan::NONE)
        .with_target(false)
        .with_ansi(colour)
        .with_writer(io::stderr)
        .finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_does_not_parse_is_named() {
        let error = subscriber("info,=,", false).err().unwrap().to_string();
        assert!(
            error.starts_with("the log filter \"info,=,\" does not parse: "),
            "{error}"
        );
        assert!(subscriber("outrigger_host=debug,info", false).is_ok());
    }
}
