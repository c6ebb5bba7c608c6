//! The command line as clap reads it: words in, raw values out. What they mean is decided in `options`.

mod bench;
mod cluster;
mod compare;
mod job;
mod model;
mod render;
mod security;
mod spill;
mod vae;

pub(crate) use bench::{BenchArgs, BenchCommand, ChaosArgs, EnduranceArgs, ScalingArgs};
pub(crate) use cluster::{
    AccessArgs, CancelArgs, ClusterArgs, CoordinatorArgs, DrainArgs, FetchArgs, JobsArgs, ListArgs, ShowArgs,
    StoreArgs, SubmitArgs, WatchArgs, WorkerArgs,
};
pub(crate) use compare::CompareArgs;
pub(crate) use job::{FormatArgs, HiresArgs, JobArgs, PictureArgs, SamplingArgs, TurnArgs};
pub(crate) use model::{InspectArgs, ListModelArgs, ModelArgs, ModelCommand, PushArgs, RemoveModelArgs};
pub(crate) use render::{MachineArgs, OutputArgs, PlanArgs, RenderArgs};
pub(crate) use security::{InitArgs, ListTokenArgs, NewTokenArgs, RevokeArgs, TokenArgs, TokenCommand};
pub(crate) use spill::SpillArgs;
pub(crate) use vae::{DecodeArgs, EncodeArgs};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::exit;

/// Where `tessera coordinator` listens and where its clients look for it: next to no port that web UIs use.
pub(crate) const LISTEN: &str = "127.0.0.1:7878";

/// Renders Stable Diffusion hires-fix pictures on any number of devices and machines.
#[derive(Debug, Parser)]
#[command(name = "tessera", version, about, max_term_width = 110, after_help = exit::CODES)]
pub(crate) struct Cli {
    /// How log lines on standard error are written; what is logged, the variable TESSERA_LOG says (`info`, `debug`, …)
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for collectors.
    Json,
}

/// One variant per file in `command/`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Draw a picture, on workers of this machine or on a running cluster
    Render(Box<RenderArgs>),
    /// Say what `render` would do and cost; needs no GPU, draws nothing and writes no file
    Plan(Box<PlanArgs>),
    /// Turn a latent into its picture
    Decode(Box<DecodeArgs>),
    /// Turn a picture into its latent
    Encode(Box<EncodeArgs>),
    /// Hand a job, or a batch of them, to a running cluster and print its id
    Submit(Box<SubmitArgs>),
    /// Follow a job until it ends; Ctrl-C stops watching, not the job
    Watch(WatchArgs),
    /// End jobs
    Cancel(CancelArgs),
    /// List a cluster's jobs
    Jobs(JobsArgs),
    /// Say how a job stands, and where its time went when it is done
    Show(ShowArgs),
    /// Get the pictures of finished jobs
    Fetch(FetchArgs),
    /// List a cluster's workers
    Workers(ListArgs),
    /// Let a worker finish its task in hand and go
    Drain(DrainArgs),
    /// Make the certificates of a cluster that strangers can reach
    Init(InitArgs),
    /// Make, list and end the tokens that such a cluster asks for
    Token(TokenArgs),
    /// Run a coordinator: takes jobs, hands their tiles to workers
    Coordinator(CoordinatorArgs),
    /// Run a worker: serves one device to a coordinator
    Worker(WorkerArgs),
    /// Measure how far two pictures are apart, and how much tile borders show
    Compare(CompareArgs),
    /// Look at model folders, and give them to a cluster
    Model(ModelArgs),
    /// Measure how well a cluster keeps its devices busy
    Bench(BenchArgs),
    /// Check this machine: ONNX Runtime, model, cores, loopback
    Doctor(DoctorArgs),
    /// Print what a shell needs to complete our words
    Completions(CompletionsArgs),
    /// Write manual pages, one for each command
    Man(ManArgs),
}

/// `tessera doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Check this model folder instead of the default one
    #[arg(short, long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Check this ONNX Runtime library instead of the one that would be found
    #[arg(long, value_name = "PATH")]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tessera completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell, as in: tessera completions bash > ~/.local/share/bash-completion/completions/tessera
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// `tessera man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder to write them to, which is made where it is absent, as in: tessera man ~/.local/share/man/man1
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

// === impl Command ===

impl Command {
    /// The flags that describe a job, of a command that takes a job file.
    pub(crate) const fn job(&self) -> Option<&JobArgs> {
        match self {
            Self::Render(args) => Some(&args.job),
            Self::Plan(args) => Some(&args.render.job),
            Self::Submit(args) => Some(&args.job),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn clap_finds_no_fault_in_the_definitions() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_says_what_exit_codes_mean() {
        let help = Cli::command().render_help().to_string();
        for exit in [exit::Exit::Ok, exit::Exit::Failed, exit::Exit::Usage, exit::Exit::Interrupted] {
            let code = format!("\n  {:<4}", exit as u8);
            assert!(help.contains(&code), "{code} is missing in:\n{help}");
        }
    }

    #[test]
    fn help_explains_each_default_that_matters() {
        let mut command = Cli::command();
        let render = command.find_subcommand_mut("render").unwrap();
        let help = render.render_long_help().to_string();
        for heading in ["Picture:", "Sampling:", "Hires fix:", "Tiles:", "VAE:", "Machines:", "Output:"] {
            assert!(help.contains(heading), "{heading} is missing in:\n{help}");
        }
        for reason in ["latent px", "1.5 times", "a quarter of the tile", "blurred", "[default: 20]"] {
            assert!(help.contains(reason), "{reason:?} is missing in:\n{help}");
        }
    }
}
