//! The flags of the commands that talk to a running cluster, or run its parts.

use std::path::PathBuf;

use clap::Args;

use super::{FormatArgs, JobArgs, LISTEN, SpillArgs};

/// Which cluster.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// The cluster's coordinator, e.g. http://10.0.0.5:7878
    #[arg(long, value_name = "URL", env = "TESSERA_COORDINATOR")]
    pub(crate) coordinator: String,
}

/// `tessera submit`.
#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// The picture.
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Which cluster.
    #[command(flatten, next_help_heading = "Machines")]
    pub(crate) cluster: ClusterArgs,
    /// Format of the picture: png | jpg | webp | tiff
    #[arg(long, help_heading = "Output", value_name = "NAME", default_value = "png")]
    pub(crate) format: String,
    /// How the picture is written beside that.
    #[command(flatten)]
    pub(crate) wish: FormatArgs,
    /// Keep the intermediate tensors for `tessera fetch --dump`
    #[arg(long, help_heading = "Output")]
    pub(crate) dump: bool,
    /// Keep when each task ran, for `tessera fetch --trace`
    #[arg(long, help_heading = "Output")]
    pub(crate) trace: bool,
    /// Follow the job until it ends; Ctrl-C stops watching, not the job
    #[arg(long, help_heading = "Output")]
    pub(crate) watch: bool,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// `tessera watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The job, as `submit` and `jobs` print it
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// Which cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// At the end write when each task of a job submitted with --trace ran, for Perfetto (ui.perfetto.dev) or
    /// chrome://tracing
    #[arg(long, value_name = "FILE.json")]
    pub(crate) trace: Option<PathBuf>,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tessera cancel`.
#[derive(Debug, Args)]
pub(crate) struct JobIdArgs {
    /// The job, as `submit` and `jobs` print it
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// Which cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tessera jobs`.
#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    /// Which cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Only jobs in this state: waiting | running | done | failed | cancelled; may be given several times
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) state: Vec<String>,
    /// Only jobs of this user
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Only the last so many of them; the oldest comes first
    #[arg(long, value_name = "N")]
    pub(crate) last: Option<usize>,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tessera workers`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Which cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tessera fetch`.
#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// The job, as `submit` and `jobs` print it
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// Which cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Picture to write, replaced whole if it exists (default: tessera-JOB.png in this folder, or as the job's format ends)
    ///
    /// It must end as the job's format does, which was chosen when it was submitted.
    #[arg(short, long, value_name = "OUT.png")]
    pub(crate) output: Option<PathBuf>,
    /// Also write the intermediate tensors of a job submitted with --dump
    #[arg(long, value_name = "FILE.safetensors")]
    pub(crate) dump: Option<PathBuf>,
    /// Also write the plan, the times and the costs per stage and worker
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,
    /// Also write when each task of a job submitted with --trace ran, for Perfetto (ui.perfetto.dev) or chrome://tracing
    #[arg(long, value_name = "FILE.json")]
    pub(crate) trace: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tessera coordinator`.
#[derive(Debug, Args)]
pub(crate) struct CoordinatorArgs {
    /// Address and port to listen on; port 0 takes a free one, and the URL is printed
    ///
    /// Only programs of this machine reach the default. There is no authentication yet: another address opens the
    /// cluster to all who reach it.
    #[arg(long, value_name = "ADDR", default_value = LISTEN)]
    pub(crate) listen: String,
    /// Folder for what outlives the coordinator: jobs, how far they are, finished pictures; for one coordinator alone
    /// (default: $TESSERA_HOME/coordinator)
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Folder for finished pictures (default: artifacts/ in the folder of --state)
    #[arg(long, value_name = "DIR")]
    pub(crate) artifacts: Option<PathBuf>,
    /// Table of jobs: sqlite:FILE or postgres://USER@HOST/NAME (default: a SQLite file in the folder of --state)
    ///
    /// Several coordinators may share one PostgreSQL, each with its own --state and all with one --artifacts: where one is
    /// gone, another goes on with its jobs within ten seconds.
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// Store every so many seconds how far each job is, beside the ends of its stages; so much work is done again at most
    /// when the coordinator is killed
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pub(crate) checkpoint: f64,
    /// Fail a job when no worker with its model has connected after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub(crate) worker_wait: f64,
    /// Let at most this many jobs of one user run at a time; the others wait (default: any number)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) user_jobs: Option<u32>,
    /// Take a worker for lost when nothing has been heard of it for this many seconds; at least 0.4
    #[arg(long, value_name = "SECONDS")]
    pub(crate) silence: Option<f64>,
    /// Give a task to another worker when it has not come back after this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) task_timeout: Option<f64>,
}

/// `tessera worker`.
#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// Which cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// cpu | cpu:THREADS | cuda:N | tensorrt:N | rocm:N | directml:N | coreml | openvino | sim:MILLISECONDS
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: String,
    /// Model folder (default: $TESSERA_MODEL, else the demo model; not needed by sim devices)
    #[arg(short, long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Upscaling network that the model shall have besides those of its upscalers/; may be given several times
    ///
    /// Jobs name it without path and ending. It counts as part of the model: workers with other files serve another model.
    #[arg(long, value_name = "FILE.onnx")]
    pub(crate) upscaler: Vec<PathBuf>,
    /// ONNX Runtime library to load, a file or its folder
    #[arg(long, value_name = "PATH")]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// Run the networks as exported, without fused attention: slower, and much more memory
    #[arg(long)]
    pub(crate) no_fuse: bool,
    /// Memory of waiting tiles.
    #[command(flatten)]
    pub(crate) spill: SpillArgs,
    /// Look this many seconds for a coordinator that does not answer, at the start and after a break; 0 = do not
    ///
    /// A minute is enough to start both in any order and to restart the coordinator, and a worker that nobody needs any
    /// more does not keep its device for long.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub(crate) patience: f64,
    /// Name for people, e.g. in `tessera workers` (default: host and process)
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}
