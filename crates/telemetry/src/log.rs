//! The log: one line per event on standard error.

use std::io;

use tracing::Subscriber;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{EnvFilter, Registry, reload};

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

/// The filter of a [`subscriber`], to be changed.
#[derive(Debug)]
pub struct Filter(reload::Handle<EnvFilter, Registry>);

impl Filter {
    /// Lets through what `filter` says from now on.
    ///
    /// # Errors
    /// [`BadFilter`] where it does not parse; nothing has changed.
    pub fn set(&self, filter: &str) -> Result<(), BadFilter> {
        // That fails only when the subscriber is gone, and then nobody is there to care.
        let _ = self.0.reload(parse(filter)?);
        Ok(())
    }
}

/// A subscriber that writes lines of time, level, message and fields to
/// standard error, and the way to change its filter.
///
/// `filter` is a level, or levels by module as `tracing` takes them.
///
/// # Errors
/// [`BadFilter`] where `filter` does not parse.
pub fn subscriber(
    filter: &str,
    style: Style,
) -> Result<(Box<dyn Subscriber + Send + Sync>, Filter), BadFilter> {
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_ansi(style.colour)
        .with_writer(io::stderr);
    let lines = if style.time {
        lines.boxed()
    } else {
        lines.without_time().boxed()
    };
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    Ok((Box::new(subscriber), Filter(handle)))
}

fn parse(filter: &str) -> Result<EnvFilter, BadFilter> {
    EnvFilter::try_new(filter).map_err(|source| BadFilter {
        filter: filter.to_owned(),
        source,
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

    #[test]
    fn the_filter_can_be_changed() {
        let style = Style {
            colour: false,
            time: false,
        };
        let (subscriber, filter) = subscriber("warn", style).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            assert!(!tracing::enabled!(tracing::Level::INFO));
            filter.set("info").unwrap();
            assert!(tracing::enabled!(tracing::Level::INFO));
            assert!(filter.set("=,").is_err());
            assert!(
                tracing::enabled!(tracing::Level::INFO),
                "nothing has changed"
            );
        });
    }
}
