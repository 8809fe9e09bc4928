use super::*;
use crate::image::Location;

const MIB: u64 = 1 << 20;

fn at(text: &str) -> Location {
    text.parse().unwrap()
}

fn phase(phase: Phase) -> Event {
    Event::Phase { target: at("r.io/app:v1"), phase }
}

fn transfer(id: u64, done: u64, size: u64) -> Event {
    Event::Transfer { id, digest: Digest::sha256(b"x"), size, done, is_over: false }
}

fn retry(pauses: Option<&str>, is_requested: bool) -> Event {
    let (reason, wait) = ("r.io/app:v1: HTTP 503".to_owned(), Duration::from_secs(30));
    Event::Retry { reason, wait, is_requested, failed: 1, retries: 5, pauses: pauses.map(str::to_owned) }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn state(is_dry: bool) -> ProgressState {
    ProgressState::new(Activity::new("pushing", "r.io/app:v1", "indexes").dry(is_dry))
}

/// Returns the lines after all these events.
fn lines_after(is_dry: bool, events: &[Event], width: usize) -> Vec<String> {
    let mut state = state(is_dry);
    events.iter().for_each(|event| state.apply(event, Duration::ZERO));
    state.lines(seconds(0.3), width)
}

#[test]
fn each_phase_has_its_line() {
    let writing = |tag: &str, number, total| Phase::WritingTag { tag: at(tag), number, total };
    for (phases, line) in [
        (vec![], "pushing r.io/app:v1"),
        (vec![Phase::Resolving { done: 7, total: 10 }], "resolving 7 of 10 images"),
        (vec![Phase::Resolving { done: 0, total: 1 }], "resolving 0 of 1 image"),
        (vec![Phase::Resolving { done: 10, total: 10 }], "pushing r.io/app:v1"),
        (vec![Phase::BlobsFound { count: 12, bytes: 260 * MIB }], "copying 0 of 12 blobs, 0 of 260 MiB"),
        (
            vec![Phase::BlobsFound { count: 2, bytes: 20 * MIB }, Phase::BlobDone { bytes: 15 * MIB }],
            "copying 1 of 2 blobs, 15 of 20 MiB",
        ),
        (
            vec![
                Phase::Resolving { done: 1, total: 2 },
                Phase::BlobsFound { count: 1, bytes: 5 },
                Phase::BlobDone { bytes: 5 },
            ],
            "resolving 1 of 2 images",
        ),
        (vec![Phase::Manifests { done: 3, total: 10 }], "pushing 3 of 10 manifests"),
        (vec![Phase::Manifests { done: 10, total: 10 }], "pushing r.io/app:v1"),
        (vec![writing("r.io/app:v1.2", 2, 3)], "writing tag v1.2 (2 of 3)"),
        (vec![writing("r.io/app:v1", 1, 1)], "writing tag v1"),
        (vec![writing("oci:folder", 1, 1)], "writing oci:folder"),
        (vec![Phase::Settling { time: Duration::from_secs(1) }], "checking for changes by other writers"),
        (vec![Phase::ReadingBack { tags: 1 }], "waiting until 1 tag resolves to the new digest"),
        (vec![Phase::ReadingBack { tags: 2 }], "waiting until 2 tags resolve to the new digest"),
    ] {
        let events: Vec<Event> = phases.into_iter().map(phase).collect();
        assert_eq!(lines_after(false, &events, 100), [line]);
    }
}

#[test]
fn a_dry_run_checks_blobs_and_pushes_no_manifests() {
    let found = phase(Phase::BlobsFound { count: 3, bytes: 3 });
    assert_eq!(lines_after(true, &[found], 100), ["checking 0 of 3 blobs, 0 of 3 bytes"]);
    let manifests = phase(Phase::Manifests { done: 1, total: 2 });
    assert_eq!(lines_after(true, &[manifests], 100), ["pushing r.io/app:v1"]);
}

#[test]
fn a_wait_is_counted_down_until_it_is_over() {
    for (event, reason) in [
        (retry(Some("r.io"), true), "r.io asks for it"),
        (retry(Some("r.io"), false), "r.io/app:v1: HTTP 503"),
        (retry(None, true), "r.io/app:v1: HTTP 503"),
    ] {
        let mut state = state(false);
        state.apply(&event, seconds(10.0));
        for (now, line) in [
            (10.1, format!("waiting 30 s: {reason}")),
            (38.5, format!("waiting 2 s: {reason}")),
            (39.9, format!("waiting 1 s: {reason}")),
            (40.0, "pushing r.io/app:v1".into()),
        ] {
            assert_eq!(state.lines(seconds(now), 100), [line]);
        }
    }
}

#[test]
fn a_transfer_has_a_line_and_the_total_has_a_rate() {
    let mut state = state(false);
    state.apply(&phase(Phase::BlobsFound { count: 2, bytes: 260 * MIB }), Duration::ZERO);
    state.apply(&transfer(1, 0, 200 * MIB), Duration::ZERO);
    let name = Digest::sha256(b"x").as_str().chars().take(19).collect::<String>();
    assert_eq!(
        state.lines(Duration::ZERO, 100),
        [format!("{name} [{}] 0 of 200 MiB", ".".repeat(30)), "copying 0 of 2 blobs, 0 of 260 MiB".into()]
    );
    state.apply(&transfer(1, 100 * MIB, 200 * MIB), seconds(4.0));
    assert_eq!(
        state.lines(seconds(4.0), 100),
        [
            format!("{name} [{}{}] 100 of 200 MiB", "#".repeat(15), ".".repeat(15)),
            "copying 0 of 2 blobs, 100 of 260 MiB, 25 MiB/s, 7 s left".into()
        ]
    );
    // The blob is retried from its beginning: the rate must not underflow.
    state.apply(&transfer(1, 0, 200 * MIB), seconds(5.0));
    assert_eq!(state.lines(seconds(5.0), 100).pop().unwrap(), "copying 0 of 2 blobs, 0 of 260 MiB");
    let over = Event::Transfer { id: 1, digest: Digest::sha256(b"x"), size: 7, done: 200 * MIB, is_over: true };
    state.apply(&over, seconds(6.0));
    state.apply(&phase(Phase::BlobDone { bytes: 200 * MIB }), seconds(6.0));
    let lines = state.lines(seconds(6.0), 100);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines.concat().starts_with("copying 1 of 2 blobs, 200 of 260 MiB, "), "{lines:?}");
}

