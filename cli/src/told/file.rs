//! Job files and lines of a batch: TOML or JSON in, the flags that they stand for out.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use clap::{Arg, Command, builder::ValueParser};
use tessera_proto::job;

use super::layer::{Layer, takes_values};
use crate::options::bytes_of;

/// Most bytes of a job file: a prompt has at most 64 KiB, and all the rest is short.
const MOST: usize = 1 << 20;

/// Parts of `tessera render --help` whose flags say what is made. Who makes it is said on the command line alone, so that a
/// file from elsewhere cannot send a job somewhere.
const HEADINGS: [&str; 6] = ["Picture", "Sampling", "Hires fix", "Tiles", "VAE", "Output"];

/// Flags elsewhere that say something about the job.
const OTHERS: [&str; 2] = ["priority", "user"];

/// Flags of those parts that are about the command and not about the job.
const NOT: [&str; 6] = ["file", "batch", "watch", "json", "quiet", "help"];

/// Where something stands that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    path: PathBuf,
    /// From 1 on; `None` = the file as a whole.
    line: Option<usize>,
}

/// Why a job file or a line cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {place}: {fault}")]
pub(crate) struct Error {
    place: Place,
    fault: Fault,
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Unreadable(String),
    #[error("it has more than {MOST} bytes")]
    Bytes,
    #[error("{0}")]
    Syntax(String),
    #[error("it is no object, which looks like {{\"prompt\": \"a red house\"}}")]
    Object,
    #[error("unknown key {key:?}{} (the keys are the long flags of tessera {command}, and prompt)", hint(nearest.as_deref()))]
    Unknown { key: String, command: String, nearest: Option<String> },
    #[error("the key {key:?} says nothing about the picture: give --{key} on the command line")]
    Elsewhere { key: String },
    #[error("the key {key:?} must be {wanted}")]
    Kind { key: String, wanted: &'static str },
    #[error("{0}")]
    Refused(String),
}

/// A value, as TOML and JSON both know it.
enum Value {
    Text(String),
    Number(String),
    Truth(bool),
    Other,
}

/// Reads the job file at `path` for a command.
///
/// # Errors
/// It cannot be read, or holds something else than the command's flags.
pub(super) fn open(path: &Path, command: &Command) -> Result<Layer, Error> {
    let failed = |fault| Error { place: Place::file(path), fault };
    let bytes = bytes_of(path, MOST).map_err(|reason| failed(Fault::Unreadable(reason)))?;
    let bytes = bytes.ok_or_else(|| failed(Fault::Bytes))?;
    let text =
        String::from_utf8(bytes).map_err(|_| failed(Fault::Unreadable("it is not UTF-8 text".to_owned())))?;
    of_toml(&text, path, command)
}

/// Reads the text of the job file at `path`.
///
/// # Errors
/// It is no TOML, or holds something else than the command's flags.
pub(super) fn of_toml(text: &str, path: &Path, command: &Command) -> Result<Layer, Error> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count() + 1);
        Error {
            place: Place { path: path.to_owned(), line },
            fault: Fault::Syntax(one_line(error.message())),
        }
    })?;
    let entries = table.into_iter().map(|(key, value)| (key, Value::from(value)));
    layer(entries, path.parent(), command).map_err(|fault| Error { place: Place::file(path), fault })
}

/// Reads a line of a batch.
///
/// # Errors
/// It is no JSON object of a job's keys.
pub(super) fn of_json(text: &str, place: &Place, command: &Command) -> Result<Layer, Error> {
    let failed = |fault| Error { place: place.clone(), fault };
    let value: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| failed(Fault::Syntax(format!("it is no JSON: {error}"))))?;
    let serde_json::Value::Object(object) = value else {
        return Err(failed(Fault::Object));
    };
    let entries = object.into_iter().map(|(key, value)| (key, Value::from(value)));
    layer(entries, place.path.parent(), command).map_err(failed)
}

