//! The oracle's values: a file's name in, its cases and tensors out.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::{report, root, tensors::Tensors};

/// One render whose tensors are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its name, with which its tensors' names begin.
    pub name: String,
    /// The case of `render_base` that it goes on from.
    pub base: Option<String>,
    /// The words behind `tessera render`.
    pub args: Vec<String>,
}

/// The folder of all golden files.
#[must_use]
pub fn folder() -> PathBuf {
    root().join("tests/oracle/golden")
}

/// The cases of a file; one that holds a single render is one case without a name.
///
/// # Panics
/// There is no such file.
#[must_use]
pub fn cases(file: &str) -> Vec<Case> {
    let text = fs::read_to_string(folder().join(format!("{file}.json"))).expect("a golden file");
    let value = report::parse(&text);
    match value["cases"].as_array() {
        Some(cases) => cases.iter().map(case).collect(),
        None => vec![case(&value)],
    }
}

/// The tensors of a file.
#[must_use]
pub fn tensors(file: &str) -> Tensors {
    Tensors::open(&folder().join(format!("{file}.safetensors")))
}

fn case(value: &Value) -> Case {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let args = value["args"].as_array().expect("a render has flags");
    Case {
        name: text(&value["name"]).unwrap_or_default(),
        base: text(&value["base"]),
        args: args.iter().filter_map(text).collect(),
    }
}
