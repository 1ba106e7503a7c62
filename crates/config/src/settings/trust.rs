//! `apisix.ssl.ssl_trusted_certificate`: who may vouch for upstreams.

use std::path::Path;

use outrigger_model::read::{At, Object};
use outrigger_model::{Trust, certificates};

use crate::watch::read_file;

/// The name of the system's certificates among the paths.
const SYSTEM: &str = "system";

/// Reads it from the section `ssl`; the system's where it is not there.
pub(super) fn read(ssl: &Object<'_>, folder: &Path) -> Trust {
    ssl.read("ssl_trusted_certificate", |at| read_list(at, folder))
        .unwrap_or_default()
}

/// `system`, or files of certificates in PEM, or several with commas between them.
fn read_list(at: &At<'_>, folder: &Path) -> Option<Trust> {
    let mut trust = Trust {
        system: false,
        certificates: Vec::new(),
    };
    for item in at.string()?.split(',').map(str::trim) {
        if item == SYSTEM {
            trust.system = true;
            continue;
        }
        let path = folder.join(item);
        let text = read_file(&path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()));
        match certificates(&at.accept(text)?) {
            Some(found) => trust.certificates.extend(found),
            None => at.fault(format!("{}: expected certificates in PEM", path.display())),
        }
    }
    Some(trust)
}
