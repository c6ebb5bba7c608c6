//! The flags of the commands that talk to a running cluster, or run its parts.

use std::path::PathBuf;

use clap::Args;

use super::{FormatArgs, JobArgs, LISTEN, SpillArgs};
use crate::told::Layer;

/// Which cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClusterArgs {
    /// The cluster's coordinator, e.g. https://10.0.0.5:7878; http:// for one that asks for no TLS
    #[arg(long, value_name = "URL", env = "TESSERA_COORDINATOR")]
    pub(crate) coordinator: String,
    /// How to be admitted there.
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// What a coordinator that asks for TLS is shown, and is to show.
#[derive(Debug, Clone, Args)]
pub(crate) struct AccessArgs {
    /// With https://: certificate of the cluster's authority, as `tessera init` made it (default: $TESSERA_HOME/tls/ca.pem)
    #[arg(long, value_name = "FILE.pem", env = "TESSERA_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// With https://: the token that an admin made with `tessera token new`
    #[arg(long, value_name = "TOKEN", env = "TESSERA_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The same, read from a file
    #[arg(long, value_name = "FILE", env = "TESSERA_TOKEN_FILE", conflicts_with = "token")]
    pub(crate) token_file: Option<PathBuf>,
}

/// `tessera submit`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SubmitArgs {
    /// The picture.
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Hand in a job for each line of this file: JSON objects with the keys of a job file, laid over all that is said here
    ///
    /// Nothing is handed in where a line cannot be used. With --image DIR instead, a job for each picture of that folder is,
    /// in the order of their names. An id is printed for each job, in the same order.
    #[arg(long, value_name = "FILE.jsonl", help_heading = "Picture")]
    pub(crate) batch: Option<PathBuf>,
    /// All that was said of it, for a batch's lines to be laid over it.
    #[arg(skip)]
    pub(crate) told: Layer,
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
    /// Follow the job, or all of them, to the end; Ctrl-C stops watching, not the job
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
pub(crate) struct CancelArgs {
    /// The jobs, as `submit` and `jobs` print them; where one cannot be ended, the others are
    #[arg(value_name = "JOB", required = true)]
    pub(crate) jobs: Vec<String>,
    /// Which cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tessera show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The job, as `submit` and `jobs` print it
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// Which cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Print JSON: the status, the report (so far, of a job that runs) and the events
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
    /// The jobs, as `submit` and `jobs` print them
    #[arg(value_name = "JOB", required = true)]
    pub(crate) jobs: Vec<String>,
    /// Which cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Picture to write, replaced whole if it exists (default: tessera-JOB.png in this folder, or as the job's format ends)
    ///
    /// It must end as the job's format does, which was chosen when it was submitted. Pictures of several jobs, which are
    /// called as by default, go into the folder DIR, which is made where it is absent.
    #[arg(short, long, value_name = "OUT.png|DIR/")]
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

/// Where a coordinator keeps jobs and tokens.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Folder for what outlives the coordinator: jobs, how far they are, finished pictures; for one coordinator alone
    /// (default: $TESSERA_HOME/coordinator)
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Table of jobs and tokens: sqlite:FILE or postgres://USER@HOST/NAME (default: a SQLite file in the folder of --state)
    ///
    /// Several coordinators may share one PostgreSQL, each with its own --state and all with one --artifacts: where one is
    /// gone, another goes on with its jobs within ten seconds.
    #[arg(long, value_name = "URL", env = "TESSERA_DATABASE", hide_env_values = true)]
    pub(crate) database: Option<String>,
}

/// `tessera drain`.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// The worker's number or name, as `tessera workers` prints them, or HOST for all that are called HOST/DEVICE
    #[arg(value_name = "WORKER")]
    pub(crate) worker: String,
    /// Which cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tessera coordinator`.
