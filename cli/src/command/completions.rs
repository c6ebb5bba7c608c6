//! `tessera completions`: a shell in, the script that completes our words in it out.

use clap::CommandFactory;

use crate::{
    args::{Cli, CompletionsArgs},
    exit::Failure,
    output::Output,
};

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs, output: &Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tessera", &mut script);
    output.data(String::from_utf8_lossy(&script).trim_end())
}
