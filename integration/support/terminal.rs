//! Runs the program in a pseudo terminal, which `script` provides.

use std::process::{Command, Stdio};

use super::sandbox::Workspace;

/// What a run wrote to its terminal.
pub struct TerminalOutcome {
    pub exit: i32,
    /// Everything that was written, with its escape sequences.
    pub output: String,
    /// The standard output, if it was redirected to a file; else empty.
    pub stdout: String,
    columns: u16,
}

impl TerminalOutcome {
    /// Returns the final screen: what remains visible after cursor movements and erasures.
    pub fn screen(&self) -> String {
        self.frames().pop().unwrap_or_default()
    }

    /// Returns the screen after each write, without repetitions.
    pub fn frames(&self) -> Vec<String> {
        let mut parser = vt100::Parser::new(200, self.columns, 0);
        let mut frames: Vec<String> = Vec::new();
        // A redraw begins with a carriage return or an escape sequence.
        for part in self.output.split_inclusive(['\n', '\r']) {
            parser.process(part.as_bytes());
            let screen = parser.screen().contents().trim_end().to_owned();
            if frames.last() != Some(&screen) {
                frames.push(screen);
            }
        }
        frames
    }
}

impl Workspace {
    /// Runs the program with all three streams on a terminal of this many columns.
    pub fn run_in_terminal(&self, columns: u16, args: &[&str]) -> TerminalOutcome {
        self.in_terminal(columns, args, "")
    }

    /// Runs the program with its standard output in a file, and the other streams on a terminal.
    pub fn run_with_stderr_on_terminal(&self, columns: u16, args: &[&str]) -> TerminalOutcome {
        let file = self.path(".stdout");
        let outcome = self.in_terminal(columns, args, &format!(" >{}", quoted(&file.to_string_lossy())));
        TerminalOutcome { stdout: self.read(".stdout"), ..outcome }
    }

    /// Runs the program in a terminal, and interrupts it after this many seconds.
    pub fn interrupt_in_terminal(&self, columns: u16, seconds: u32, args: &[&str]) -> TerminalOutcome {
        let command = self.command(args);
        // With --foreground, timeout keeps the program in the foreground of the terminal.
        let prefix = format!("timeout --foreground -s INT {seconds} ");
        self.command_in_terminal(columns, &command, &prefix, "")
    }

    fn in_terminal(&self, columns: u16, args: &[&str], redirection: &str) -> TerminalOutcome {
        self.command_in_terminal(columns, &self.command(args), "", redirection)
    }

    fn command_in_terminal(&self, columns: u16, command: &Command, prefix: &str, redirection: &str) -> TerminalOutcome {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<String> = words.map(|word| quoted(&word.to_string_lossy())).collect();
        let line = format!("stty cols {columns} rows 200; {prefix}{}{redirection}", words.join(" "));
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).current_dir(self.folder()).stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        let output = script.env("TERM", "xterm").env("SHELL", "/bin/sh").output().unwrap();
        TerminalOutcome {
            exit: output.status.code().unwrap(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            stdout: String::new(),
            columns,
        }
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