#[derive(Debug, Args)]
pub(crate) struct CoordinatorArgs {
    /// Address and port to listen on; port 0 takes a free one, and the URL is printed
    ///
    /// Only programs of this machine reach the default. Another address asks for --tls, or for --insecure.
    #[arg(long, value_name = "ADDR", default_value = LISTEN)]
    pub(crate) listen: String,
    /// Ask callers for TLS and a token, with the certificates that `tessera init` made (default folder: $TESSERA_HOME/tls)
    #[arg(long, value_name = "DIR", conflicts_with = "insecure")]
    #[expect(clippy::option_option, reason = "clap reads a flag with and without a value so")]
    pub(crate) tls: Option<Option<PathBuf>>,
    /// Listen on an address that others reach although anybody could use the cluster: for a network that is closed itself
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Where jobs are kept.
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Folder or bucket (s3://BUCKET/PREFIX, gs://…, az://…) for finished pictures (default: artifacts/ in the folder of
    /// --state)
    ///
    /// A bucket also gets what open jobs need to go on. How to get in is said by the variables that the providers' own tools
    /// read: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL; GOOGLE_…; AZURE_….
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) artifacts: Option<String>,
    /// Store every so many seconds how far each job is, beside the ends of its stages; so much work is done again at most
    /// when the coordinator is killed
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pub(crate) checkpoint: f64,
    /// Also serve /metrics (for Prometheus) and /healthz on this address and port, e.g. 127.0.0.1:9090
    ///
    /// Plain HTTP, and all who reach it may read: there are numbers in it, names of workers and devices, what the store
    /// complains of; no prompt, user or secret. /healthz answers 200, or 503 with the reason while nothing can be stored.
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<String>,
    /// Also tell an OpenTelemetry collector at this URL when each task and job ran, e.g. http://127.0.0.1:4317
    ///
    /// OTLP over gRPC. A job is a trace, the job's id twice is the trace's; a task is a span with its stage, tile, step, worker,
    /// device and time inside networks. No prompt, user or secret is sent.
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<String>,
    /// Fail a job when no worker with its model has connected after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub(crate) worker_wait: f64,
    /// Let at most this many jobs of one user run at a time; the others wait (default: any number)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) user_jobs: Option<u32>,
    /// Refuse a user's further jobs while this many of them wait or run
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) queue: u32,
    /// Take a worker for lost when nothing has been heard of it for this many seconds; at least 0.4 (default: 10)
    #[arg(long, value_name = "SECONDS")]
    pub(crate) silence: Option<f64>,
    /// Give a task to another worker when it has not come back after this many seconds (default: 600)
    #[arg(long, value_name = "SECONDS")]
    pub(crate) task_timeout: Option<f64>,
}

/// `tessera worker`.
#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// Which cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// cpu | cpu:THREADS | cuda:N | tensorrt:N | rocm:N | directml:N | coreml | openvino | sim:MILLISECONDS | auto
    ///
    /// auto starts a process per CUDA device, or two that share the cores where there is none; a list (cuda:0,cuda:1) one per
    /// entry. One that dies is started again. They are called HOST/DEVICE, and `tessera drain HOST` means all of them.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: String,
    /// End when standard input does
    #[arg(long, hide = true)]
    pub(crate) leash: bool,
    /// Model folder (default: $TESSERA_MODEL, else the demo model; not needed by sim devices, nor with --fetch-models)
    #[arg(short, long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Serve whatever model the cluster's jobs need, fetched from the coordinator, which got it with `tessera model push`
    ///
    /// A worker may begin with a --model of its own. What was fetched stays in $TESSERA_HOME/cache/models, and each file
    /// is checked against its hash before it is used.
    #[arg(long, conflicts_with = "upscaler")]
    pub(crate) fetch_models: bool,
    /// Most that --fetch-models keeps on the disk, GiB; what was not used for longest goes first
    #[arg(long, value_name = "GIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(crate) model_cache: u64,
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
    /// Folder where the worker keeps its key and certificate (default: $TESSERA_HOME/identity)
    #[arg(long, value_name = "DIR")]
    pub(crate) identity: Option<PathBuf>,
    /// Name for people, e.g. in `tessera workers` (default: host and process)
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}
