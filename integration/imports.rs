//! The modules of `src/` import only the modules that this file lists, and no two files import each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{ItemMod, ItemUse, Macro, MetaList, UseTree, Visibility};

/// The top-level modules from top to bottom, each with the lower modules that it may import.
const LAYERS: &str = "
    main: cli
    bin: cli
    cli: sync assemble copy delete inspect probe query sign verify store registry event spec links convert layer signature image
    sync: spec image
    assemble: store registry event spec memory single_flight image
    copy: store registry event convert layer image
    delete: query store memory single_flight image
    inspect: store image
    probe: store registry event image
    query: store image
    sign: store registry event signature image
    verify: store registry event memory single_flight layer signature image
    store: registry layout daemon event links memory single_flight layer signature image
    registry: event memory single_flight image
    layout: links memory image
    daemon: image
    event: spec image
    signature: image
    spec: image
    convert: layer image
    layer: image
    links:
    memory:
    single_flight:
    image:
";

/// The folders of `registry` from top to bottom: each may import from the folders after it.
const REGISTRY: [&str; 5] = ["api", "client", "auth", "transport", "error"];

/// Modules without I/O. They must not use the crates and modules of [`IMPURE`].
const PURE: &[&str] = &["convert", "image", "signature", "spec", "sync"];
const IMPURE: &[&str] = &["tokio", "reqwest", "clap", "std::fs", "std::env", "std::net", "std::process"];

/// The imported names, by importing file and by the file that defines them.
type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// A path in the code of a module.
struct Name {
    path: String,
    /// The name that a `use` binds to the path.
    bound: Option<String>,
    reexported: bool,
}

/// The modules of a crate, by path: the file of each, and the paths in its code.
#[derive(Default)]
struct Crate {
    modules: BTreeMap<String, (String, Vec<Name>)>,
    /// The paths of `#[cfg(test)]` modules, which are skipped.
    tests: Vec<String>,
    /// The path of the module that is being read.
    current: String,
}

/// Returns the paths in the tokens of a macro or an attribute, separated by spaces.
fn paths_in(tokens: &TokenStream) -> String {
    let words = tokens.clone().into_iter().map(|token| match token {
        TokenTree::Ident(name) => format!("{name} "),
        TokenTree::Punct(punct) if punct.as_char() == ':' => ":".to_owned(),
        TokenTree::Group(group) => format!(" {} ", paths_in(&group.stream())),
        _ => " ".to_owned(),
    });
    words.collect::<String>().replace(" ::", "::")
}

impl Crate {
    fn read<'s>(sources: impl IntoIterator<Item = (&'s str, &'s str)>) -> Self {
        let mut read = Self::default();
        for (file, code) in sources {
            let path = format!("crate::{}", file.trim_end_matches(".rs").replace('/', "::"));
            let path = path.trim_end_matches("::mod").trim_end_matches("::lib");
            let code = syn::parse_str(code).unwrap_or_else(|error| panic!("{file}: {error}"));
            read.enter(path.to_owned(), file, |read| read.visit_file(&code));
        }
        let tests: Vec<String> = read.tests.iter().map(|test| format!("{test}::")).collect();
        read.modules.retain(|path, _| !tests.iter().any(|test| format!("{path}::").starts_with(test)));
        read
    }

    fn enter(&mut self, path: String, file: &str, visit: impl FnOnce(&mut Self)) {
        self.modules.insert(path.clone(), (file.to_owned(), Vec::new()));
        let parent = std::mem::replace(&mut self.current, path);
        visit(self);
        self.current = parent;
    }

    fn add(&mut self, path: String, bound: Option<String>, reexported: bool) {
        self.modules.get_mut(&self.current).unwrap().1.push(Name { path, bound, reexported });
    }

    fn add_use(&mut self, tree: &UseTree, path: &str, reexported: bool) {
        match tree {
            UseTree::Path(step) => self.add_use(&step.tree, &format!("{path}{}::", step.ident), reexported),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_use(tree, path, reexported)),
            UseTree::Name(name) => {
                let path = format!("{path}{}", name.ident);
                let bound = path.trim_end_matches("::self").rsplit("::").next().map(str::to_owned);
                self.add(path, bound, reexported);
            }
            UseTree::Rename(it) => self.add(format!("{path}{}", it.ident), Some(it.rename.to_string()), reexported),
            UseTree::Glob(_) => self.add(format!("{path}*"), None, reexported),
        }
    }

    fn add_path(&mut self, path: &str) {
        // A single lowercase word may be a variable.
        if path.contains("::") || path.starts_with(char::is_uppercase) {
            self.add(path.to_owned(), None, false);
        }
    }

    fn add_tokens(&mut self, tokens: &TokenStream) {
        paths_in(tokens).split_whitespace().for_each(|path| self.add_path(path.trim_matches(':')));
    }

    /// Returns the module that defines the item of a path, and the item's name, following re-exports. Returns `None`
    /// for a path into another crate, and for the path of a module: only the items used from it count as imports.
    fn resolve(&self, from: &str, path: &str, depth: usize) -> Option<(String, String)> {
        let (mut module, names) = (from.to_owned(), path.split("::").collect::<Vec<_>>());
        for (position, name) in names.iter().enumerate() {
            let child = format!("{module}::{name}");
            match *name {
                "crate" | "manifest_tool" => module = "crate".to_owned(),
                "super" => module.truncate(module.rfind("::")?),
                "self" => {}
                _ if self.modules.contains_key(&child) => module = child,
                _ => {
                    let known = &self.modules.get(&module)?.1;
                    return match known.iter().find(|known| known.bound.as_deref() == Some(name)) {
                        Some(known) if depth < 20 => {
                            let path = [&[known.path.as_str()], &names[position + 1..]].concat().join("::");
                            self.resolve(&module, &path, depth + 1)
                        }
                        None if position > 0 => Some((module, (*name).to_owned())),
                        _ => None,
                    };
                }
            }
        }
        None
    }

    fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (importer, (file, names)) in &self.modules {
            for Name { path, reexported, .. } in names {
                let Some((module, name)) = self.resolve(importer, path, 0) else { continue };
                assert!(name != "*", "{file}: {path} hides the imported names");
                let target = &self.modules[&module].0;
                // A re-export of an item from a child module does not count as an import.
                if target != file && !(*reexported && module.starts_with(&format!("{importer}::"))) {
                    imports.entry(file.clone()).or_default().entry(target.clone()).or_default().insert(name);
                }
            }
        }
        imports
    }

    /// Returns the paths of [`IMPURE`] that pure modules use.
    fn impurities(&self) -> Vec<String> {
        let pure = self.modules.values().filter(|(file, _)| PURE.contains(&top(file)));
        let named = pure.flat_map(|(file, names)| names.iter().map(move |name| (file, &name.path)));
        let impure = named.filter(|(_, path)| IMPURE.iter().any(|name| path.starts_with(name)));
        impure.map(|(file, path)| format!("{file}: {path}")).collect()
    }
}

