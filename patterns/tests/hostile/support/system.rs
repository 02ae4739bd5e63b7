//! What the system says of another process.

use std::fs;
use std::time::Duration;

/// Numbers of a process's threads.
pub(crate) fn tasks(pid: u32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// What a process has held at the most: transients are in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident_most_kib: u64,
    pub(crate) virtual_most_kib: u64,
}

impl Memory {
    /// Of this process.
    #[track_caller]
    pub(crate) fn of(pid: u32) -> Self {
        let status =
            fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
            kib.and_then(|kib| kib.trim().parse().ok())
                .expect("a figure in KiB")
        };
        Memory {
            resident_most_kib: field("VmHWM:"),
            virtual_most_kib: field("VmPeak:"),
        }
    }
}

/// CPU time of all threads of a process so far.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let mut ns = 0;
    for task in tasks(pid) {
        // A thread may end while we look.
        let stat = fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat"));
        let stat = stat.unwrap_or_default();
        let on_cpu = stat.split_whitespace().next().map(str::parse::<u64>);
        ns += on_cpu.and_then(Result::ok).unwrap_or(0);
    }
    Duration::from_nanos(ns)
}
