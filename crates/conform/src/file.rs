//! Files that a person writes for the suite, in YAML or JSON, which is YAML.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::limits::FILE_BYTES;

/// A file that is no good. The message names it, and line and column where it
/// has them.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {why}")]
pub struct FileError {
    file: String,
    why: String,
}

impl FileError {
    pub(crate) fn new(file: &str, why: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            why: why.into(),
        }
    }
}

/// The text of a file, which must not be larger than [`FILE_BYTES`].
pub(crate) fn read(path: &Path) -> Result<String, FileError> {
    let text = || {
        let mut text = String::new();
        let read = File::open(path)?
            .take(FILE_BYTES + 1)
            .read_to_string(&mut text)?;
        if read as u64 > FILE_BYTES {
            let why = format!("it is larger than {FILE_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        Ok(text)
    };
    text().map_err(|error| FileError::new(&path.display().to_string(), error.to_string()))
}

/// Reads `text`, which is named `file` in errors.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, FileError> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| FileError::new(file, error.to_string()))
}