impl Visit<'_> for Crate {
    fn visit_item_mod(&mut self, item: &ItemMod) {
        let path = format!("{}::{}", self.current, item.ident);
        let mut cfgs = item.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg"));
        let is_test = |list: &MetaList| paths_in(&list.tokens).split_whitespace().any(|word| word == "test");
        if cfgs.any(|cfg| cfg.meta.require_list().is_ok_and(is_test)) {
            self.tests.push(path);
        } else if item.content.is_some() {
            let file = self.modules[&self.current].0.clone();
            self.enter(path, &file, |read| visit::visit_item_mod(read, item));
        }
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        self.add_use(&item.tree, "", !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add_path(&names.join("::"));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &Macro) {
        self.add_tokens(&item.tokens);
    }

    fn visit_meta_list(&mut self, list: &MetaList) {
        self.add_tokens(&list.tokens);
    }
}

fn top(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// Lists the imports between the files that `filter` selects, with a line for each pair of files.
fn lines(imports: &Imports, filter: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let pairs = imports.iter().flat_map(|(from, targets)| targets.iter().map(move |(to, names)| (from, to, names)));
    let selected = pairs.filter(|(from, to, _)| filter(from, to));
    let sorted = selected.map(|(from, to, names)| (from, to, Vec::from_iter(names.iter().cloned()).join(", ")));
    sorted.map(|(from, to, names)| format!("{from} -> {to}: {names}")).collect()
}

/// Parses [`LAYERS`] into modules and the modules that each may import.
fn layers() -> impl DoubleEndedIterator<Item = (&'static str, Vec<&'static str>)> {
    let rows = LAYERS.lines().filter_map(|row| row.trim().split_once(':'));
    rows.map(|(module, below)| (module, below.split_whitespace().collect()))
}

/// Lists the imports between top-level modules that [`LAYERS`] lacks, and the imports of a higher folder in `registry`.
fn violations(imports: &Imports) -> Vec<String> {
    let allowed = |from: &str, to: &str| layers().any(|(module, below)| module == from && below.contains(&to));
    let folder = |file: &str| REGISTRY.iter().position(|folder| file.starts_with(&format!("registry/{folder}/")));
    let goes_up = |from: &str, to: &str| folder(from).zip(folder(to)).is_some_and(|(from, to)| to < from);
    lines(imports, |from, to| goes_up(from, to) || (top(from) != top(to) && !allowed(top(from), top(to))))
}

/// Lists the groups of files that import each other, directly or through other files, by the imports in each group.
fn cycles(imports: &Imports) -> Vec<String> {
    let direct = imports.iter().map(|(from, to)| (from.as_str(), to.keys().map(String::as_str).collect()));
    let mut reach: BTreeMap<&str, BTreeSet<&str>> = direct.collect();
    for middle in imports.keys() {
        let beyond = reach[middle.as_str()].clone();
        for reached in reach.values_mut().filter(|reached| reached.contains(middle.as_str())) {
            reached.extend(&beyond);
        }
    }
    let group_of = |file: &str| {
        let mutual = reach.iter().filter(|(other, back)| reach[file].contains(*other) && back.contains(file));
        Vec::from_iter(mutual.map(|(other, _)| *other))
    };
    let groups = reach.keys().map(|file| (file, group_of(file))).filter(|(file, group)| group.first() == Some(file));
    let imports_in = |group: Vec<&str>| lines(imports, |from, to| group.contains(&from) && group.contains(&to));
    groups.map(|(_, group)| imports_in(group).join("\n")).collect()
}

fn read_src() -> Crate {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut unvisited) = (BTreeMap::new(), vec![src.clone()]);
    while let Some(path) = unvisited.pop() {
        if path.is_dir() {
            unvisited.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let file = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
            files.insert(file, std::fs::read_to_string(&path).unwrap());
        }
    }
    Crate::read(files.iter().map(|(file, code)| (file.as_str(), code.as_str())))
}

