//! The process group of one child, by which it is signalled and looked after.

use std::fs;
use std::io;
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, kill_process_group, test_kill_process_group, waitpgid};

use crate::limits;

/// The signals that are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Please end: SIGTERM.
    Term,
    /// End: SIGKILL.
    Kill,
}

/// The group of a child of ours, which is killed when this is dropped.
///
/// Invariant: until the leader has been waited for, its id and so the group's is
/// nobody else's. After that the group is only touched while it was seen to have
/// members no longer than [`limits::GROUP_POLL`] ago.
#[derive(Debug)]
pub(crate) struct Group {
    id: Pid,
    gone: bool,
}

impl Group {
    /// The group led by the process `id`.
    pub(crate) fn new(id: Pid) -> Self {
        Self { id, gone: false }
    }

    /// Sends all members this signal. That there are none is no error: they may
    /// have ended at any moment.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.gone {
            return;
        }
        let signal = match signal {
            Signal::Term => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        let _ = kill_process_group(self.id, signal);
    }

    /// Whether members are left that run. The leader must have been waited for.
    pub(crate) fn has_members(&mut self) -> bool {
        if !self.gone {
            // EPERM: only processes of another user are left, beyond our reach.
            let exists = test_kill_process_group(self.id).is_ok();
            self.gone = !exists || !self.has_running_members();
            // Not before: one that ended in between would stay.
            self.reap_adopted();
        }
        !self.gone
    }

    /// Whether a member is more than a zombie. Where process 1 of a container
    /// does not reap what it inherits, zombies are members for ever.
    fn has_running_members(&self) -> bool {
        let Ok(mut members) = members(self.id.as_raw_nonzero().get()) else {
            return true;
        };
        members.next().is_some()
    }

    /// Waits until no members are left, but no longer than a killed group takes.
    pub(crate) async fn wait_gone(&mut self) {
        let start = Instant::now();
        while self.has_members() && start.elapsed() < limits::GROUP_GONE {
            tokio::time::sleep(limits::GROUP_POLL).await;
        }
        self.gone = true;
    }

    /// Takes the exit status of members that became our children because we are
    /// process 1 or a subreaper. Otherwise nobody does and they stay as zombies.
    fn reap_adopted(&self) {
        loop {
            match waitpgid(self.id, WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }
}

/// Resident memory of the processes in the group that `leader` leads, in bytes.
/// What they share is counted for each. 0 if there is none to be seen.
pub(crate) fn resident(leader: u32) -> u64 {
    let members = i32::try_from(leader).map(members);
    let pages: u64 = match members {
        Ok(Ok(members)) => members.map(|member| member.resident).sum(),
        _ => 0,
    };
    pages.saturating_mul(rustix::param::page_size() as u64)
}

/// What a `/proc/PID/stat` tells of a process that has not ended.
#[derive(Debug, PartialEq, Eq)]
struct Member {
    group: i32,
    /// In pages.
    resident: u64,
}

/// The running processes of a group.
fn members(group: i32) -> io::Result<impl Iterator<Item = Member>> {
    let stats = fs::read_dir("/proc")?.flatten().filter_map(|entry| {
        let is_process = entry.file_name().as_encoded_bytes()[0].is_ascii_digit();
        is_process
            .then(|| fs::read(entry.path().join("stat")).ok())
            .flatten()
    });
    let running = stats.filter_map(|stat| Member::read(&stat));
    Ok(running.filter(move |member| member.group == group))
}

impl Member {
    fn read(stat: &[u8]) -> Option<Self> {
        // The name before these fields is in parentheses and may hold any byte.
        let end = stat.iter().rposition(|&byte| byte == b')')?;
        let mut fields = std::str::from_utf8(&stat[end + 1..])
            .ok()?
            .split_ascii_whitespace();
        let (state, _parent, group) = (fields.next()?, fields.next()?, fields.next()?);
        if matches!(state, "Z" | "X") {
            return None;
        }
        // Field 24; the one after the group is number 6.
        let resident = fields.nth(24 - 6)?;
        Some(Self {
            group: group.parse().ok()?,
            resident: resident.parse().ok()?,
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::Kill);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_and_memory_are_read_past_a_name_that_imitates_them() {
        const BETWEEN: &str = "6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23";
        let read = |beginning: &[u8]| {
            let rest = format!(" {BETWEEN} 240 25 26");
            Member::read(&[beginning, rest.as_bytes()].concat())
        };
        let member = Member {
            group: 34,
            resident: 240,
        };
        assert_eq!(read(b"12 (a) Z 1 2) S 1 34").as_ref(), Some(&member));
        assert_eq!(read(b"12 (\xff) R 1 34").as_ref(), Some(&member));
        assert_eq!(read(b"12 (sh) Z 1 34"), None);
        assert_eq!(Member::read(b""), None);
        assert_eq!(Member::read(b"12 (sh) R 1 34 5"), None);
    }

    #[test]
    fn memory_that_is_used_is_seen() {
        let leader = rustix::process::getpgrp().as_raw_nonzero().get();
        let leader = u32::try_from(leader).unwrap();
        let used = vec![1u8; 64 << 20];
        assert!(resident(leader) > 64 << 20);
        drop(used);
        assert_eq!(resident(u32::MAX), 0);
    }

    #[test]
    fn this_process_is_a_running_member_of_its_group() {
        assert!(
            Group {
                id: rustix::process::getpgrp(),
                gone: true
            }
            .has_running_members()
        );
    }
}