#[test]
fn a_run_of_several_items_counts_them_and_its_requests() {
    let mut state = state(false);
    state.begin_items(1000);
    state.apply(&phase(Phase::Resolving { done: 0, total: 3 }), Duration::ZERO);
    assert_eq!(state.lines(seconds(0.3), 100), ["pushing 0 of 1000 indexes, 0 s"]);
    (0..12).for_each(|_| state.item_done(340, 2));
    assert_eq!(state.lines(seconds(61.0), 100), ["pushing 12 of 1000 indexes, 340 requests, 2 retries, 1 min 1 s"]);
    state.apply(&retry(Some("r.io"), true), seconds(61.0));
    assert_eq!(state.lines(seconds(61.5), 100).pop().unwrap(), "waiting 30 s: r.io asks for it");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut state = state(false);
    state.apply(&phase(Phase::BlobsFound { count: 20, bytes: u64::MAX }), Duration::ZERO);
    (0..20).for_each(|id| state.apply(&transfer(id, u64::MAX, u64::MAX), seconds(1.0)));
    for width in 1..120 {
        let lines = state.lines(seconds(2.0), width);
        assert_eq!(lines.len(), MAX_TRANSFERS + 1);
        assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:?}");
    }
    assert_eq!(lines_after(false, &[], 12), ["pushing r.i…"]);
}

#[test]
fn totals_that_overflow_are_capped() {
    let found = || phase(Phase::BlobsFound { count: 1, bytes: u64::MAX });
    let events = [found(), found(), phase(Phase::BlobDone { bytes: u64::MAX }), transfer(1, u64::MAX, 1)];
    let lines = lines_after(false, &events, 100);
    assert_eq!(lines.last().unwrap(), "copying 1 of 2 blobs, 16 of 16 EiB");
}
