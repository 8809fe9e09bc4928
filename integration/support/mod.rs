//! What the tests stand on: a real registry, the real binary, sample images, and a server for bad answers.

pub mod binary;
pub mod certificates;
pub mod faults;
pub mod images;
pub mod memory_registry;
pub mod registry;
pub mod sandbox;
pub mod scene;
pub mod scripted;
pub mod tls_servers;
pub mod token_service;

pub use binary::{
    Outcome, command, end, manifest_tool, manifest_tool_with_stdin, other_command, peak_of, push_from_args, run,
    signal, start,
};
pub use memory_registry::MemoryRegistry;
pub use registry::Registry;
pub use sandbox::{Sandbox, Workspace};
pub use scripted::Scripted;
pub use token_service::TokenService;
