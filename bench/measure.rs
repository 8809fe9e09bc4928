//! Runs a program to completion and measures it from outside.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wait4::Wait4 as _;

pub struct Measured {
    pub wall: Duration,
    pub cpu: Duration,
    /// Peak resident memory, bytes.
    pub memory: u64,
    pub success: bool,
    pub stderr: String,
}

pub fn run(command: &mut Command) -> Measured {
    let errors = tempfile::NamedTempFile::new().unwrap();
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors.reopen().unwrap())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (id, over) = (child.id(), Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&over);
    let peak = std::thread::spawn(move || peak_memory(id, &stop));
    let ended = child.wait4().unwrap();
    let wall = started.elapsed();
    over.store(true, Ordering::Relaxed);
    Measured {
        wall,
        cpu: ended.rusage.utime + ended.rusage.stime,
        memory: peak.join().unwrap(),
        success: ended.status.success(),
        stderr: std::fs::read_to_string(errors.path()).unwrap_or_default(),
    }
}

/// Samples the kernel's high-water mark (VmHWM) of a process and its children until the process ends. `wait4` cannot
/// be used: its maximum includes the parent's memory between fork and exec.
fn peak_memory(id: u32, over: &AtomicBool) -> u64 {
    let mut peaks: HashMap<u32, u64> = HashMap::new();
    while !over.load(Ordering::Relaxed) {
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        for process in children.split(' ').filter_map(|child| child.parse().ok()).chain([id]) {
            let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let mark =
                status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
            if let Some(kilobytes) = mark.map(|kilobytes: u64| kilobytes * 1024) {
                peaks.insert(process, kilobytes);
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    peaks.into_values().max().unwrap_or_default()
}
