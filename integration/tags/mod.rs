//! Writing tags: immutable tags, conditions, and every kind of response to a read or a write.

mod conditions;
mod multi_tag;
mod other_algorithm;
mod responses;
mod written_content;

use crate::support::faults::{Fault, FaultProxy};
use crate::support::push_fixture::{PushFixture, TAGS};
use crate::support::{Outcome, push_from_args};

fn push(proxy: &FaultProxy, repository: &str, args: &[&str]) -> Outcome {
    let (target, tags) = (format!("{repository}:{}", TAGS[0]), TAGS[1..].join(","));
    let args = [&["--tags", &tags][..], args].concat();
    push_from_args(&proxy.host, "linux/amd64,linux/arm64", "parts:ARCH", &target, &args)
}

fn error_response(status: u16, code: &str, message: &str) -> Fault {
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
    Fault::CannedResponse(status, vec![("Content-Type", "application/json".into())], body.leak())
}

fn digest_of(fixture: &PushFixture, repository: &str, tag: &str) -> String {
    fixture.registry.manifest(repository, tag).unwrap().digest
}
