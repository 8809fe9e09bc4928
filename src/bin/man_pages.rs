//! Writes a man page for each command into a folder: `make man`.

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).unwrap_or_else(|| "target/man".into());
    std::fs::create_dir_all(&folder)?;
    clap_mangen::generate_to(manifest_tool::cli::command(), folder)
}
