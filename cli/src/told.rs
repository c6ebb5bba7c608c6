//! What a command is told, from wherever it comes: a command line and its job file in, arguments that one parser has
//! checked out.
//!
//! A job file is turned into the flags that it stands for, under those of the command line, and all of them are parsed
//! again: so one set of checks holds for both. Lines of a batch are laid over them in the same way.

mod batch;
mod file;
mod layer;

pub(crate) use batch::Batch;
pub(crate) use file::{Error, Place};
pub(crate) use layer::Layer;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser};

use crate::args::{Cli, Command};

/// Why there is nothing to do.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Of the command line itself; help and the version are refusals too.
    Words(clap::Error),
    /// Of the job file that it names.
    File(Box<Error>),
}

/// Reads a command line, and the job file that it names.
///
/// # Errors
/// Either cannot be used.
pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Cli, Refusal> {
    let mut root = Cli::command();
    let matches = root.try_get_matches_from_mut(words).map_err(Refusal::Words)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| Refusal::Words(error.format(&mut root)))?;
    let Some((name, matches)) = matches.subcommand() else {
        return Ok(cli);
    };
    let job = cli.command.job().map(|job| job.file.clone());
    let (Some(file), Some(command)) = (job, root.find_subcommand(name)) else {
        return Ok(cli);
    };
    let mut layer = Layer::of_matches(command, matches);
    let Some(path) = file else {
        return Ok(cli.told(layer));
    };
    layer = file::open(&path, command).map_err(Box::new).map_err(Refusal::File)?.under(layer, command);
    let refused = |error: &clap::Error| Refusal::File(Box::new(Error::refused(Place::file(&path), error)));
    let cli = Cli::try_parse_from(layer.words(command)).map_err(|error| refused(&error))?;
    Ok(cli.told(layer))
}

// === impl Cli ===

impl Cli {
    /// The same, knowing what was said and what is there by default.
    fn told(mut self, layer: Layer) -> Self {
        if let Command::Submit(args) = &mut self.command {
            args.told = layer;
        }
        self
    }
}

#[cfg(test)]
mod tests;
