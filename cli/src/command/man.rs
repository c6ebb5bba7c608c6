//! `tessera man`: a folder in, a manual page for each command in it out.

use std::{fs, path::Path};

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::{
    args::{Cli, ManArgs},
    atomic::Draft,
    exit::Failure,
    output::Output,
};

/// Writes the pages and names each.
pub(super) fn run(args: &ManArgs, output: &Output) -> Result<(), Failure> {
    let folder = &args.folder;
    let absent = || format!("the folder {} cannot be made", folder.display());
    fs::create_dir_all(folder).with_context(absent).map_err(Failure::usage)?;
    let mut root = Cli::command().disable_help_subcommand(true);
    // Only now commands know what their parents are called.
    root.build();
    let mut drafts = Vec::new();
    write(&root, folder, &mut drafts)?;
    let pages = drafts.len();
    Draft::publish(drafts).map_err(Failure::failed)?;
    output.data(format_args!("{pages} pages in {}", folder.display()))
}

/// The page of a command and those of its commands.
fn write(command: &Command, folder: &Path, drafts: &mut Vec<Draft>) -> Result<(), Failure> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render(&mut page).map_err(Failure::failed)?;
    let mut draft = Draft::create(&folder.join(man.get_filename())).map_err(Failure::usage)?;
    draft.write(&page).map_err(Failure::failed)?;
    drafts.push(draft);
    command.get_subcommands().try_for_each(|command| write(command, folder, drafts))
}
