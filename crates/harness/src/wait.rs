//! Waiting for a condition.

use std::time::Instant;

use crate::limits;

/// Looks again and again until `look` finds something, and returns it.
///
/// # Panics
/// After [`limits::WAIT`], naming `what` was waited for.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            started.elapsed() < limits::WAIT,
            "waited {:?} in vain: {what}",
            limits::WAIT
        );
        std::thread::sleep(limits::POLL);
    }
}

/// [`until`] for a condition that is only true or false.
///
/// # Panics
/// After [`limits::WAIT`], naming `what` was waited for.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || holds().then_some(()));
}
