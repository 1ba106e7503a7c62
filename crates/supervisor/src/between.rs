//! What the child does to itself between `fork` and `exec`.
//!
//! Invariant: only async-signal-safe calls and no allocation here. The gateway
//! has other threads, and whatever lock they held at the fork stays locked in
//! the child for ever.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::limits;

/// Makes the calling process, a fresh child of `parent`, one that dies with its
/// parent, has default signal handling and hands on no descriptor but 0 to 2.
pub(crate) fn set_up(parent: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // If the parent died before that call no signal will ever come.
    if getppid() != Some(parent) {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    reset_signals()?;
    close_on_exec();
    Ok(())
}

/// Ignored signals and the mask are inherited through `exec`, and a gateway
/// ignores or blocks signals that a runner must hear.
#[allow(unsafe_code, reason = "the standard library has no calls for these")]
fn reset_signals() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: setting a default disposition touches no memory of ours. It
        // fails for SIGKILL, SIGSTOP and the C library's own signals, which no
        // one can ignore.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut empty = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set before it is read, and a null
    // pointer for the old set is allowed.
    let result = unsafe {
        libc::sigemptyset(empty.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, empty.as_ptr(), ptr::null_mut())
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Marks every descriptor from 3 on to be closed by `exec`. Ours are marked
/// already, but not those that the gateway itself inherited or a library opened.
#[allow(unsafe_code, reason = "the standard library has no calls for these")]
fn close_on_exec() {
    let first: libc::c_uint = 3;
    // SAFETY: flags of descriptors change, nothing else. The descriptor that the
    // standard library reports a failed `exec` on stays open until `exec`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC as libc::c_uint,
        )
    };
    if result == 0 {
        return;
    }
    // A kernel before 5.11, or a sandbox.
    for descriptor in 3..limits::DESCRIPTORS {
        // SAFETY: as above; on a number without a descriptor it fails.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}
