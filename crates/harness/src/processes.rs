//! Processes as /proc shows them: whose children they are, and whether the one
//! with a number is still the one that had it.

use std::fs;

use rustix::process::{Pid, kill_process};

pub use rustix::process::Signal;

/// A process, told from a later one with the same number by its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pid: u32,
    started: u64,
}

impl Process {
    /// The process with the number `pid`; `None` if it is gone, or has exited
    /// and waits for its parent to notice.
    pub fn find(pid: u32) -> Option<Self> {
        Stat::read(pid)?.alive().map(|stat| stat.process)
    }

    /// A child of this process, which keeps its number until it is waited for.
    pub(crate) fn of_child(pid: u32) -> Self {
        let stat = Stat::read(pid);
        stat.expect("a child that was not waited for has an entry in /proc")
            .process
    }

    /// Its number.
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// Whether it still runs.
    pub fn is_alive(self) -> bool {
        Self::find(self.pid) == Some(self)
    }

    /// Sends it a signal, if it still runs.
    pub fn signal(self, signal: Signal) {
        if self.is_alive() {
            let number = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
            let _ = kill_process(number.expect("a process number is positive"), signal);
        }
    }

    /// Its arguments, the program first.
    pub fn command_line(self) -> Vec<String> {
        let bytes = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    /// The processes it has started that still run, oldest first.
    pub fn children(self) -> Vec<Self> {
        let mut children: Vec<Self> = all()
            .filter(|stat| stat.parent == self.pid)
            .map(|stat| stat.process)
            .collect();
        children.sort_by_key(|child| (child.started, child.pid));
        children
    }

    /// Its children, their children and so on, that still run.
    pub fn descendants(self) -> Vec<Self> {
        let mut found = self.children();
        let mut next = 0;
        while let Some(&process) = found.get(next) {
            found.extend(process.children());
            next += 1;
        }
        found
    }
}

/// The fields of `/proc/PID/stat` that matter here.
struct Stat {
    process: Process,
    parent: u32,
    state: char,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(pid, &text)
    }

    /// The second field is the program's name in parentheses and may itself
    /// hold blanks and parentheses; what follows the last one is regular.
    fn parse(pid: u32, text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            process: Process {
                pid,
                started: fields.get(19)?.parse().ok()?,
            },
        })
    }

    fn alive(self) -> Option<Self> {
        (!matches!(self.state, 'Z' | 'X' | 'x')).then_some(self)
    }
}

fn all() -> impl Iterator<Item = Stat> {
    let entries = fs::read_dir("/proc").expect("/proc can be listed");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Stat::read(pid)?.alive())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let line = "42 (a ) b) S 7 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 1 2";
        let stat = Stat::parse(42, line).unwrap();
        assert_eq!(stat.parent, 7);
        assert_eq!(stat.process.started, 123_456);
        assert!(stat.alive().is_some());
    }

    #[test]
    fn this_process_is_alive_and_knows_its_children() {
        let me = Process::find(std::process::id()).unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let found = Process::find(child.id()).unwrap();
        assert!(me.children().contains(&found));
        assert!(me.descendants().contains(&found));
        found.signal(Signal::KILL);
        child.wait().unwrap();
        assert!(!found.is_alive());
        assert!(!me.children().contains(&found));
    }
}
