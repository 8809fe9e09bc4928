//! The real binary against a real registry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod amend;
mod archives;
mod bad_answers;
mod clients;
mod compat;
mod conformance;
mod copy;
mod delete;
mod examples;
mod faults;
mod inspect;
mod install;
mod layouts;
mod many;
mod mounts;
mod patience;
mod places;
mod proxies;
mod push;
mod reading;
mod readme;
mod requests;
mod results;
mod rooms;
mod schema;
mod settled;
mod sign_in;
mod snapshots;
mod stops;
mod support;
mod tags;
mod tls;
mod usage;
mod verify;
mod writers;
