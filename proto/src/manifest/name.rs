//! Names of models and of their files: a text in, or what is wrong with it, out.

use std::fmt;

use super::{INDEX, PARTS};
use crate::facts::MAX_NAME_BYTES;

/// Most parts of a path: a folder of the model, four below it, and the file.
const MAX_PARTS: usize = 6;

/// Most bytes of a path.
const MAX_PATH: usize = 1024;

/// Names that are devices on Windows, with any ending.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is empty, or a part of it is.
    Empty,
    /// It is longer than we take.
    Long,
    /// It names a parent, or is hidden.
    Dot,
    /// It holds a separator, a drive or what a system reads as something else.
    Character,
    /// It begins or ends with a space, or ends with a dot, which some systems leave out.
    Edge,
    /// It begins with a dash, as a flag does.
    Dash,
    /// It is a device's on some systems.
    Device,
    /// It looks like a content hash.
    Hash,
    /// It lies in none of the folders that make a model.
    Part,
    /// It lies deeper than models go.
    Deep,
}

// === impl Fault ===

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a part of the name is empty",
            Self::Long => "the name is too long",
            Self::Dot => "a part of the name begins with a dot",
            Self::Character => "the name holds a character that file names cannot have everywhere",
            Self::Edge => "a part of the name begins or ends with a space, or ends with a dot",
            Self::Dash => "the name begins with a dash",
            Self::Device => "the name is a device's on some systems",
            Self::Hash => "the name looks like a content hash",
            Self::Part => "it lies in none of the folders that make a model",
            Self::Deep => "it lies too deep",
        })
    }
}

/// Whether a model may be called so: in one word of a command line, and never mistaken for a path or a hash.
///
/// # Errors
/// It may not.
pub fn check_model_name(name: &str) -> Result<(), Fault> {
    check_part(name)?;
    match () {
        () if name.starts_with('-') => Err(Fault::Dash),
        () if name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) => Err(Fault::Hash),
        () => Ok(()),
    }
}

/// Whether a file of a model may be called so: a relative path with `/` between its parts.
///
/// # Errors
/// It may not.
pub(super) fn check_file_name(name: &str) -> Result<(), Fault> {
    if MAX_PATH < name.len() {
        return Err(Fault::Long);
    }
    let parts: Vec<&str> = name.split('/').collect();
    parts.iter().try_for_each(|part| check_part(part))?;
    match parts.as_slice() {
        [INDEX] => Ok(()),
        parts if MAX_PARTS < parts.len() => Err(Fault::Deep),
        [first, _, ..] if PARTS.contains(first) => Ok(()),
        _ => Err(Fault::Part),
    }
}

fn check_part(part: &str) -> Result<(), Fault> {
    let strange = |character: char| {
        matches!(character, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') || character.is_control()
    };
    // What stands before the first dot decides, and a digit may follow "com" and "lpt".
    let stem = part.split('.').next().unwrap_or_default().to_lowercase();
    let device = |name: &&str| stem == **name || stem.strip_prefix(*name).is_some_and(is_digit);
    match () {
        () if part.is_empty() => Err(Fault::Empty),
        () if MAX_NAME_BYTES < part.len() => Err(Fault::Long),
        () if part.starts_with('.') => Err(Fault::Dot),
        () if part.contains(strange) => Err(Fault::Character),
        () if part.starts_with(' ') || part.ends_with([' ', '.']) => Err(Fault::Edge),
        () if DEVICES.iter().any(device) => Err(Fault::Device),
        () => Ok(()),
    }
}

fn is_digit(text: &str) -> bool {
    matches!(text.as_bytes(), [digit] if digit.is_ascii_digit())
}
