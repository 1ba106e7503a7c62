//! The section `outrigger`: what APISIX has no key for.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use outrigger_model::read::{At, Object};

use super::tracing::{self, Tracing};
use super::units;
use crate::limits;

/// What the section says.
pub(super) struct Own {
    pub(super) workers: Option<NonZeroUsize>,
    pub(super) data_dir: PathBuf,
    pub(super) runtime_dir: Option<PathBuf>,
    pub(super) body_memory: Option<u64>,
    pub(super) tracing: Option<Tracing>,
}

/// Relative paths are relative to `folder`.
pub(super) fn read(section: &Object<'_>, folder: &Path) -> Own {
    let path = |at: &At<'_>| read_path(at, folder);
    Own {
        workers: section.read("workers", read_workers),
        data_dir: section
            .read("data_dir", path)
            .unwrap_or_else(|| folder.join("data")),
        runtime_dir: section.read("runtime_dir", path),
        body_memory: section.read("body_memory", units::size),
        tracing: section.read("tracing", tracing::read),
    }
}

/// A number of worker threads.
pub(super) fn read_workers(at: &At<'_>) -> Option<NonZeroUsize> {
    let workers = at.integer(1..=limits::WORKERS)?;
    NonZeroUsize::new(usize::try_from(workers).ok()?)
}

/// A path, made absolute.
pub(super) fn read_path(at: &At<'_>, folder: &Path) -> Option<PathBuf> {
    let text = at.string()?;
    if text.is_empty() || text.contains('\0') {
        at.fault("expected a path");
        return None;
    }
    Some(folder.join(text))
}
