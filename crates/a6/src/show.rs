//! How opaque bytes look in `Debug` output: as text with escapes, cut short.

use std::fmt;

use crate::limits::SHOWN_BYTES;

/// Bytes that are text more often than not.
pub(crate) struct Text<'a>(pub(crate) &'a [u8]);

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN_BYTES)];
        write!(f, "\"{}\"", shown.escape_ascii())?;
        match self.0.len() - shown.len() {
            0 => Ok(()),
            more => write!(f, "… and {more} bytes"),
        }
    }
}

/// Text that may be absent.
pub(crate) struct OptionalText<'a>(pub(crate) Option<&'a [u8]>);

impl fmt::Debug for OptionalText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map(Text).fmt(f)
    }
}
