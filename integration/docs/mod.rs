//! The README and the pages in `docs/`: their commands print what they show, their other blocks are valid, their links
//! lead somewhere, and generated pages are up to date.

mod blocks;
mod cli_pages;
mod command_line;
mod console;
mod fixture;
mod help;
mod links;
pub mod markdown;
mod migrate;
mod pictures;
mod troubleshooting;
