//! Injects every fault into every request of a push: the push succeeds, or fails with a correct report, and a tag never
//! points at an incomplete index.

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use crate::support::faults::Fault;
use crate::support::multi_tag::{OciTag, multi_tag_registry};
use crate::support::push_fixture::{PushFixture, TAGS};
use crate::support::scripted_server::ReceivedRequest;
use crate::support::{Outcome, push_from_args};

type NamedFault = (&'static str, Fault);

const HOUR: Duration = Duration::from_secs(3600);

/// Returns the faults that a push must survive if they occur once, and those that may make it fail.
fn faults() -> (Vec<NamedFault>, Vec<NamedFault>) {
    let respond = |status, headers: Vec<(&'static str, String)>, body| Fault::CannedResponse(status, headers, body);
    let in_an_hour = httpdate::fmt_http_date(SystemTime::now() + HOUR);
    let recoverable = vec![
        ("refused", Fault::ConnectionRefused(Duration::from_millis(60))),
        ("reset on request", Fault::ResetOnRequest),
        ("response lost", Fault::LostResponse),
        ("reset mid-response", Fault::ResetMidResponse),
        ("stall", Fault::Stall),
        ("truncated", Fault::TruncatedResponse),
        ("429", respond(429, vec![], "")),
        ("429 seconds", respond(429, vec![("Retry-After", "1".into())], "")),
        ("429 date", respond(429, vec![("Retry-After", in_an_hour)], "")),
        ("429 GHCR", respond(429, vec![], "retry-after: 12.5ms, allowed: 44000/minute")),
        ("500", respond(500, vec![], r#"{"errors":[{"code":"UNKNOWN"}]}"#)),
        ("502", respond(502, vec![("Content-Type", "text/html".into())], "<html>bad gateway</html>")),
        ("503", respond(503, vec![("Retry-After", "0".into())], "")),
        ("wrong body", Fault::WrongBody),
        ("wrong digest", Fault::WrongDigest),
    ];
    let fatal = vec![
        ("401", respond(401, vec![], r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#)),
        ("403", respond(403, vec![], r#"{"errors":[{"code":"DENIED"}]}"#)),
        ("404", respond(404, vec![], r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#)),
        ("missing headers", Fault::MissingHeaders),
        ("endless body", Fault::EndlessBody),
    ];
    (recoverable, fatal)
}

/// One fault at one request.
struct Case {
    request: String,
    name: &'static str,
    fault: Fault,
    once: bool,
    must_succeed: bool,
}

/// An idle timeout long enough that only a stalled server exceeds it.
const LONG_TIMEOUT: &str = "8s";

impl Case {
    fn is_stall(&self) -> bool {
        self.name == "stall"
    }

    fn timeout(&self) -> &'static str {
        if self.is_stall() { "600ms" } else { LONG_TIMEOUT }
    }

    /// Returns the tags whose write may succeed without a response, so that their state is not known.
    fn uncertain_tags(&self) -> Vec<&'static str> {
        let without_response =
            ["refused", "reset on request", "response lost", "reset mid-response", "stall", "truncated", "502"];
        if !without_response.contains(&self.name) {
            return Vec::new();
        }
        let is_written =
            |tag: &&str| self.request == format!("PUT /v2/whole/manifests/{tag}") || self.request.contains("?tag=");
        TAGS.into_iter().filter(is_written).collect()
    }
}

type Counts = BTreeMap<(&'static str, bool), Count>;

#[derive(Default)]
struct Count {
    runs: usize,
    succeeded: usize,
}

/// A push, and the server that faults are injected in front of.
struct FaultyPush {
    fixture: Arc<PushFixture>,
    upstream: String,
    flags: &'static [&'static str],
}

#[test]
fn a_push_survives_or_correctly_reports_every_fault_at_every_request() {
    let fixture = Arc::new(PushFixture::new());
    let faulty = FaultyPush { upstream: fixture.registry.host.clone(), fixture, flags: &[] };
    let requests = faulty.requests();
    assert_eq!(requests.len(), 23, "{requests:?}");
    faulty.test_every_fault_at(&requests);
}

/// The other requests are those of the push above.
#[test]
fn a_push_of_several_tags_in_one_request_survives_or_correctly_reports_every_fault() {
    let fixture = Arc::new(PushFixture::new());
    let server = multi_tag_registry(&fixture.registry, OciTag::Headers);
    let faulty = FaultyPush { upstream: server.host.clone(), fixture, flags: &["--multi-tag"] };
    let mut requests = faulty.requests();
    assert_eq!(requests.len(), 21, "{requests:?}");
    requests.retain(|request| request.contains("?tag=") || TAGS.iter().any(|tag| request.ends_with(tag)));
    assert_eq!(requests.len(), 4, "{requests:?}");
    faulty.test_every_fault_at(&requests);
}

impl FaultyPush {
    /// Injects every fault into each of these requests, once and always.
    fn test_every_fault_at(&self, requests: &[String]) {
        let (recoverable, fatal) = faults();
        let cases = cases(requests, &recoverable, &fatal);
        let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let counts: Mutex<Counts> = Mutex::default();
        // Runs concurrently, because most of the time is spent waiting.
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                        // On a busy machine, a slow response may exceed the short timeout for stalls.
                        let outcome = self.run(case, case.timeout());
                        let outcome = outcome.or_else(|reason| match case.is_stall() {
                            true => self.run(case, LONG_TIMEOUT),
                            false => Err(reason),
                        });
                        let mut counts = counts.lock().unwrap();
                        let count = counts.entry((case.name, case.once)).or_default();
                        count.runs += 1;
                        count.succeeded += usize::from(outcome == Ok(true));
                        if let Err(reason) = outcome {
                            let times = if case.once { "once" } else { "always" };
                            failures
                                .lock()
                                .unwrap()
                                .push(format!("{} at {} {times}: {reason}", case.name, case.request));
                        }
                    }
                });
            }
        });
        report(&counts.into_inner().unwrap(), recoverable.iter().chain(&fatal).map(|(name, _)| *name));
        let failures = failures.into_inner().unwrap();
        assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
    }

    /// Returns the distinct requests of a push without faults, named by [`request_name`].
    fn requests(&self) -> Vec<String> {
        let fixture = &self.fixture;
        let repository = fixture.new_target();
        let proxy = fixture.proxy_to(&self.upstream, |_| None);
        let outcome = self.push(&proxy.host, &repository, LONG_TIMEOUT).success();
        fixture.check(&repository, &outcome).unwrap();
        let mut seen = HashSet::new();
        let names = proxy.requests().into_iter().map(|request| request_name(&request, &repository));
        names.filter(|name| seen.insert(name.clone())).collect()
    }

    fn push(&self, host: &str, repository: &str, timeout: &str) -> Outcome {
        let target = format!("{repository}:{}", TAGS[0]);
        let tags = TAGS[1..].join(",");
        let flags = ["--tags", &tags, "--retries", "3", "--timeout", timeout, "--max-wait", "100ms"];
        let flags = [&flags[..], self.flags].concat();
        push_from_args(host, "linux/amd64,linux/arm64", "parts:ARCH", &target, &flags)
    }

    /// Runs one case and returns whether the push succeeded, or an error if the case fails.
    fn run(&self, case: &Case, timeout: &str) -> Result<bool, String> {
        let fixture = &self.fixture;
        let repository = fixture.new_target();
        let (faulty_request, fault, once) = (case.request.clone(), case.fault.clone(), case.once);
        let (fired, target) = (AtomicUsize::new(0), repository.clone());
        let proxy = fixture.proxy_to(&self.upstream, move |request| {
            let is_match = request_name(request, &target) == faulty_request;
            (is_match && (fired.fetch_add(1, Ordering::SeqCst) == 0 || !once)).then(|| fault.clone())
        });
        let started = Instant::now();
        let outcome = self.push(&proxy.host, &repository, timeout);
        let elapsed = started.elapsed();
        let fail = |reason: &str| Err(format!("{reason}: {outcome:?}"));
        if proxy.fired.load(Ordering::SeqCst) == 0 {
            return fail("the fault was not injected");
        }
        // Five sequential requests, each tried four times with a timeout of 8 s, take 160 s.
        if elapsed > Duration::from_secs(170) {
            return fail(&format!("it took {elapsed:?}"));
        }
        if case.must_succeed && outcome.exit != 0 {
            return fail("the push should have succeeded");
        }
        match fixture.check_except(&repository, &outcome, &case.uncertain_tags()) {
            Ok(()) => Ok(outcome.exit == 0),
            Err(reason) => fail(&reason),
        }
    }
}

fn cases(requests: &[String], recoverable: &[NamedFault], fatal: &[NamedFault]) -> Vec<Case> {
    let mut cases = Vec::new();
    for request in requests {
        for (must_succeed, faults) in [(true, recoverable), (false, fatal)] {
            for (name, fault) in faults {
                for once in [true, false] {
                    let fault = match (fault, once) {
                        (Fault::ConnectionRefused(_), false) => Fault::ConnectionRefused(HOUR),
                        _ => fault.clone(),
                    };
                    cases.push(Case {
                        request: request.clone(),
                        name,
                        fault,
                        once,
                        must_succeed: must_succeed && once,
                    });
                }
            }
        }
    }
    cases
}

fn report<'a>(counts: &Counts, names: impl Iterator<Item = &'a str>) {
    // Writes to stderr directly, because the test harness captures the output of `eprintln!`.
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{:20} {:>12} {:>12}", "fault", "once", "always").unwrap();
    let count = |name, once| {
        let Count { runs, succeeded } = counts.get(&(name, once)).unwrap();
        format!("{succeeded} of {runs}")
    };
    for name in names {
        writeln!(stderr, "{name:20} {:>12} {:>12}", count(name, true), count(name, false)).unwrap();
    }
    for (once, times) in [(true, "once"), (false, "always")] {
        let counts = counts.iter().filter(|((_, count_once), _)| *count_once == once).map(|(_, count)| count);
        let (succeeded, runs) =
            counts.fold((0, 0), |(succeeded, runs), count| (succeeded + count.succeeded, runs + count.runs));
        writeln!(stderr, "{succeeded} of {runs} pushes succeeded despite a fault that occurs {times}").unwrap();
    }
}

/// Returns a request line without the parts that differ between runs.
fn request_name(request: &ReceivedRequest, repository: &str) -> String {
    let line = request.line.replace(repository, "whole");
    match (line.find("/blobs/uploads/"), line.find("digest=")) {
        (Some(upload), Some(digest)) => format!("{}/blobs/uploads/*?{}", &line[..upload], &line[digest..]),
        _ => line,
    }
}
