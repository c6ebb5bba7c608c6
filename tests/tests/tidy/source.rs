//! The repository's own files: a folder in; paths, texts, and Rust code without its tests out.

use std::{collections::BTreeSet, fs, path::Path};

use tessera_tests::root;

/// Folders that hold the project's text.
const FOLDERS: [&str; 8] = ["proto", "coordinator", "worker", "cli", "tests", "deploy", ".ci", ".cargo"];

/// Parts of a path that hold what others wrote, or machines.
const FOREIGN: [&str; 6] = ["target", ".venv", "__pycache__", "models", "golden", "node_modules"];

/// Folders without I/O, async, clock and global state.
const PURE: [&str; 7] = [
    "coordinator/src/prompt",
    "coordinator/src/sample",
    "coordinator/src/canvas",
    "coordinator/src/render",
    "coordinator/src/fleet",
    "coordinator/src/forecast",
    "worker/src/graph",
];

/// Where wire types may be named: the contract and its conversion, the services and who serves them, both clients.
const EDGE: [&str; 6] = [
    "proto/",
    "coordinator/src/lib.rs",
    "coordinator/src/rpc",
    "worker/src/link",
    "cli/src/client",
    "tests/",
];

/// A Rust file of ours that a program is made of, or the harness.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Path from the top of the project, with `/`.
    pub(super) path: String,
    /// Everything in it.
    pub(super) text: String,
}

/// All text files of the project: path from its top, text.
pub(super) fn texts() -> Vec<(String, String)> {
    let top = root();
    let folders = FOLDERS.iter().map(|folder| top.join(folder)).filter(|folder| folder.is_dir());
    let files = folders.flat_map(|folder| files_below_own(&folder));
    let named = files.map(|file| {
        let path = file.strip_prefix(&top).expect("it lies in the project").to_string_lossy();
        (path.replace('\\', "/"), file.clone())
    });
    named.filter_map(|(path, file)| Some((path, fs::read_to_string(file).ok()?))).collect()
}

fn files_below_own(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder can be listed");
    let paths = entries.map(|entry| entry.expect("a folder's entry").path());
    let own = paths.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !FOREIGN.contains(&&*name)
    });
    own.flat_map(|path| if path.is_dir() { files_below_own(&path) } else { vec![path] }).collect()
}

// === impl Source ===

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// All but generated code and files that only tests use.
    pub(super) fn all() -> Vec<Self> {
        let rust =
            |(path, _): &(String, String)| path.ends_with(".rs") && !path.starts_with("proto/src/wire/");
        let sources: Vec<_> =
            texts().into_iter().filter(rust).map(|(path, text)| Self { path, text }).collect();
        let tests: BTreeSet<String> = sources.iter().flat_map(Self::test_modules).collect();
        let is_test = |source: &Self| {
            let stem = source.path.trim_end_matches(".rs");
            let integration = source.path.contains("/tests/") || source.path.contains("/benches/");
            integration || tests.iter().any(|test| stem == test || stem.starts_with(&format!("{test}/")))
        };
        sources.into_iter().filter(|source| !is_test(source)).collect()
    }

    pub(super) fn is_pure(&self) -> bool {
        let within = |folder: &&str| {
            self.path.starts_with(&format!("{folder}/")) || self.path == format!("{folder}.rs")
        };
        PURE.iter().any(within)
    }

    pub(super) fn is_edge(&self) -> bool {
        EDGE.iter().any(|place| self.path.starts_with(place))
    }

    /// The lines before the tests at the end.
    pub(super) fn body(&self) -> Vec<&str> {
        let lines: Vec<_> = self.text.lines().collect();
        let begin = |at: &usize| {
            let mut behind = lines[at + 1..].iter().skip_while(|line| line.starts_with("#["));
            let module = behind.next().is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'));
            lines[*at] == "#[cfg(test)]" && module
        };
        let end = (0..lines.len()).find(begin).unwrap_or(lines.len());
        lines[..end].to_vec()
    }

    /// The lines of the body that are code.
    pub(super) fn code(&self) -> impl Iterator<Item = &str> {
        self.body().into_iter().filter(|line| !line.trim_start().starts_with("//"))
    }

    /// Files that this one declares for tests alone, as paths without their ending.
    fn test_modules(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let root = ["lib", "main"].iter().find_map(|name| stem.strip_suffix(&format!("/{name}")));
        let folder = root.unwrap_or(stem);
        let mut is_test = false;
        let mut modules = Vec::new();
        for line in self.text.lines().map(str::trim) {
            let module =
                line.strip_suffix(';').and_then(|line| line.rsplit_once("mod ")).map(|(_, name)| name);
            match module {
                Some(name) if is_test => modules.push(format!("{folder}/{name}")),
                _ => {}
            }
            is_test = line.starts_with("#[cfg(test)]") || (is_test && line.starts_with("#["));
        }
        modules
    }
}
