//! Every fault at every request of a push: it is done, or it fails and says what is so, and a tag never points at what
//! is not there.

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use crate::support::faults::Fault;
use crate::support::scene::{Scene, TAGS};
use crate::support::scripted::Asked;
use crate::support::{Outcome, push_from_args};

type Named = (&'static str, Fault);

const HOUR: Duration = Duration::from_secs(3600);

/// What a single one of must not keep a push from being done; then those that may, if it fails as it should.
fn faults() -> (Vec<Named>, Vec<Named>) {
    let instead = |status, headers: Vec<(&'static str, String)>, body| Fault::Instead(status, headers, body);
    let in_an_hour = httpdate::fmt_http_date(SystemTime::now() + HOUR);
    let passing = vec![
        ("refused", Fault::Refused(Duration::from_millis(60))),
        ("reset before", Fault::ResetBefore),
        ("answer lost", Fault::LostAnswer),
        ("reset in the middle", Fault::ResetMiddle),
        ("stall", Fault::Stall),
        ("truncated", Fault::Truncated),
        ("429", instead(429, vec![], "")),
        ("429 seconds", instead(429, vec![("Retry-After", "1".into())], "")),
        ("429 date", instead(429, vec![("Retry-After", in_an_hour)], "")),
        ("429 GHCR", instead(429, vec![], "retry-after: 12.5ms, allowed: 44000/minute")),
        ("500", instead(500, vec![], r#"{"errors":[{"code":"UNKNOWN"}]}"#)),
        ("502", instead(502, vec![("Content-Type", "text/html".into())], "<html>bad gateway</html>")),
        ("503", instead(503, vec![("Retry-After", "0".into())], "")),
        ("wrong body", Fault::WrongBody),
        ("wrong digest", Fault::WrongDigest),
    ];
    let lasting = vec![
        ("401", instead(401, vec![], r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#)),
        ("403", instead(403, vec![], r#"{"errors":[{"code":"DENIED"}]}"#)),
        ("404", instead(404, vec![], r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#)),
        ("no headers", Fault::NoHeaders),
        ("endless", Fault::Endless),
    ];
    (passing, lasting)
}

/// One run of the matrix.
struct Case {
    request: String,
    name: &'static str,
    fault: Fault,
    once: bool,
    must_pass: bool,
}

/// A server that says nothing for so long has another fault than the one that is tried.
const PATIENT: &str = "8s";

impl Case {
    fn is_idle_timeout(&self) -> bool {
        self.name == "stall"
    }

    fn timeout(&self) -> &'static str {
        if self.is_idle_timeout() { "600ms" } else { PATIENT }
    }

    /// The tag whose write may be carried out although nobody hears of it: there is no truth but that it is not known.
    fn left_open(&self) -> Option<&'static str> {
        let lost = ["refused", "reset before", "answer lost", "reset in the middle", "stall", "truncated", "502"];
        let tag = TAGS.into_iter().find(|tag| self.request == format!("PUT /v2/whole/manifests/{tag}"));
        tag.filter(|_| lost.contains(&self.name))
    }
}

type Counts = BTreeMap<(&'static str, bool), Count>;

#[derive(Default)]
struct Count {
    runs: usize,
    done: usize,
}

#[test]
fn every_fault_at_every_request() {
    let scene = Arc::new(Scene::new());
    let requests = requests_of_a_push(&scene);
    assert_eq!(requests.len(), 23, "{requests:?}");
    let (passing, lasting) = faults();
    let cases = cases(&requests, &passing, &lasting);
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let counts: Mutex<Counts> = Mutex::default();
    // Most of the time nothing is done but wait.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    // A machine that is busy elsewhere may take longer than what a stall is to be told from.
                    let outcome = run(&scene, case, case.timeout());
                    let outcome = outcome.or_else(|what| match case.is_idle_timeout() {
                        true => run(&scene, case, PATIENT),
                        false => Err(what),
                    });
                    let mut counts = counts.lock().unwrap();
                    let count = counts.entry((case.name, case.once)).or_default();
                    count.runs += 1;
                    count.done += usize::from(outcome == Ok(true));
                    if let Err(what) = outcome {
                        let times = if case.once { "once" } else { "for ever" };
                        failures.lock().unwrap().push(format!("{} at {} {times}: {what}", case.name, case.request));
                    }
                }
            });
        }
    });
    report(&counts.into_inner().unwrap(), passing.iter().chain(&lasting).map(|(name, _)| *name));
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

fn cases(requests: &[String], passing: &[Named], lasting: &[Named]) -> Vec<Case> {
    let mut cases = Vec::new();
    for request in requests {
        for (must_pass, faults) in [(true, passing), (false, lasting)] {
            for (name, fault) in faults {
                for once in [true, false] {
                    let fault = match (fault, once) {
                        (Fault::Refused(_), false) => Fault::Refused(HOUR),
                        _ => fault.clone(),
                    };
                    cases.push(Case { request: request.clone(), name, fault, once, must_pass: must_pass && once });
                }
            }
        }
    }
    cases
}

fn report<'a>(counts: &Counts, names: impl Iterator<Item = &'a str>) {
    // Past the test harness, which would keep it to itself.
    let mut shown = std::io::stderr();
    writeln!(shown, "{:20} {:>12} {:>12}", "fault", "once", "for ever").unwrap();
    let of = |name, once| counts.get(&(name, once)).map(|Count { runs, done }| format!("{done} of {runs}")).unwrap();
    for name in names {
        writeln!(shown, "{name:20} {:>12} {:>12}", of(name, true), of(name, false)).unwrap();
    }
    for (once, times) in [(true, "once"), (false, "for ever")] {
        let of = counts.iter().filter(|((_, of), _)| *of == once);
        let (done, runs) = of.fold((0, 0), |(done, runs), (_, count)| (done + count.done, runs + count.runs));
        writeln!(shown, "{done} of {runs} pushes were done in spite of a fault {times}").unwrap();
    }
}

/// The requests of a push without faults, each once, as [`name_of`] writes them.
fn requests_of_a_push(scene: &Scene) -> Vec<String> {
    let repository = scene.new_target();
    let front = scene.front(|_| None);
    let outcome = push(&front.host, &repository, PATIENT);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    scene.check(&repository, &outcome).unwrap();
    let mut seen = HashSet::new();
    let names = front.asked().into_iter().map(|asked| name_of(&asked, &repository));
    names.filter(|name| seen.insert(name.clone())).collect()
}

/// A request, without what is new in each run.
fn name_of(asked: &Asked, repository: &str) -> String {
    let line = asked.line.replace(repository, "whole");
    match (line.find("/blobs/uploads/"), line.find("digest=")) {
        (Some(upload), Some(digest)) => format!("{}/blobs/uploads/*?{}", &line[..upload], &line[digest..]),
        _ => line,
    }
}

fn push(host: &str, repository: &str, timeout: &str) -> Outcome {
    let target = format!("{repository}:{}", TAGS[0]);
    let tags = TAGS[1..].join(",");
    let bounds = ["--tags", &tags, "--retries", "3", "--timeout", timeout, "--max-wait", "100ms"];
    push_from_args(host, "linux/amd64,linux/arm64", "parts:ARCH", &target, &bounds)
}

/// Whether the push was done; an error where anything is not as it should be.
fn run(scene: &Scene, case: &Case, timeout: &str) -> Result<bool, String> {
    let repository = scene.new_target();
    let (request, fault, once) = (case.request.clone(), case.fault.clone(), case.once);
    let (fired, of) = (AtomicUsize::new(0), repository.clone());
    let front = scene.front(move |asked| {
        let wanted = name_of(asked, &of) == request;
        (wanted && (fired.fetch_add(1, Ordering::SeqCst) == 0 || !once)).then(|| fault.clone())
    });
    let began = Instant::now();
    let outcome = push(&front.host, &repository, timeout);
    let took = began.elapsed();
    let fail = |what: &str| Err(format!("{what}: {outcome:?}"));
    if front.fired.load(Ordering::SeqCst) == 0 {
        return fail("the fault did not happen");
    }
    // Five requests one after another, each four times with a stall of 8 s at most.
    if took > Duration::from_secs(170) {
        return fail(&format!("it took {took:?}"));
    }
    if case.must_pass && outcome.exit != 0 {
        return fail("it should have been done");
    }
    match scene.check_but(&repository, &outcome, case.left_open()) {
        Ok(()) => Ok(outcome.exit == 0),
        Err(what) => fail(&what),
    }
}
