//! What plugins keep for a request, from one phase to the next.
//!
//! The protocol has no place for it: it travels to the host as headers of a
//! reserved name, which Outrigger takes out, and comes back as variables.

use bytes::Bytes;
use outrigger_a6::Entry;

use crate::AskError;
use crate::extra_info::ExtraInfo;
use crate::multimap::{InvalidHeader, is_one_line, is_token};

/// How the names of such headers begin, and of such variables.
const HEADER: &[u8] = b"x-outrigger-ctx-";
const VARIABLE: &[u8] = b"ctx_";

/// What plugins of this call have set or removed.
#[derive(Debug, Default)]
pub(crate) struct Context(Vec<Change>);

#[derive(Debug)]
struct Change {
    /// With its beginning.
    header: Vec<u8>,
    value: Option<Bytes>,
}

impl Context {
    pub(crate) fn change(&mut self, name: &[u8], value: Option<&[u8]>) {
        let header = [HEADER, &same_for_all(name)].concat();
        let value = value.map(Bytes::copy_from_slice);
        self.0.retain(|change| change.header != header);
        self.0.push(Change { header, value });
    }

    /// The value as plugins before this one left it, or as the host has it.
    pub(crate) async fn get(
        &self,
        name: &[u8],
        host: &mut ExtraInfo,
    ) -> Result<Option<Bytes>, AskError> {
        let name = same_for_all(name);
        let ours = |change: &&Change| change.header[HEADER.len()..] == name;
        match self.0.iter().find(ours) {
            Some(change) => Ok(change.value.clone()),
            None => host.var(&[VARIABLE, &name].concat()).await,
        }
    }

    /// The headers that tell the host.
    pub(crate) fn headers(&self) -> impl Iterator<Item = Entry<'_>> {
        self.0.iter().map(|change| Entry {
            name: &change.header,
            value: change.value.as_deref(),
        })
    }

    /// Whether every change can travel as a header.
    ///
    /// # Errors
    /// The first that cannot.
    pub(crate) fn check(&self) -> Result<(), InvalidHeader> {
        for Change { header, value } in &self.0 {
            let name = || String::from_utf8_lossy(header).into_owned();
            if !is_token(header) || header.len() == HEADER.len() {
                return Err(InvalidHeader::Name(name()));
            }
            if !value.as_deref().is_none_or(is_one_line) {
                return Err(InvalidHeader::Value(name()));
            }
        }
        Ok(())
    }
}

/// The spelling that a name has in variables: its case does not matter, nor
/// whether it has dashes or underscores.
fn same_for_all(name: &[u8]) -> Vec<u8> {
    let name = name.to_ascii_lowercase().into_iter();
    name.map(|byte| if byte == b'-' { b'_' } else { byte })
        .collect()
}
