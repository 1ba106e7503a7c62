//! A status as configurations give it.

use outrigger_runner::limits::STATUS;
use serde::Deserialize;

/// The status of a final response.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u16")]
pub(super) struct Status(u16);

impl Status {
    pub(super) fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Status {
    type Error = String;

    fn try_from(status: u16) -> Result<Self, String> {
        if STATUS.contains(&status) {
            Ok(Self(status))
        } else {
            let (low, high) = (STATUS.start(), STATUS.end());
            Err(format!("{status} is not between {low} and {high}"))
        }
    }
}
