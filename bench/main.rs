//! Measures what each task costs: wall time in round trips, requests, connections, memory and CPU time.
//!
//! `make bench` runs it. Other programs that can do the task run too if they are on PATH, against the same registry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]
#![allow(dead_code, reason = "shared with the tests; the benchmark uses a part of it")]

#[path = "../integration/support/mod.rs"]
#[allow(unused_imports)]
mod support;

mod measure;
mod peers;
mod proxy;
mod scenes;
mod task;

use std::time::Duration;

use scenes::{Row, SceneFilter};

/// `cargo bench -- 100 token` runs only the scenes whose name contains "token", with only a round-trip time of 100 ms.
fn main() {
    let arguments = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let (times, names): (Vec<String>, Vec<String>) = arguments.partition(|word| word.parse::<u64>().is_ok());
    println!("| scene | program | RTT ms | wall ms | wall RTT | requests | connections | memory MB | CPU ms |");
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|");
    for milliseconds in [0, 30, 100] {
        if times.is_empty() || times.contains(&milliseconds.to_string()) {
            let round_trip = Duration::from_millis(milliseconds);
            scenes::against_peers(round_trip, &SceneFilter(&names), print);
            scenes::copies(round_trip, &SceneFilter(&names), print);
            // The time is that of the processor.
            if milliseconds == 0 {
                scenes::recompressions(&SceneFilter(&names), print);
            }
            // Programs that read one tag after another already take minutes at 30 ms.
            if milliseconds < 100 {
                scenes::tags(round_trip, &SceneFilter(&names), print);
            }
            scenes::growth(round_trip, &SceneFilter(&names), print);
        }
    }
}

fn print(row: Row) {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let Row { scene, program, round_trip, measured, requests, connections } = row;
    let trips = match milliseconds(round_trip) {
        0.0 => "".to_owned(),
        trip => format!("{:.1}", milliseconds(measured.wall) / trip),
    };
    let failed = if measured.success { "" } else { " (failed)" };
    println!(
        "| {scene} | {program}{failed} | {} | {:.0} | {trips} | {requests} | {connections} | {:.1} | {:.0} |",
        round_trip.as_millis(),
        milliseconds(measured.wall),
        measured.memory as f64 / 1e6,
        milliseconds(measured.cpu),
    );
}
