//! Reads the parts of Markdown pages that tests look at.

use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A part of a page that a test runs or parses.
#[derive(Debug)]
pub struct Block {
    /// The line in the page, from 1.
    pub line: usize,
    pub kind: BlockKind,
    pub text: String,
}

#[derive(Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// Shell commands in an HTML comment that starts with `<!-- run`: they prepare what the page uses.
    Hidden,
    /// A fenced code block with this language, which may be empty.
    Code(String),
}

/// A page of the documentation.
pub struct Page {
    /// The path from the root of the repository.
    pub path: String,
    pub text: String,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the Markdown files at the root and in `docs/`.
pub fn pages() -> Vec<Page> {
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut folders = vec![root().join("docs")];
    paths.extend(["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name)));
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.iter().map(|path| Page::read(path.strip_prefix(root()).unwrap().to_str().unwrap())).collect()
}

impl Page {
    pub fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), text }
    }

    fn events(&self) -> impl Iterator<Item = (Event<'_>, usize)> {
        let parser = Parser::new_ext(&self.text, Options::ENABLE_TABLES);
        parser.into_offset_iter().map(|(event, range)| (event, range.start))
    }

    fn line(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }

    /// Returns the code blocks and hidden commands, in their order.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut is_open = false;
        for (event, offset) in self.events() {
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match kind {
                        CodeBlockKind::Fenced(language) => language.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    let (line, kind) = (self.line(offset), BlockKind::Code(language));
                    blocks.push(Block { line, kind, text: String::new() });
                    is_open = true;
                }
                Event::Start(Tag::HtmlBlock) => {
                    blocks.push(Block { line: self.line(offset), kind: BlockKind::Hidden, text: String::new() });
                    is_open = true;
                }
                Event::End(TagEnd::CodeBlock | TagEnd::HtmlBlock) => is_open = false,
                Event::Text(text) | Event::Html(text) if is_open => blocks.last_mut().unwrap().text += &text,
                _ => {}
            }
        }
        blocks.into_iter().filter_map(Block::into_commands).collect()
    }

    /// Returns the level of each heading, from 1, and its text without markup.
    pub fn leveled_headings(&self) -> Vec<(usize, String)> {
        let mut headings: Vec<(usize, String)> = Vec::new();
        let mut is_open = false;
        for (event, _) in self.events() {
            match event {
                Event::Start(Tag::Heading { level, .. }) => {
                    headings.push((level as usize, String::new()));
                    is_open = true;
                }
                Event::End(TagEnd::Heading(_)) => is_open = false,
                Event::Text(text) | Event::Code(text) if is_open => headings.last_mut().unwrap().1 += &text,
                _ => {}
            }
        }
        headings
    }

    /// Returns the anchors of the headings, as GitHub and mdBook make them.
    pub fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for (_, heading) in self.leveled_headings() {
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            let anchor: String = kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect();
            let repeated = anchors.iter().filter(|earlier| **earlier == anchor).count();
            anchors.push(if repeated == 0 { anchor } else { format!("{anchor}-{repeated}") });
        }
        anchors
    }

    /// Returns the targets of links and images, each with its line.
    pub fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (event, offset) in self.events() {
            if let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event {
                links.push((self.line(offset), dest_url.to_string()));
            }
        }
        links
    }

    /// Returns the code spans in the last cell of each row of the tables.
    pub fn last_column(&self) -> Vec<(usize, String)> {
        let (mut cell, mut columns) = (Vec::new(), Vec::new());
        for (event, offset) in self.events() {
            match event {
                Event::Start(Tag::TableCell) => cell.clear(),
                Event::Code(text) => cell.push((self.line(offset), text.to_string())),
                Event::End(TagEnd::TableRow) => columns.append(&mut cell),
                _ => {}
            }
        }
        columns
    }
}

impl Block {
    /// Takes hidden commands out of their comment. Returns `None` for other HTML.
    fn into_commands(self) -> Option<Self> {
        if self.kind != BlockKind::Hidden {
            return Some(self);
        }
        let text = self.text.strip_prefix("<!-- run\n")?.trim_end().strip_suffix("-->")?.to_owned();
        Some(Self { text, ..self })
    }

    pub fn language(&self) -> Option<&str> {
        match &self.kind {
            BlockKind::Hidden => None,
            BlockKind::Code(language) => Some(language),
        }
    }
}
