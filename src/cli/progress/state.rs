//! The state of a run as its events report it, and the lines that show it.

use std::collections::VecDeque;
use std::fmt::Display;
use std::time::Duration;

use super::amount::{amount, part_of};
use crate::cli::render::{duration_text, plural};
use crate::event::{Event, Phase};
use crate::image::{Digest, visible};

/// The maximum number of lines for blobs in transfer.
const MAX_TRANSFERS: usize = 8;
/// The time over which the rate is averaged.
const RATE_WINDOW: Duration = Duration::from_secs(5);
/// The width of a line in columns from which a transfer has a bar.
const BAR_WIDTH: usize = 72;

/// What a command does, for the first word of its lines.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Activity {
    /// The verb and the reference of a command with one item, such as `reading registry.example/app:v1`.
    pub(in crate::cli) title: String,
    /// The verb of a command with several items, such as `reading`.
    pub(in crate::cli) verb: &'static str,
    /// The plural noun for the items, such as `references`.
    pub(in crate::cli) items: &'static str,
    /// Whether the command only predicts what it would do.
    pub(in crate::cli) is_dry: bool,
}

impl Activity {
    /// Describes a command by its verb, its first item, and the plural noun for its items.
    pub(in crate::cli) fn new(verb: &'static str, first: impl Display, items: &'static str) -> Self {
        Self { title: format!("{verb} {}", visible(&first.to_string())), verb, items, is_dry: false }
    }

    /// Describes a command whose items are references as the user wrote them.
    pub(in crate::cli) fn of_references(verb: &'static str, names: &[String]) -> Self {
        Self::new(verb, names.first().map_or("", String::as_str), "references")
    }

    /// Sets whether the command only predicts what it would do.
    pub(in crate::cli) fn dry(self, is_dry: bool) -> Self {
        Self { is_dry, ..self }
    }
}

/// The progress of a run. Times are durations since the start of the run.
pub(super) struct ProgressState {
    activity: Activity,
    /// The number of finished items and of all items, if there are several.
    items: Option<(usize, usize)>,
    /// Requests and retries so far.
    traffic: (usize, usize),
    phase: Option<Phase>,
    wait: Option<Wait>,
    blobs: Blobs,
    transfers: Vec<Transfer>,
    /// Bytes of transfers that have ended.
    ended_bytes: u64,
    /// The transferred bytes at earlier times, oldest first.
    samples: VecDeque<(Duration, u64)>,
}

/// A wait before a retry.
struct Wait {
    until: Duration,
    reason: String,
}

/// Blobs that were found to be needed at the targets, and those that are there.
#[derive(Default)]
struct Blobs {
    found: usize,
    found_bytes: u64,
    done: usize,
    done_bytes: u64,
}

/// A blob in transfer.
struct Transfer {
    id: u64,
    name: String,
    done: u64,
    size: u64,
}

impl ProgressState {
    pub(super) fn new(activity: Activity) -> Self {
        Self {
            activity,
            items: None,
            traffic: (0, 0),
            phase: None,
            wait: None,
            blobs: Blobs::default(),
            transfers: Vec::new(),
            ended_bytes: 0,
            samples: VecDeque::new(),
        }
    }

    /// Sets the number of items. A single item has no counter.
    pub(super) fn begin_items(&mut self, total: usize) {
        self.items = (total > 1).then_some((0, total));
    }

    /// Counts one more item as finished. `requests` is the total sent so far, including `retries`.
    pub(super) fn item_done(&mut self, requests: usize, retries: usize) {
        self.traffic = (requests, retries);
        if let Some((done, _)) = &mut self.items {
            *done += 1;
        }
    }