#[test]
fn imports_follow_the_layers() {
    let mut lower = Vec::new();
    for (module, below) in layers().rev() {
        assert!(below.iter().all(|name| lower.contains(name)), "LAYERS: {module} lists a module that is not below it");
        lower.push(module);
    }
    let src = read_src();
    let unlisted = src.modules.values().map(|(file, _)| top(file)).find(|name| *name != "lib" && !lower.contains(name));
    assert_eq!(unlisted, None, "LAYERS lacks a module");
    let folders: Vec<String> = REGISTRY.iter().map(|folder| format!("registry/{folder}/")).collect();
    let is_in_folder = |file: &str| folders.iter().any(|folder| file.starts_with(folder));
    let mut files = src.modules.values().map(|(file, _)| file).filter(|file| file.starts_with("registry/"));
    let stray = files.find(|file| !is_in_folder(file) && *file != "registry/mod.rs" && *file != "registry/fuzzing.rs");
    assert_eq!(stray, None, "a file of registry is outside the folders of REGISTRY");
    let (wrong, impure) = (violations(&src.imports()), src.impurities());
    assert!(wrong.is_empty(), "LAYERS does not allow these imports:\n{}", wrong.join("\n"));
    assert!(impure.is_empty(), "a pure module uses\n{}", impure.join("\n"));
}

#[test]
fn no_files_import_each_other() {
    let src = read_src();
    let imports = src.imports();
    let (count, cycles) = (imports.values().map(BTreeMap::len).sum::<usize>(), cycles(&imports));
    eprintln!("{} modules, {count} imports, {} cycles", src.modules.len(), cycles.len());
    assert!(cycles.is_empty(), "cycles:\n{}", cycles.join("\n\n"));
}

#[test]
fn imports_against_the_layers_are_reported() {
    let modules = [
        ("copy/mod.rs", "mod tree; pub use tree::Tree;"),
        ("copy/tree.rs", "pub struct Tree;"),
        ("registry/mod.rs", ""),
        ("registry/api/mod.rs", ""),
        ("registry/api/b.rs", "pub struct Tag;"),
        ("registry/error/mod.rs", ""),
        ("registry/error/c.rs", "pub struct Error;"),
    ];
    for (file, code, expected) in [
        ("image/a.rs", "use crate::{copy::{self, Tree as T}, spec};", "image/a.rs -> copy/tree.rs: Tree"),
        ("spec/a.rs", "mod b { use crate::copy; type T = copy::Tree; }", "spec/a.rs -> copy/tree.rs: Tree"),
        ("store/a.rs", "fn f() { say!(x, super::super::copy::Tree::new()); }", "store/a.rs -> copy/tree.rs: Tree"),
        ("spec/a.rs", "use std::{fmt, fs::File};", "spec/a.rs: std::fs::File"),
        ("cli/a.rs", "use crate::copy::Tree;", ""),
        ("registry/auth/a.rs", "use crate::registry::api::b::Tag;", "registry/auth/a.rs -> registry/api/b.rs: Tag"),
        ("registry/client/a.rs", "use crate::registry::error::c::Error;", ""),
        ("image/a.rs", "#[cfg(test)] mod tests { use crate::copy::Tree; }", ""),
    ] {
        let read = Crate::read(modules.into_iter().chain([(file, code)]));
        assert_eq!([violations(&read.imports()), read.impurities()].concat().join("\n"), expected, "{code}");
    }
}

#[test]
fn import_cycles_are_reported() {
    let module = "mod leaf; pub use leaf::{Leaf, grow}; pub struct Root(Leaf);";
    for (leaf, expected) in [
        ("use super::Root;", &["copy/leaf.rs -> copy/mod.rs: Root\ncopy/mod.rs -> copy/leaf.rs: Leaf"][..]),
        ("use crate::query::Query;", &[]),
    ] {
        let sources = [("copy/mod.rs", module), ("copy/leaf.rs", leaf), ("delete.rs", "use crate::copy::Root;")];
        assert_eq!(cycles(&Crate::read(sources).imports()), expected, "{leaf}");
    }
}
