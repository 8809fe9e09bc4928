//! Runs the convergence of several writers against a simulated registry, with a simulated clock. Every choice depends
//! only on a seed: which writer runs next, how long each request takes, which replica answers, and what is lost.
//! `docs/concurrent-writers.md` describes the model and how to run one schedule again.

#![allow(clippy::print_stdout, reason = "`--nocapture` shows the schedules that were found")]

mod bugs;
mod edits;
mod environment;
mod invariants;
mod registry;
mod schedule;
mod scheduler;
mod writers;

use std::env;
use std::ops::Range;
use std::sync::Arc;

use bugs::Bug;
use edits::EditCache;
use schedule::{Assumption, Kind, Mix, Run};

const SCHEDULES: u64 = 100_000;

/// A schedule at whose end something did not hold.
#[derive(Debug)]
struct Problem {
    seed: u64,
    text: String,
    trace: String,
}

/// Runs schedules until something does not hold at the end of one.
fn find(kind: Kind, seeds: Range<u64>, edits: &Arc<EditCache>, mut on_run: impl FnMut(&Run)) -> Option<Problem> {
    seeds.into_iter().find_map(|seed| {
        let run = schedule::run(seed, kind, edits, false);
        on_run(&run);
        let text = invariants::check(&run, edits).err()?;
        Some(Problem { seed, text, trace: schedule::run(seed, kind, edits, true).trace })
    })
}

/// Returns a number from an environment variable.
fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[test]
fn no_update_is_lost_in_100_000_schedules() {
    let (kind, edits) = (Kind::default(), Arc::new(EditCache::new()));
    if let Some(seed) = number("SIMULATION_SEED") {
        let run = schedule::run(seed, kind, &edits, true);
        println!("{}", run.trace);
        assert_eq!(invariants::check(&run, &edits), Ok(()), "seed {seed}");
        return;
    }
    let count = number("SIMULATION_SCHEDULES").unwrap_or(SCHEDULES);
    let (mut writers, mut done, mut restarts) = (0, 0, 0);
    let problem = find(kind, 0..count, &edits, |run| {
        writers += run.writers.len();
        done += run.writers.iter().filter(|writer| writer.outcome.is_ok()).count();
        restarts += run.writers.iter().map(|writer| writer.restarts).sum::<usize>();
    });
    if let Some(Problem { seed, text, trace }) = problem {
        panic!("{trace}\n{text}\nrun this schedule again with SIMULATION_SEED={seed}");
    }
    println!("{count} schedules, {writers} writers: {done} done, started over {restarts} times");
    assert!(done > writers / 2 && restarts > writers / 4, "the writers hardly meet");
}

#[test]
fn a_seed_determines_the_schedule() {
    for seed in 0..20 {
        let traces = [(); 2].map(|()| schedule::run(seed, Kind::default(), &Arc::new(EditCache::new()), true).trace);
        assert!(traces[0] == traces[1] && traces[0].contains("is DONE"), "{}", traces[0]);
    }
}

#[test]
fn every_seeded_bug_is_found() {
    let edits = Arc::new(EditCache::new());
    for (bug, mix, expected) in [
        (Bug::NoReadBack, None, "LOST"),
        (Bug::NoLook, None, "LOST"),
        (Bug::AnyContentCountsAsApplied, None, "LOST"),
        (Bug::NoSettleWithoutWrite, None, "LOST"),
        // Convergence had the last three until this simulation found them.
        (Bug::AnyReadBackIsFinal, Some(Mix::Plain), "LOST"),
        (Bug::LateAttemptIsForgotten, Some(Mix::Lossy), "LOST"),
        (Bug::LostAnswerIsForgotten, None, "DISHONEST"),
    ] {
        let kind = Kind { mix, bug: Some(bug), dropped: None };
        let problem = find(kind, 0..SCHEDULES, &edits, |_| {}).unwrap_or_else(|| panic!("{bug:?} was not found"));
        println!("{bug:?} was found by schedule {}: {}", problem.seed + 1, problem.text);
        assert!(problem.text.contains(expected), "{problem:?}");
    }
}

/// Asserts that an update is lost without an assumption and is not lost with it, and prints the shortest schedule that
/// loses one.
fn assert_needed(assumption: Assumption) {
    const SEEDS: Range<u64> = 0..1000;
    let (kept, edits) = (Kind { mix: Some(Mix::Plain), ..Kind::default() }, Arc::new(EditCache::new()));
    let dropped = Kind { dropped: Some(assumption), ..kept };
    let losses = SEEDS.filter_map(|seed| find(dropped, seed..seed + 1, &edits, |_| {}));
    let losses: Vec<Problem> = losses.filter(|problem| problem.text.contains("LOST: its change")).collect();
    let shortest = losses.iter().min_by_key(|problem| problem.trace.lines().count());
    let Problem { seed, text, trace } = shortest.unwrap_or_else(|| panic!("{assumption:?} is not needed"));
    println!("{} of {SEEDS:?} lose an update without {assumption:?}; seed {seed}: {text}\n{trace}", losses.len());
    let problem = find(kept, SEEDS, &edits, |_| {});
    assert!(problem.is_none(), "{problem:?}");
}

#[test]
fn a_write_that_takes_longer_than_the_settling_time_can_lose_an_update() {
    assert_needed(Assumption::FastWrites);
}

#[test]
fn reads_that_lag_more_than_the_settling_time_can_lose_an_update() {
    assert_needed(Assumption::ShortLag);
}

#[test]
fn a_write_and_a_lag_that_together_exceed_the_settling_time_can_lose_an_update() {
    assert_needed(Assumption::ShortWriteAndLag);
}

#[test]
fn a_writer_that_does_not_look_can_lose_an_update() {
    assert_needed(Assumption::EveryWriterLooks);
}
