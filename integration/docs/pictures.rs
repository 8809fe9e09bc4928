//! Draws the pictures of the README: a terminal session from a real run, and a chart of the figures in
//! `docs/benchmarks.md`. `UPDATE_SNAPSHOTS=1` writes them.

use std::fmt::Write as _;

use super::fixture::PageFixture;
use super::markdown::{Page, root};

/// Colors for the light and the dark theme of GitHub.
const STYLE: &str = "<style>
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #1f2328; white-space: pre; }
.background { fill: #f6f8fa; stroke: #d1d9e0; }
.prompt, .Green { fill: #1a7f37; } .Yellow { fill: #9a6700; } .Red { fill: #d1242f; } .Cyan { fill: #1b7c83; }
.bold { font-weight: 600; } .dim { fill: #59636e; }
.ours { fill: #1a7f37; } .other { fill: #8c959f; } .second { opacity: 0.55; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .background { fill: #0d1117; stroke: #3d444d; }
.prompt, .Green { fill: #3fb950; } .Yellow { fill: #d29922; } .Red { fill: #f85149; } .Cyan { fill: #39c5cf; }
.dim { fill: #9198a1; } .ours { fill: #3fb950; } .other { fill: #656c76; }
}
</style>
";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn svg(width: usize, height: usize, title: &str, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n<title>{title}</title>\n{STYLE}<rect class=\"background\" x=\"0.5\" \
         y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n{body}</svg>\n",
        width - 1,
        height - 1
    )
}

/// The commands of the picture, as a reader would type them.
const SESSION: &[&str] = &[
    "manifest-tool push from-images -t registry.example/app:v1 --tags latest \\
      registry.example/app:v1-amd64 registry.example/app:v1-arm64",
    "manifest-tool inspect --tree registry.example/app:v1",
    "manifest-tool verify registry.example/app:v1",
];

const COLUMNS: u16 = 92;

/// Returns the lines of a terminal on which the session ran.
fn session() -> Vec<String> {
    let fixture = PageFixture::new();
    let mut lines = Vec::new();
    for command in SESSION {
        let words = command.replace("\\\n", " ").replace("registry.example", &fixture.registry.host);
        let words: Vec<&str> = words.split_whitespace().skip(1).collect();
        let outcome = fixture.workspace.run_in_terminal(COLUMNS, &words);
        assert_eq!(outcome.exit, 0, "{command}: {}", outcome.output);
        lines.extend(command.lines().enumerate().map(|(number, line)| match number {
            0 => format!("$ {line}"),
            _ => line.to_owned(),
        }));
        let screen = fixture.with_example_hosts(&outcome.screen());
        // Images are reported as soon as they are checked, in any order.
        let (mut checked, results): (Vec<&str>, Vec<&str>) =
            screen.lines().partition(|line| line.starts_with("checked "));
        checked.sort_unstable();
        lines.extend(checked.into_iter().chain(results).flat_map(|line| {
            let characters: Vec<char> = line.chars().collect();
            characters.chunks(COLUMNS.into()).map(String::from_iter).collect::<Vec<_>>()
        }));
        lines.push(String::new());
    }
    lines.pop();
    lines
}

fn terminal_picture(lines: &[String]) -> String {
    let (left, line_height) = (16, 20);
    let mut body = String::new();
    for (number, line) in lines.iter().enumerate() {
        let y = 28 + number * line_height;
        let text = match line.strip_prefix("$ ") {
            Some(command) => {
                format!("<tspan class=\"prompt\">$</tspan> <tspan class=\"bold\">{}</tspan>", escape(command))
            }
            None => escape(line),
        };
        let _ = writeln!(body, "<text x=\"{left}\" y=\"{y}\" xml:space=\"preserve\">{text}</text>");
    }
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap();
    svg(left * 2 + longest * 17 / 2, 24 + lines.len() * line_height, "A session with manifest-tool", &body)
}

/// Round trips of a program, for images in the repository of the index and in other repositories.
struct Bar {
    program: String,
    one: f64,
    /// `None` for a program that takes images only from the repository of the index.
    other: Option<f64>,
}

/// Reads the figures of the run with all programs, 100 ms away.
fn bars() -> Vec<Bar> {
    let page = Page::read("docs/benchmarks.md");
    let table = page.text.split("## All programs in one run\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<Vec<&str>> =
        table.lines().map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect();
    let figure = |scene: &str, program: &str| {
        let row = rows.iter().find(|row| row.len() == 9 && row[..3] == [scene, program, "100"]);
        row.map(|row| row[4].parse().unwrap())
    };
    let mut bars: Vec<Bar> = Vec::new();
    for row in rows.iter().filter(|row| row.len() == 9) {
        let program = row[1];
        if bars.iter().any(|bar| bar.program == program) {
            continue;
        }
        let figures =
            ["10 platforms, one repository", "10 platforms, other repositories"].map(|scene| figure(scene, program));
        if let [Some(one), other] = figures {
            bars.push(Bar { program: program.to_owned(), one, other });
        }
    }
    bars.sort_by(|a, b| a.one.total_cmp(&b.one));
    bars
}

fn chart(bars: &[Bar]) -> String {
    let (left, width, row) = (190, 460.0, 44);
    let longest = bars.iter().map(|bar| bar.other.unwrap_or(bar.one)).fold(0.0, f64::max);
    let mut body =
        "<text class=\"bold\" x=\"16\" y=\"28\">Round trips to publish an index of 10 images, 100 ms away</text>\n"
            .to_owned();
    for (number, bar) in bars.iter().enumerate() {
        let y = 48 + number * row;
        let class = if bar.program.contains("(this)") { "ours" } else { "other" };
        let name =
            bar.program.replace("manifest-tool (this)", "manifest-tool").replace("manifest-tool (Go)", "2.2.1 (Go)");
        let _ = writeln!(body, "<text x=\"16\" y=\"{}\">{}</text>", y + 20, escape(&name));
        let figures = [Some((bar.one, "")), bar.other.map(|other| (other, " second"))];
        for (part, (figure, shade)) in figures.into_iter().flatten().enumerate() {
            let (top, length) = (y + part * 17, figure / longest * width);
            let _ = writeln!(
                body,
                "<rect class=\"{class}{shade}\" x=\"{left}\" y=\"{top}\" width=\"{length:.0}\" height=\"14\"/>"
            );
            let x = left as f64 + length + 6.0;
            let _ = writeln!(body, "<text x=\"{x:.0}\" y=\"{}\">{figure:.0}</text>", top + 12);
        }
    }
    let y = 66 + bars.len() * row;
    let _ = writeln!(
        body,
        "<text class=\"dim\" x=\"16\" y=\"{y}\">upper bar: images in the repository of the index; lower bar: in other repositories</text>"
    );
    svg(720, y + 18, "Round trips of manifest-tool and other programs", &body)
}

fn assert_up_to_date(name: &str, picture: &str) {
    let path = root().join("docs/pictures").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, picture).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(stored, picture, "docs/pictures/{name} is stale: run the test with UPDATE_SNAPSHOTS=1");
}

#[test]
fn the_picture_of_a_terminal_is_a_real_run() {
    assert_up_to_date("terminal.svg", &terminal_picture(&session()));
}

#[test]
fn the_chart_shows_the_figures_of_the_benchmarks() {
    let bars = bars();
    assert!(bars.len() >= 7 && bars[0].program.contains("(this)"), "{} programs", bars.len());
    assert_up_to_date("round-trips.svg", &chart(&bars));
}
