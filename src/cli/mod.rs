//! The command line: one file per command, plus shared infrastructure.
//!
//! `app` runs a command from `commands` with a `session`. Only the `console` writes to stderr and stdout. A `failure`
//! holds the message, hints and exit status of an error; `render` produces the text and JSON of results.

mod advice;
mod app;
mod argument_walk;
mod arguments;
mod batch;
mod build_files;
mod commands;
mod completion;
mod console;
mod copy;
mod copy_batch;
mod credentials;
mod delete;
mod delete_tags;
mod digest;
mod duration;
mod exit_status;
mod failure;
mod from_args;
mod from_images;
mod global;
mod help;
mod hints;
mod hosts;
mod if_match;
mod input_text;
mod inspect;
mod label;
mod lint;
mod login;
mod offers;
mod output;
mod output_format;
mod parts;
mod platform_arg;
mod probe;
mod progress;
mod prompt;
mod push;
mod push_batch;
mod query;
mod read_batch;
mod references;
mod registry_name;
mod remove;
mod render;
mod result_files;
mod run_report;
mod runtime;
mod schema;
mod secrets;
mod session;
mod shard;
mod signals;
mod similar;
mod similar_tags;
mod specs;
mod tags;
mod unknown_words;
mod verify;
mod verify_targets;

pub use app::main;
pub use commands::command;