    /// Updates the state.
    pub(super) fn apply(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Phase { phase: Phase::BlobsFound { count, bytes }, .. } => {
                self.blobs.found += count;
                self.blobs.found_bytes = self.blobs.found_bytes.saturating_add(*bytes);
            }
            Event::Phase { phase: Phase::BlobDone { bytes }, .. } => {
                self.blobs.done += 1;
                self.blobs.done_bytes = self.blobs.done_bytes.saturating_add(*bytes);
            }
            Event::Phase { phase, .. } => self.phase = Some(phase.clone()),
            Event::Retry { reason, wait, is_requested, pauses, .. } => {
                let reason = match pauses {
                    Some(registry) if *is_requested => format!("{registry} asks for it"),
                    _ => visible(reason),
                };
                self.wait = Some(Wait { until: now + *wait, reason });
            }
            Event::NotReadBack { reference, wait, .. } => {
                let reason = format!("{} does not have the new digest yet", visible(reference));
                self.wait = Some(Wait { until: now + *wait, reason });
            }
            Event::Transfer { id, digest, size, done, is_over } => self.transfer(*id, digest, *size, *done, *is_over),
            _ => {}
        }
    }

    fn transfer(&mut self, id: u64, digest: &Digest, size: u64, done: u64, is_over: bool) {
        if is_over {
            self.transfers.retain(|transfer| transfer.id != id);
            self.ended_bytes = self.ended_bytes.saturating_add(done);
        } else if let Some(transfer) = self.transfers.iter_mut().find(|transfer| transfer.id == id) {
            transfer.done = done;
        } else {
            let name = digest.as_str().chars().take(19).collect();
            self.transfers.push(Transfer { id, name, done, size });
        }
    }

    /// Returns the lines to show at a time, each of at most `width` columns.
    pub(super) fn lines(&mut self, now: Duration, width: usize) -> Vec<String> {
        let rate = self.rate(now);
        let mut lines: Vec<String> =
            self.transfers.iter().take(MAX_TRANSFERS).map(|transfer| transfer.line(width)).collect();
        if let Some(line) = self.items_line(now) {
            lines.push(fit(line, width));
            lines.extend(self.wait_line(now).or_else(|| self.transferred(rate)).map(|line| fit(line, width)));
        } else {
            let line = self.wait_line(now).or_else(|| self.copying(rate)).unwrap_or_else(|| self.phase_line(rate));
            lines.push(fit(line, width));
        }
        lines
    }

    /// Returns the line of a run with several items.
    fn items_line(&self, now: Duration) -> Option<Vec<String>> {
        let (done, total) = self.items?;
        let Activity { verb, items, .. } = self.activity;
        let mut parts = vec![format!("{verb} {done} of {total} {items}")];
        if self.traffic.0 > 0 {
            parts.push(format!("{} requests", self.traffic.0));
        }
        if self.traffic.1 > 0 {
            parts.push(format!("{} retries", self.traffic.1));
        }
        parts.push(duration_text(now));
        Some(parts)
    }

    fn wait_line(&self, now: Duration) -> Option<Vec<String>> {
        let wait = self.wait.as_ref().filter(|wait| wait.until > now)?;
        // Round up, so that the last second is not shown as 0 s.
        let remaining = wait.until.saturating_sub(now) + Duration::from_millis(999);
        Some(vec![format!("waiting {}: {}", duration_text(remaining), wait.reason)])
    }

    /// Returns the line about blobs that are not at the target yet.
    fn copying(&self, rate: Option<u64>) -> Option<Vec<String>> {
        let Blobs { found, found_bytes, done, done_bytes } = self.blobs;
        if done >= found {
            return None;
        }
        let verb = if self.activity.is_dry { "checking" } else { "copying" };
        let in_transfer = |sum: u64, transfer: &Transfer| sum.saturating_add(transfer.done);
        let bytes = self.transfers.iter().fold(done_bytes, in_transfer).min(found_bytes);
        let mut parts = vec![format!("{verb} {done} of {found} blob{}", plural(found)), part_of(bytes, found_bytes)];
        if let Some(rate) = rate.filter(|rate| *rate > 0) {
            parts.push(format!("{}/s", amount(rate)));
            let left = Duration::from_secs((found_bytes - bytes).div_ceil(rate));
            parts.push(format!("{} left", duration_text(left)));
        }
        Some(parts)
    }

    /// Returns the line about transferred bytes whose total is not known.
    fn transferred(&self, rate: Option<u64>) -> Option<Vec<String>> {
        let bytes = self.transferred_bytes();
        let mut parts = vec![format!("{} transferred", amount(bytes))];
        parts.extend(rate.filter(|rate| *rate > 0).map(|rate| format!("{}/s", amount(rate))));
        (bytes > 0).then_some(parts)
    }

    fn phase_line(&self, rate: Option<u64>) -> Vec<String> {
        let is_dry = self.activity.is_dry;
        let text = match &self.phase {
            None => {
                let title = std::iter::once(self.activity.title.clone());
                return title.chain(self.transferred(rate).into_iter().flatten()).collect();
            }
            Some(Phase::Resolving { done, total }) if done < total => {
                format!("resolving {done} of {total} image{}", plural(*total))
            }
            Some(Phase::Manifests { done, total }) if done < total && !is_dry => {
                format!("pushing {done} of {total} manifest{}", plural(*total))
            }
            Some(Phase::WritingTag { tag, number, total }) => {
                // The repository is known from the command line; the tag is what changes.
                let name = tag.tag().map_or_else(|| tag.to_string(), |tag| format!("tag {tag}"));
                let position = if *total > 1 { format!(" ({number} of {total})") } else { String::new() };
                format!("writing {name}{position}")
            }
            Some(Phase::WritingTags { tags }) => format!("writing {tags} tags"),
            Some(Phase::Settling { .. }) => "checking for changes by other writers".into(),
            Some(Phase::ReadingBack { tags }) => {
                format!("waiting until {tags} tag{} resolve{} to the new digest", plural(*tags), verb_end(*tags))
            }
            Some(_) => self.activity.title.clone(),
        };
        vec![text]
    }

    fn transferred_bytes(&self) -> u64 {
        self.transfers.iter().fold(self.ended_bytes, |sum, transfer| sum.saturating_add(transfer.done))
    }

    /// Returns the recent rate in bytes per second, if enough time has passed to measure it.
    fn rate(&mut self, now: Duration) -> Option<u64> {
        let bytes = self.transferred_bytes();
        self.samples.push_back((now, bytes));
        while self.samples.front().is_some_and(|(at, _)| *at + RATE_WINDOW < now) && self.samples.len() > 2 {
            self.samples.pop_front();
        }
        let (since, before) = *self.samples.front()?;
        let seconds = now.saturating_sub(since).as_secs_f64();
        // Bytes of a retried blob count again from 0.
        (seconds >= 0.5).then(|| (bytes.saturating_sub(before) as f64 / seconds) as u64)
    }
}

