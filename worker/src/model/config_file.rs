//! A JSON settings file of a model folder: a path in, its fields by type out, each mistake named with file and field.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Largest settings file; real ones are below 64 KiB.
const MAX_FILE: u64 = 4 << 20;

/// A settings file: one JSON object.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    path: PathBuf,
    fields: Map<String, Value>,
}

/// Why a settings file or one of its fields cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error("{} is missing", file.display())]
    Absent {
        /// The file.
        file: PathBuf,
    },
    /// It cannot be read.
    #[error("{} cannot be read: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is far larger than any settings file.
    #[error("{} is larger than {MAX_FILE} bytes, the most that a settings file may have", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// It is no JSON object.
    #[error("{} is damaged: {reason}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What the reader says.
        reason: String,
    },
    /// A field that is needed is not there.
    #[error("{} lacks the field {field:?}, {expected}", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// The field.
        field: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A field holds something else than it should.
    #[error("{}: field {field:?} is {found}, must be {expected}", file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// The field.
        field: &'static str,
        /// What it holds, shortened.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
}

// === impl ConfigFile ===

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// It is absent, unreadable, too large, or no JSON object.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = || path.to_owned();
        let mut text = Vec::new();
        let opened =
            std::fs::File::open(path).and_then(|open| open.take(MAX_FILE + 1).read_to_end(&mut text));
        match opened {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::Absent { file: file() });
            }
            Err(source) => return Err(Error::Unreadable { file: file(), source }),
        }
        if MAX_FILE < text.len() as u64 {
            return Err(Error::TooLarge { file: file() });
        }
        match serde_json::from_slice(&text) {
            Ok(Value::Object(fields)) => Ok(Self { path: file(), fields }),
            Ok(_) => Err(Error::Damaged { file: file(), reason: "it holds no JSON object".to_owned() }),
            Err(error) => Err(Error::Damaged { file: file(), reason: error.to_string() }),
        }
    }

    /// A field that is there and not null.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    /// A whole number from 0 on, if the field is there.
    ///
    /// # Errors
    /// It holds something else.
    pub fn optional_whole(&self, field: &'static str) -> Result<Option<u32>, Error> {
        let read = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        self.optional(field, "a whole number", read)
    }

    /// A whole number from 0 on.
    ///
    /// # Errors
    /// The field is missing or holds something else.
    pub fn whole(&self, field: &'static str) -> Result<u32, Error> {
        self.needed(field, "a whole number", self.optional_whole(field)?)
    }

    /// A real number, if the field is there.
    ///
    /// # Errors
    /// It holds something else.
    pub fn optional_real(&self, field: &'static str) -> Result<Option<f64>, Error> {
        self.optional(field, "a number", Value::as_f64)
    }

    /// A real number.
    ///
    /// # Errors
    /// The field is missing or holds something else.
    pub fn real(&self, field: &'static str) -> Result<f64, Error> {
        self.needed(field, "a number", self.optional_real(field)?)
    }

    /// A text, if the field is there.
    ///
    /// # Errors
    /// It holds something else.
    pub fn optional_text(&self, field: &'static str) -> Result<Option<&str>, Error> {
        self.optional(field, "a text", Value::as_str)
    }

    /// A text.
    ///
    /// # Errors
    /// The field is missing or holds something else.
    pub fn text(&self, field: &'static str) -> Result<&str, Error> {
        self.needed(field, "a text", self.optional_text(field)?)
    }

    /// How many entries a list has, at least 1.
    ///
    /// # Errors
    /// The field is missing, no list, or empty.
    pub fn list_length(&self, field: &'static str) -> Result<usize, Error> {
        let length = |value: &Value| value.as_array().map(Vec::len).filter(|&length| 0 < length);
        let found = self.optional(field, "a list with an entry for each level", length)?;
        self.needed(field, "a list with an entry for each level", found)
    }

    /// A token of a tokenizer's settings: its text, or an object with its text as `content`.
    ///
    /// # Errors
    /// The field holds something else.
    pub fn token(&self, field: &'static str) -> Result<Option<String>, Error> {
        let text = |value: &Value| value.get("content").unwrap_or(value).as_str().map(str::to_owned);
        self.optional(field, "a text or an object with the text \"content\"", text)
    }

    /// Whether `token` is looked for in normalised (lower-case) text, if a tokenizer's settings say so.
    #[must_use]
    pub fn is_normalized(&self, token: &str) -> Option<bool> {
        let tokens = self.get("added_tokens_decoder")?.as_object()?;
        let entry =
            tokens.values().find(|entry| entry.get("content").and_then(Value::as_str) == Some(token))?;
        entry.get("normalized")?.as_bool()
    }

    /// The refusal of a field for what it holds.
    #[must_use]
    pub fn wrong(&self, field: &'static str, expected: &'static str) -> Error {
        let found = self.fields.get(field).map_or_else(|| "missing".to_owned(), Value::to_string);
        Error::Field { file: self.path.clone(), field, found: found.chars().take(60).collect(), expected }
    }

    /// The refusal of a file that lacks a field.
    #[must_use]
    pub fn missing(&self, field: &'static str, expected: &'static str) -> Error {
        Error::Missing { file: self.path.clone(), field, expected }
    }

    fn optional<'file, T>(
        &'file self,
        field: &'static str,
        expected: &'static str,
        read: impl Fn(&'file Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        read(value).map(Some).ok_or_else(|| self.wrong(field, expected))
    }

    fn needed<T>(&self, field: &'static str, expected: &'static str, found: Option<T>) -> Result<T, Error> {
        found.ok_or_else(|| self.missing(field, expected))
    }
}
