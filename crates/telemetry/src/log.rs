//! The log: one line per event on standard error.

use std::io;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;

/// A filter that does not parse.
#[derive(Debug, thiserror::Error)]
#[error(
    "the log filter {filter:?} does not parse: {source}; try \"info\" or \"outrigger_host=debug,info\""
)]
pub struct BadFilter {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// How lines look.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Colour, for a terminal.
    pub colour: bool,
    /// Whether each line begins with its time.
    pub time: bool,
}

/// A subscriber that writes lines of time, level, message and fields to
/// standard error.
///
/// `filter` is a level, or levels by module as `tracing` takes them.
///
/// # Errors
/// [`BadFilter`] where `filter` does not parse.
pub fn subscriber(
    filter: &str,
    style: Style,
) -> Result<Box<dyn Subscriber + Send + Sync>, BadFilter> {
    let parsed = EnvFilter::try_new(filter).map_err(|source| BadFilter {
        filter: filter.to_owned(),
        source,
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_target(false)
        .with_ansi(style.colour)
        .with_writer(io::stderr);
    Ok(if style.time {
        Box::new(lines.finish())
    } else {
        Box::new(lines.without_time().finish())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_does_not_parse_is_named() {
        let style = Style {
            colour: false,
            time: true,
        };
        let error = subscriber("info,=,", style).err().unwrap().to_string();
        assert!(
            error.starts_with("the log filter \"info,=,\" does not parse: "),
            "{error}"
        );
        assert!(subscriber("outrigger_host=debug,info", style).is_ok());
    }
}
