//! The lines for this program in `docs/migrate/` are valid command lines.

use super::command_line;
use super::markdown::pages;

#[test]
fn the_equivalents_of_other_programs_are_valid_command_lines() {
    let (mut count, mut problems) = (0, Vec::new());
    for page in pages().iter().filter(|page| page.path.starts_with("docs/migrate/")) {
        let lines = page.last_column().into_iter().filter(|(_, code)| code.contains("manifest-tool "));
        for (line, code) in lines {
            count += 1;
            problems.extend(command_line::problems(&code).iter().map(|text| format!("{}:{line}: {text}", page.path)));
        }
    }
    assert!(count > 50, "{count} lines");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
