//! Errors and warnings for people, programs and CI systems.

mod annotations;
mod causes;
mod lint_formats;
mod terminal;
