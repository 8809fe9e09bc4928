//! Chooses the writers of a schedule and the limits of its registry, and runs it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::bugs::Bug;
use super::edits::{Change, EditCache, PLATFORMS, Versions, shown};
use super::registry::{Limits, MAX_WRITERS, Registry};
use super::scheduler::{Scheduler, Time};
use super::writers::{Finished, Writer};
use crate::image::Location;
use crate::store::IfMatch;

const SETTLE: Time = 1000;

/// An assumption without which an update can be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assumption {
    /// A write takes less than the settling time from its look to its end.
    FastWrites,
    /// Reads lag by less than half of the settling time.
    ShortLag,
    /// The time of a write and twice the lag are together less than the settling time.
    ShortWriteAndLag,
    /// Every writer looks at the tag before it writes it.
    EveryWriterLooks,
}

/// What the writers of a schedule do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// Appends of different platforms, and no lost answers.
    Plain,
    /// Appends of different platforms, and lost answers.
    Lossy,
    /// Appends, also of the same platform, and removals, with extra tags, preconditions, interrupts and lost answers.
    Full,
}

/// The kind of schedules to run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kind {
    /// What the writers do, or `None` to choose by the seed.
    pub mix: Option<Mix>,
    pub bug: Option<Bug>,
    /// The assumption that does not hold.
    pub dropped: Option<Assumption>,
}

/// A schedule that has run to its end.
pub struct Run {
    pub registry: Registry,
    pub initial: Versions,
    pub writers: Vec<Finished>,
    pub trace: String,
}

/// Runs the schedule of a seed.
pub fn run(seed: u64, kind: Kind, edits: &Arc<EditCache>, is_traced: bool) -> Run {
    let scheduler = Scheduler::new(seed, is_traced);
    let mix = kind.mix.unwrap_or_else(|| [Mix::Plain, Mix::Lossy, Mix::Full, Mix::Full][scheduler.below(4) as usize]);
    let limits = limits(&scheduler, mix, kind.dropped);
    let initial = initial(&scheduler);
    let tags: Vec<Location> = ["v1", "latest", "stable"].map(|tag| format!("r.io/whole:{tag}").parse().unwrap()).into();
    let content = (initial != Versions::default()).then(|| edits.index_of(&initial));
    if let Some((descriptor, bytes)) = &content {
        edits.add_content(descriptor, bytes);
    }
    let digest = content.map(|(descriptor, _)| descriptor.digest);
    scheduler.note(|| format!("seed {seed}: {limits:?}, initially {}", shown(&initial)));
    let registry = Registry::new(&scheduler, edits, limits, kind.bug, tags.clone(), digest.clone());
    let if_match = digest.map_or(IfMatch::Missing, IfMatch::Digest);
    let finished = Rc::new(RefCell::new(Vec::new()));
    let count = 2 + scheduler.below(MAX_WRITERS as u64 - 1) as usize;
    for number in 0..count {
        let writer = Writer {
            number,
            change: match kind.dropped {
                Some(Assumption::EveryWriterLooks) if number == 0 => Change::Replace(append(&[number], 1)),
                _ => change(&scheduler, mix, number),
            },
            tags: tags[1..1 + extra_tags(&scheduler, mix)].to_vec(),
            if_match: (mix == Mix::Full && scheduler.once_in(8)).then(|| if_match.clone()),
            start: scheduler.time_within(SETTLE),
            stop: (mix == Mix::Full && scheduler.once_in(16)).then(|| scheduler.below(4 * SETTLE)),
            bug: kind.bug,
        };
        scheduler.note(|| format!("writer {number}: {writer}"));
        let (writing, finished) =
            (writer.run(scheduler.clone(), registry.clone(), Arc::clone(edits)), Rc::clone(&finished));
        scheduler.spawn(async move {
            let writer = writing.await;
            finished.borrow_mut().push(writer);
        });
    }
    scheduler.run();
    let mut writers = finished.take();
    writers.sort_by_key(|writer| writer.number);
    assert_eq!(writers.len(), count, "seed {seed}: a writer waits for ever");
    Run { registry, initial, writers, trace: scheduler.trace() }
}

fn limits(scheduler: &Scheduler, mix: Mix, dropped: Option<Assumption>) -> Limits {
    let loses_answers = mix == Mix::Lossy || (mix == Mix::Full && scheduler.once_in(3));
    let lags = [0, SETTLE / 10, SETTLE / 4, SETTLE * 2 / 5];
    let lag = if mix == Mix::Full { lags[scheduler.below(lags.len() as u64) as usize] } else { 0 };
    let limits = Limits { settle: SETTLE, lag, write: SETTLE - 2 * lag - 1, slow_write: None, loses_answers };
    match dropped {
        Some(Assumption::FastWrites) => Limits { slow_write: Some(2 * SETTLE), ..limits },
        Some(Assumption::ShortLag) => Limits { lag: 2 * SETTLE, write: SETTLE / 10, ..limits },
        Some(Assumption::ShortWriteAndLag) => Limits { lag: SETTLE * 2 / 5, write: SETTLE / 2, ..limits },
        Some(Assumption::EveryWriterLooks) | None => limits,
    }
}

fn initial(scheduler: &Scheduler) -> Versions {
    let mut versions = Versions::default();
    if !scheduler.once_in(4) {
        for version in &mut versions {
            *version = scheduler.once_in(2).then_some(0);
        }
    }
    versions
}

fn change(scheduler: &Scheduler, mix: Mix, number: usize) -> Change {
    let any_platform = || scheduler.below(PLATFORMS.len() as u64) as usize;
    if mix != Mix::Full {
        return Change::Append(append(&[number], 1));
    }
    if scheduler.once_in(5) {
        return Change::Remove { platform: any_platform(), version: 0, by_digest: scheduler.once_in(2) };
    }
    let platform = if scheduler.once_in(4) { any_platform() } else { number };
    let second = if scheduler.once_in(6) { any_platform() } else { platform };
    Change::Append(append(&[platform, second], scheduler.below(3) as u8))
}

fn append(platforms: &[usize], version: u8) -> Versions {
    let mut versions = Versions::default();
    platforms.iter().for_each(|platform| versions[*platform] = Some(version));
    versions
}

fn extra_tags(scheduler: &Scheduler, mix: Mix) -> usize {
    if mix != Mix::Full || !scheduler.once_in(4) { 0 } else { 1 + scheduler.below(2) as usize }
}
