use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Rejection;
use super::json::parse;
use crate::image::{Digest, UntrustedText};

/// The types of statements: what cosign writes, and the one before it.
const TYPES: [&str; 2] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];
const PART: &str = "the statement";

/// A claim about an image (in-toto attestation framework, "Statement").
#[derive(Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// The statement of a signature, with its keys in cosign's order.
#[derive(Serialize)]
struct Signed<'s> {
    #[serde(rename = "_type")]
    kind: &'s str,
    subject: [SignedSubject<'s>; 1],
    #[serde(rename = "predicateType")]
    predicate_type: &'s str,
    predicate: Empty,
}

#[derive(Serialize)]
struct SignedSubject<'s> {
    digest: BTreeMap<&'s str, &'s str>,
    annotations: Empty,
}

#[derive(Serialize)]
struct Empty {}

/// Writes the statement that the image with this digest is signed.
pub(super) fn write(digest: &Digest, predicate_type: &str) -> Result<Vec<u8>, serde_json::Error> {
    let digest = BTreeMap::from_iter(digest.as_str().split_once(':'));
    let subject = [SignedSubject { digest, annotations: Empty {} }];
    serde_json::to_vec(&Signed { kind: TYPES[0], subject, predicate_type, predicate: Empty {} })
}

/// Checks that a statement is a signature of the image with this digest: one of its subjects has the digest, and the
/// predicate has the expected type.
pub(super) fn check(text: &[u8], digest: &Digest, predicate_type: &str) -> Result<(), Rejection> {
    let statement: Statement = parse(PART, text)?;
    if !TYPES.contains(&statement.kind.as_str()) {
        return Err(Rejection::UnknownType(statement.kind.into()));
    }
    if statement.predicate_type != predicate_type {
        return Err(Rejection::OtherPredicate(statement.predicate_type.into()));
    }
    let expected = digest.as_str().split_once(':').unwrap_or_default();
    let digests = || statement.subject.iter().flat_map(|subject| &subject.digest);
    if digests().any(|(algorithm, hex)| (algorithm.as_str(), hex.as_str()) == expected) {
        return Ok(());
    }
    let Some((algorithm, hex)) = digests().next() else {
        return Err(Rejection::Malformed { part: PART, reason: "it has no digest".into() });
    };
    Err(Rejection::OtherDigest(UntrustedText::from(format!("{algorithm}:{hex}"))))
}
