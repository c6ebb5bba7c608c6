//! What a file must not name: a source in, the lines that do out.

use super::source::Source;

/// What pure code does not use, as code spells it.
const OUTSIDE: [&str; 7] = ["tokio", "tonic", "ort", "std::fs", "std::net", "Instant::now", "SystemTime"];

/// The lines that reach outside.
pub(super) fn impure(source: &Source) -> Vec<String> {
    let outside = |line: &&str| OUTSIDE.iter().any(|name| uses(line, name));
    let lines = source.code().filter(outside);
    lines.map(|line| format!("{}: {}", source.path, line.trim())).collect()
}

/// The lines of code that hold `text`.
pub(super) fn lines_with(source: &Source, text: &str) -> Vec<String> {
    let lines = source.code().filter(|line| line.contains(text));
    lines.map(|line| format!("{}: {}", source.path, line.trim())).collect()
}

/// Whether the file names the contract's generated types.
pub(super) fn names_wire(source: &Source) -> bool {
    let code = source.code().collect::<Vec<_>>().join("\n");
    let inline = code.contains("tessera_proto::wire");
    let imports = code.split("use tessera_proto::").skip(1);
    let mut imports = imports.filter_map(|rest| rest.split(';').next());
    inline || imports.any(|import| has_word(import, "wire"))
}

/// Whether `name` stands in a line as a word of its own.
pub(super) fn has_word(line: &str, name: &str) -> bool {
    let is_word = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + name.len()..].chars().next();
        !is_word(before) && !is_word(after)
    })
}

/// Whether a line uses a crate or path; a field or variable that happens to have a crate's name does not.
fn uses(line: &str, name: &str) -> bool {
    let is_crate = !name.contains(':') && name.chars().all(|c| c.is_ascii_lowercase());
    if is_crate {
        has_word(line, name) && (line.contains(&format!("{name}::")) || line.trim_start().starts_with("use "))
    } else {
        line.contains(name) || nested(line, name)
    }
}

/// `use std::{fs, io}` names `std::fs` as well.
fn nested(line: &str, name: &str) -> bool {
    let Some((parent, child)) = name.rsplit_once("::") else {
        return false;
    };
    let group = line.split(&format!("{parent}::{{")).nth(1);
    group.is_some_and(|group| has_word(group, child))
}
