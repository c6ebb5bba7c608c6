//! The flags of `tessera bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `tessera bench …`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub(crate) command: BenchCommand,
}

/// The kinds of `tessera bench`.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Measure how busy simulated devices are kept in the hires pass, over real gRPC on loopback
    ///
    /// Without --tiles and --devices: a table of cases with the bounds that they must reach; exit code 1 if one is missed.
    Scaling(Box<ScalingArgs>),
    /// Kill workers and the coordinator at random while jobs run, and see what becomes of the jobs
    ///
    /// Exit code 1 if a job is lost, does not end, or has other bytes than in a run that nobody disturbs.
    Chaos(ChaosArgs),
    /// Measure what a cluster that is left running promises: how soon it works again after a kill, what its checkpoints cost,
    /// how soon a cancelled job's devices are free, what thousands of jobs and hundreds of watchers do to it
    ///
    /// Exit code 1 if a bound is missed.
    Endurance(EnduranceArgs),
}

/// `tessera bench endurance`.
#[derive(Debug, Args)]
pub(crate) struct EnduranceArgs {
    /// Open jobs of a coordinator that is killed and started again
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) open: u32,
    /// Jobs over which memory must stay flat
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(40..=1_000_000))]
    pub(crate) jobs: u32,
    /// Clients that watch one job
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) watchers: u32,
    /// A PostgreSQL database that two coordinators share, to measure a take-over: postgres://USER@HOST/NAME
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// Leave out what needs a model: what checkpoints cost, and how soon a cancelled job's devices are free
    #[arg(long)]
    pub(crate) simulated: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tessera bench chaos`.
#[derive(Debug, Args)]
pub(crate) struct ChaosArgs {
    /// Jobs
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) jobs: u32,
    /// Seconds in which processes are killed
    #[arg(long, value_name = "SECONDS", default_value_t = 120.0)]
    pub(crate) seconds: f64,
    /// Workers, each a process with a simulated device
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) workers: u32,
    /// Draws who is killed when
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tessera bench scaling`.
#[derive(Debug, Args)]
pub(crate) struct ScalingArgs {
    /// Measure one case of this many tiles, columns x rows, instead of the table
    #[arg(long, value_name = "5x5", requires = "devices")]
    pub(crate) tiles: Option<String>,
    /// Width and height of a tile, latent px
    #[arg(long, value_name = "128x64", default_value = "32x32", requires = "tiles")]
    pub(crate) tile: String,
    /// Milliseconds that each device takes for a tile; where all are 0, calls a second are measured
    #[arg(long, value_name = "47,86,86", value_delimiter = ',', requires = "tiles")]
    pub(crate) devices: Vec<f64>,
    /// Steps of the hires pass, one model call of every tile each
    #[arg(long, value_name = "N", default_value_t = 30, requires = "tiles")]
    pub(crate) steps: u32,
    /// A call takes so much more or less, as a share
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, requires = "tiles")]
    pub(crate) jitter: f64,
    /// Slow calls: their share of all, and how many times longer they take
    #[arg(long, value_name = "0.01x5", requires = "tiles")]
    pub(crate) slow: Option<String>,
    /// Jobs at once
    #[arg(long, value_name = "N", default_value_t = 1, requires = "tiles")]
    pub(crate) jobs: usize,
    /// Runs with other jitter; the mean counts
    #[arg(long, value_name = "N", default_value_t = 1, requires = "tiles")]
    pub(crate) seeds: u32,
    /// Also measure the real engine: the demo model on 2 workers of one thread each against one; keep the machine quiet
    #[arg(long, conflicts_with = "tiles")]
    pub(crate) real: bool,
    /// Also run a command that measures another program beside ours, and ends its output with a line "ratio 1.7"
    ///
    /// The path of tessera is given to it as its last argument; tests/oracle/peer_panorama.py is such a command.
    #[arg(long, value_name = "COMMAND", conflicts_with = "tiles")]
    pub(crate) peer: Option<String>,
    /// Also write when each task of the last run ran, for Perfetto (ui.perfetto.dev) or chrome://tracing
    ///
    /// And beside it, as FILE.barrier.json, the same of the run behind a barrier.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) trace: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
