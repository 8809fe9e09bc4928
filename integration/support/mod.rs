//! Support for the tests: a real registry, the real binary, sample images, and servers that misbehave.

pub mod binary;
pub mod certificates;
pub mod docker_engine;
pub mod faults;
pub mod images;
pub mod layouts;
pub mod memory_registry;
pub mod multi_tag;
pub mod push_fixture;
pub mod recorded;
pub mod registry;
pub mod sandbox;
pub mod scripted_server;
pub mod terminal;
pub mod tls_servers;
pub mod token_service;

pub use binary::{
    Outcome, command, external_command, manifest_tool, manifest_tool_with_stdin, push_from_args, run,
    run_with_peak_memory, signal, spawn, wait,
};
pub use docker_engine::DockerEngine;
pub use memory_registry::MemoryRegistry;
pub use registry::{LOGIN, Registry, basic_credentials};
pub use sandbox::{Sandbox, Workspace};
pub use scripted_server::ScriptedServer;
pub use token_service::TokenService;
