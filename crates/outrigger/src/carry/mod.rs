//! Carrying resources out of the gateway and into it: `outrigger export` and
//! `outrigger import`.
//!
//! Both work on what the gateway of a `config.yaml` has, be it running or not: the
//! embedded store's file is opened where nobody has it, and whoever has it is asked.

mod export;
mod import;
mod kept;

pub(crate) use export::export;
pub(crate) use import::import;
pub(crate) use kept::{Kept, NotOpened};

use clap::ValueEnum;

/// What to say of a gateway that keeps its resources nowhere.
const IN_MEMORY: &str = "resources are in the running gateway's memory alone: \
     ask it, and tell it, at /apisix/admin/configs of its Admin API";

/// A file's format, as the command line has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Yaml,
    Json,
}

impl From<Format> for outrigger_config::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Yaml => Self::Yaml,
            Format::Json => Self::Json,
        }
    }
}

/// `3 routes, 1 upstreams`, or `no resources`, of the kinds of resources one by one.
pub(crate) fn counted<'k>(kinds: impl IntoIterator<Item = &'k str>) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for kind in kinds {
        match counts.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((kind, 1)),
        }
    }
    if counts.is_empty() {
        return "no resources".to_owned();
    }
    let shown = counts.iter().map(|(kind, count)| format!("{count} {kind}"));
    shown.collect::<Vec<_>>().join(", ")
}
