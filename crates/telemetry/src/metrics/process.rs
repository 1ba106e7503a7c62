//! The gateway's process, under the names that Prometheus' own clients use.

use std::fs;

use super::text::{Family, Text};

/// Writes what the system tells of this process; nothing where it tells
/// nothing.
pub(crate) fn write(text: &mut Text) {
    let Some(process) = Process::read() else {
        return;
    };
    text.single(CPU, process.cpu);
    text.single(RESIDENT, process.resident);
    text.single(THREADS, process.threads);
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // Not the one that is open for looking.
        text.single(FILES, files.count().saturating_sub(1));
    }
    if let Some(started) = started(process.started) {
        text.single(STARTED, started);
    }
}

struct Process {
    /// Seconds, of the system and the user.
    cpu: f64,
    /// Bytes.
    resident: u64,
    threads: u64,
    /// Seconds after the system's start.
    started: f64,
}

impl Process {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name, in parentheses, may have anything in it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // Numbered as in proc_pid_stat(5), which begins at 1 and has the
        // process' number and name before these.
        let field = |number: usize| -> Option<u64> { fields.get(number - 3)?.parse().ok() };
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        let pages = field(24)?;
        Some(Process {
            cpu: (field(14)? + field(15)?) as f64 / per_second,
            resident: pages * rustix::param::page_size() as u64,
            threads: field(20)?,
            started: field(22)? as f64 / per_second,
        })
    }
}

/// Seconds since 1970.
fn started(after_boot: f64) -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    let boot: f64 = boot.trim().parse().ok()?;
    Some(boot + after_boot)
}

const CPU: Family = Family::counter(
    "process_cpu_seconds_total",
    "Processor time that the gateway used, in seconds.",
);
const RESIDENT: Family = Family::gauge(
    "process_resident_memory_bytes",
    "Memory that the gateway has resident.",
);
const THREADS: Family = Family::gauge("process_threads", "Threads of the gateway.");
const FILES: Family = Family::gauge("process_open_fds", "Open files of the gateway.");
const STARTED: Family = Family::gauge(
    "process_start_time_seconds",
    "When the gateway was started, in seconds since 1970.",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let process = Process::read().unwrap();
        assert!(process.resident > 1 << 20);
        assert!(process.threads >= 1);
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let started = started(process.started).unwrap();
        assert!((now.as_secs_f64() - started).abs() < 86_400.0, "{started}");
    }
}
