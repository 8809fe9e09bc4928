use clap::Args;
use clap_complete::Shell;

/// Print a shell completion script
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  manifest-tool completion bash >/etc/bash_completion.d/manifest-tool\n  manifest-tool completion zsh \\\n      >/usr/local/share/zsh/site-functions/_manifest-tool"
)]
pub(super) struct Completion {
    /// Shell to use
    shell: Shell,
}

impl Completion {
    pub(super) fn run(self, mut command: clap::Command) -> String {
        let mut out = Vec::new();
        clap_complete::generate(self.shell, &mut command, "manifest-tool", &mut out);
        let script = String::from_utf8_lossy(&out).into_owned();
        match self.shell {
            // For a name with a hyphen, clap_complete 4.6 writes labels that no line of the script uses, so that only
            // the first word is completed (clap-rs/clap#6421).
            Shell::Bash => script.replace("manifest__subcmd__tool", "manifest__tool"),
            _ => script,
        }
    }
}
