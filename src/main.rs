//! The `manifest-tool` program.

fn main() -> std::process::ExitCode {
    manifest_tool::cli::main()
}