/// The flags that these keys stand for; paths are relative to `folder`.
fn layer(
    entries: impl Iterator<Item = (String, Value)>,
    folder: Option<&Path>,
    command: &Command,
) -> Result<Layer, Fault> {
    let mut layer = Layer::default();
    for (key, value) in entries {
        let arg = find(&key, command)?;
        if layer.has(arg) {
            return Err(Fault::Kind { key, wanted: "there once: another key means the same" });
        }
        let kind = |wanted| Fault::Kind { key: key.clone(), wanted };
        match (value, takes_values(arg)) {
            (Value::Truth(true), false) => layer.add(arg, None),
            (Value::Truth(false), false) => {}
            (_, false) => return Err(kind("true or false")),
            (Value::Text(text), true) => layer.add(arg, Some(placed(arg, text, folder))),
            (Value::Number(number), true) => layer.add(arg, Some(number.into())),
            (Value::Truth(_) | Value::Other, true) => return Err(kind("a text or a number")),
        }
    }
    Ok(layer)
}

/// The argument that a key names: by its long name or an alias, with dashes or underscores.
fn find<'a>(key: &str, command: &'a Command) -> Result<&'a Arg, Fault> {
    let spelt = key.replace('_', "-");
    let named = |arg: &&Arg| names(arg).any(|name| name == spelt);
    match command.get_arguments().find(named) {
        Some(arg) if is_of_a_job(arg) => Ok(arg),
        Some(_) => Err(Fault::Elsewhere { key: spelt }),
        None => {
            let known = command.get_arguments().filter(|arg| is_of_a_job(arg)).flat_map(names);
            let nearest = job::nearest(&spelt, known).map(ToOwned::to_owned);
            Err(Fault::Unknown { key: key.to_owned(), command: command.get_name().to_owned(), nearest })
        }
    }
}

/// What keys may call an argument.
fn names(arg: &Arg) -> impl Iterator<Item = &str> {
    let own = if arg.is_positional() { Some(arg.get_id().as_str()) } else { arg.get_long() };
    own.into_iter().chain(arg.get_visible_aliases().unwrap_or_default())
}

fn is_of_a_job(arg: &Arg) -> bool {
    let id = arg.get_id().as_str();
    let part = arg.get_help_heading().is_some_and(|heading| HEADINGS.contains(&heading));
    (part || OTHERS.contains(&id)) && !NOT.contains(&id)
}

/// A text, or a path from the file's folder on where it is one.
fn placed(arg: &Arg, text: String, folder: Option<&Path>) -> OsString {
    let Some(folder) = folder else {
        return text.into();
    };
    let path = folder.join(&text);
    let is_path = match arg.get_id().as_str() {
        // A folder, or what a cluster calls its model.
        "model" => path.is_dir() || text.contains(std::path::MAIN_SEPARATOR),
        // A file, or the name of a network.
        "upscaler" => Path::new(&text).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx")),
        _ => arg.get_value_parser().type_id() == ValueParser::path_buf().type_id(),
    };
    if is_path { path.into() } else { text.into() }
}

/// A message without line breaks, and without what else a terminal would obey in a file from elsewhere.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!(": did you mean {nearest:?}?")).unwrap_or_default()
}

// === impl Place ===

impl Place {
    /// A file as a whole.
    pub(crate) fn file(path: &Path) -> Self {
        Self { path: path.to_owned(), line: None }
    }

    /// A line of a file, from 1 on.
    pub(crate) fn line(path: &Path, line: usize) -> Self {
        Self { path: path.to_owned(), line: Some(line) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            None => write!(f, "{}", self.path.display()),
            Some(line) => write!(f, "{}, line {line}", self.path.display()),
        }
    }
}

// === impl Error ===

impl Error {
    /// The parser's objection to what the file says: the first line of what it would print.
    pub(super) fn refused(place: Place, error: &clap::Error) -> Self {
        let text = error.to_string();
        let text = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        Self { place, fault: Fault::Refused(one_line(text)) }
    }
}

// === impl Value ===

impl From<toml::Value> for Value {
    fn from(value: toml::Value) -> Self {
        match value {
            toml::Value::String(text) => Self::Text(text),
            toml::Value::Integer(number) => Self::Number(number.to_string()),
            toml::Value::Float(number) => Self::Number(number.to_string()),
            toml::Value::Boolean(truth) => Self::Truth(truth),
            toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => Self::Other,
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Number(number) => Self::Number(number.to_string()),
            serde_json::Value::Bool(truth) => Self::Truth(truth),
            serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                Self::Other
            }
        }
    }
}