impl Transfer {
    fn line(&self, width: usize) -> String {
        let (name, amounts) = (&self.name, part_of(self.done.min(self.size), self.size));
        if width < BAR_WIDTH {
            return fit(vec![format!("{name} {amounts}")], width);
        }
        let bar_width = 30;
        let filled = usize::try_from(u128::from(self.done.min(self.size)) * bar_width / u128::from(self.size.max(1)));
        let filled = filled.unwrap_or_default();
        let (full, empty) = ("#".repeat(filled), ".".repeat(bar_width as usize - filled));
        format!("{name} [{full}{empty}] {amounts}")
    }
}

/// Joins parts with commas, leaves out the last ones that do not fit, and shortens the first one if necessary.
fn fit(parts: Vec<String>, width: usize) -> String {
    let mut parts = parts.into_iter();
    let mut line = parts.next().unwrap_or_default();
    if line.chars().count() > width {
        return line.chars().take(width.saturating_sub(1)).chain(['…']).collect();
    }
    for part in parts {
        if line.chars().count() + 2 + part.chars().count() > width {
            break;
        }
        line = format!("{line}, {part}");
    }
    line
}

/// Returns the ending of a verb after this number of subjects.
fn verb_end(count: usize) -> &'static str {
    if count == 1 { "s" } else { "" }
}

#[cfg(test)]
mod tests;
