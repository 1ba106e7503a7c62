//! What `/proc` tells of a process.

use std::fs;
use std::time::Duration;

use outrigger_harness::Process;

/// The CPU time of the threads that serve requests, so far.
pub(crate) fn worker_time(process: Process) -> Duration {
    let tasks = format!("/proc/{}/task", process.pid());
    let tasks = fs::read_dir(tasks).expect("it runs");
    let times = tasks.flatten().filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        // "Time spent on the CPU" in nanoseconds comes first.
        let times = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let on_cpu = times.split_whitespace().next()?.parse().ok()?;
        name.starts_with("worker-")
            .then(|| Duration::from_nanos(on_cpu))
    });
    times.sum()
}

/// Memory in RAM, in MiB: now (`VmRSS`) or at most so far (`VmHWM`).
pub(crate) fn memory(process: Process, what: &str) -> f64 {
    let status = format!("/proc/{}/status", process.pid());
    let status = fs::read_to_string(status).expect("it runs");
    let line = status.lines().find(|line| line.starts_with(what));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .expect("every process has it");
    kib / 1024.0
}

/// How many threads wanted to run in the last minute, on average.
pub(crate) fn machine_load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}
