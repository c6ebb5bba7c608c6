//! The flags of `render` and `plan` beyond the picture itself: who computes, and where results go.

use std::path::PathBuf;

use clap::Args;

use super::{AccessArgs, FormatArgs, JobArgs, SpillArgs};

/// `tessera render`.
#[derive(Debug, Args)]
pub(crate) struct RenderArgs {
    /// The picture.
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Who computes.
    #[command(flatten)]
    pub(crate) machines: MachineArgs,
    /// Where results go.
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `tessera plan`: the flags of `render`, so that a command line can be tried by changing one word. Its files are not
/// written, but looked at: a name that `render` would refuse is refused.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// What `render` takes.
    #[command(flatten)]
    pub(crate) render: RenderArgs,
    /// Predict the time on devices that take so many milliseconds for one tile's call of the hires pass
    ///
    /// With --coordinator the cluster's own devices are asked, of which it has measured every task.
    #[arg(
        long,
        help_heading = "Machines",
        value_name = "47,86,86",
        value_delimiter = ',',
        conflicts_with = "coordinator"
    )]
    pub(crate) devices: Vec<f64>,
}

/// Heading "Machines".
#[derive(Debug, Args)]
#[command(next_help_heading = "Machines")]
pub(crate) struct MachineArgs {
    /// Local worker processes: a number, a list of devices (cuda:0,cuda:1 | cpu:4,cpu:4 | sim:20,sim:20) or auto
    ///
    /// N starts N CPU workers that share the cores. auto starts one worker per CUDA device when ONNX Runtime has CUDA,
    /// else two on the CPU (one on a single core): one computes while the other one's tile is blended. cpu:T takes T
    /// threads; sim:MS computes nothing and answers after MS milliseconds.
    #[arg(long, value_name = "WORKERS", default_value = "auto", conflicts_with = "coordinator")]
    pub(crate) workers: String,
    /// Use the running cluster of this coordinator instead, e.g. https://10.0.0.5:7878
    #[arg(long, value_name = "URL", conflicts_with_all = ["spill_above", "spill_folder"])]
    pub(crate) coordinator: Option<String>,
    /// How to be admitted there.
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    /// ONNX Runtime library to load, a file or its folder
    ///
    /// Without it: ORT_DYLIB_PATH, $TESSERA_HOME, beside the executable, the system's loader.
    #[arg(long, value_name = "PATH", conflicts_with = "coordinator")]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// Run the networks as exported, without fused attention: slower, and much more memory
    #[arg(long, conflicts_with = "coordinator")]
    pub(crate) no_fuse: bool,
    /// Memory of waiting tiles.
    #[command(flatten)]
    pub(crate) spill: SpillArgs,
    /// Give up when no worker has connected after this many seconds, or no other one after the last has gone
    ///
    /// A minute, because reading and optimising a full-size model takes tens of seconds from a slow disk.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub(crate) worker_wait: f64,
}

/// Heading "Output".
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Picture to write, replaced whole if it exists (default: tessera-SEED.png in this folder, or a decoded latent's own
    /// name, never replaced)
    ///
    /// Its ending says its format: .png, .jpg or .jpeg, .webp (lossless), .tif or .tiff.
    #[arg(short, long, value_name = "OUT.png")]
    pub(crate) output: Option<PathBuf>,
    /// How the picture is written.
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    /// Also write the intermediate tensors
    ///
    /// prompt_embeds, negative_embeds, base_noise, base_latent, upscaled_image (what an upscaling network leaves, 0 to 1),
    /// upscaled_latent, hires_noise, hires_start, hires_latent and image [1, 3, height, width] before rounding.
    #[arg(long, value_name = "FILE.safetensors")]
    pub(crate) dump: Option<PathBuf>,
    /// Also write the plan, the times and the costs per stage and worker
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,
    /// Also write when each task ran on which device, for Perfetto (ui.perfetto.dev) or chrome://tracing
    #[arg(long, value_name = "FILE.json")]
    pub(crate) trace: Option<PathBuf>,
    /// Print one JSON object per line: each change of the job, at last the result
    #[arg(long)]
    pub(crate) json: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}
