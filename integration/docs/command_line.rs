//! Finds the command lines of manifest-tool in shell text, and parses them with the program's flags.

/// Words after which a command starts.
const BEFORE_COMMAND: [&str; 13] =
    ["|", "||", "&&", ";", "&", "then", "do", "else", "if", "while", "!", "sudo", "exec"];

/// Returns the lines of a shell text, with continued lines joined, and without comments.
fn lines(script: &str) -> Vec<String> {
    let script = script.replace("\\\n", " ");
    script.lines().filter(|line| !line.trim_start().starts_with('#')).map(str::to_owned).collect()
}

/// Returns the arguments of each `manifest-tool ...` in a line, with the program's name first. `None` if a quotation does
/// not end in the line.
fn commands(line: &str) -> Option<Vec<Vec<String>>> {
    let mut commands: Vec<Vec<String>> = Vec::new();
    let (mut is_open, mut may_start) = (false, true);
    for word in shlex::split(line)? {
        let program = word.rsplit("$(").next().unwrap_or_default();
        let is_program = program == "manifest-tool" || program.ends_with("/manifest-tool");
        let is_assignment =
            word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_alphanumeric() || c == '_'));
        if is_program && (may_start || word.contains("$(")) {
            commands.push(vec!["manifest-tool".to_owned()]);
            is_open = true;
        } else if BEFORE_COMMAND.contains(&&*word) || word.starts_with(['>', '<']) || word.starts_with("2>") {
            is_open = false;
        } else if let Some(command) = commands.last_mut().filter(|_| is_open) {
            command.push(word.trim_end_matches([';', ')']).to_owned());
            is_open = !word.ends_with([';', ')']);
        }
        may_start = BEFORE_COMMAND.contains(&&*word) || word.ends_with(';') || (may_start && is_assignment);
    }
    Some(commands)
}

/// Returns the problems of the command lines in a shell text.
pub fn problems(script: &str) -> Vec<String> {
    let parse = |words: Vec<String>| manifest_tool::cli::command().try_get_matches_from(words).err();
    let mut problems = Vec::new();
    for line in lines(script) {
        match commands(&line) {
            Some(commands) => {
                let errors = commands.into_iter().filter_map(parse).filter(clap::Error::use_stderr);
                problems.extend(errors.map(|error| error.to_string()));
            }
            None if line.contains("manifest-tool ") => problems.push(format!("a quotation does not end: {line}")),
            None => {}
        }
    }
    problems
}

#[test]
fn command_lines_are_found_in_scripts() {
    let script = "echo x | ./manifest-tool login r.io \\\n  -u me >out\n# manifest-tool no\n\
                  if manifest-tool query a; then A=b digest=$(manifest-tool digest a) && X=y manifest-tool tags r; fi\n\
                  sudo install manifest-tool /bin\ngit clone https://x.io/OWNER/manifest-tool .\n";
    let expected = [vec!["login", "r.io", "-u", "me"], vec!["query", "a"], vec!["digest", "a"], vec!["tags", "r"]];
    let lines = lines(script);
    let found = lines.iter().flat_map(|line| commands(line).unwrap()).map(|words| words[1..].to_vec());
    let found: Vec<Vec<String>> = found.collect();
    assert_eq!(found, expected);
    assert_eq!(problems("manifest-tool query a"), [""; 0]);
    assert_eq!(problems("manifest-tool query --plattform a").len(), 1);
}
