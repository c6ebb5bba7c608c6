//! The format of a picture: a file's ending or a format's name, and the flags beside it, in; a checked format out.

use std::path::Path;

use tessera_proto::{
    JobId,
    job::format::{Format, Wish},
};

use super::Error;
use crate::args::FormatArgs;

/// The format that a picture's file name asks for; PNG where it has no name yet.
///
/// # Errors
/// The ending is that of no picture, or its format cannot do what the flags say.
pub(super) fn of_file(path: Option<&Path>, args: &FormatArgs) -> Result<Format, Error> {
    let Some(path) = path else {
        return named("png", args);
    };
    if path.is_dir() {
        return Err(Error::IsFolder { flag: "--output", path: path.to_owned() });
    }
    Format::of(&ending(path), wish(args))
        .map_err(|source| Error::OutputFormat { path: path.to_owned(), source })
}

/// The format of this name.
///
/// # Errors
/// There is none, or it cannot do what the flags say.
pub(super) fn named(name: &str, args: &FormatArgs) -> Result<Format, Error> {
    Ok(Format::of(name, wish(args))?)
}

/// Whether a name ends as a finished job's format does.
///
/// # Errors
/// It does not.
pub(crate) fn check_fetched(job: JobId, format: Format, path: &Path) -> Result<(), Error> {
    let given = Format::of(&ending(path), Wish::default());
    if given.is_ok_and(|given| given.name() == format.name()) {
        return Ok(());
    }
    let (path, name, ending) = (path.to_owned(), format.name(), format.ending());
    Err(Error::FetchedFormat { job, path, name, ending })
}

const fn wish(args: &FormatArgs) -> Wish {
    Wish { bits: args.bits, quality: args.quality }
}

fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().into_owned()).unwrap_or_default()
}
