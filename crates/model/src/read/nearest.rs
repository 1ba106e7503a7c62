//! What somebody may have meant by a name that there is not.

use crate::limits;

/// The name among `known` that is most similar to `written`; none if all are far from it.
pub fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let mut best = None;
    let mut most = limits::SIMILARITY;
    for name in known {
        let similarity = strsim::jaro_winkler(written, name);
        if similarity >= most {
            (most, best) = (similarity, Some(name));
        }
    }
    best
}

/// `, did you mean "x"?`, or nothing.
pub(super) fn hint<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(written, known).map_or_else(String::new, |name| format!(", did you mean {name:?}?"))
}
