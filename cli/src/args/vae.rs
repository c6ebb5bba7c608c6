//! The flags of `decode` and `encode`: one half of the VAE alone.

use std::path::PathBuf;

use clap::Args;

use super::{MachineArgs, OutputArgs, TurnArgs};

/// `tessera decode`.
#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// Latent to decode: a safetensors file with a tensor `latent`, [1, channels, height, width]
    ///
    /// Scaled as the UNet sees it, which is what diffusers returns with output_type="latent" and what `tessera encode`
    /// writes.
    #[arg(value_name = "LATENT.safetensors")]
    pub(crate) latent: PathBuf,
    /// Model folder; with --coordinator also a model's name or content hash
    ///
    /// Without it: $TESSERA_MODEL, else the demo model of this installation; with --coordinator the one model that its
    /// workers serve.
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// How the decoder is tiled, as in `tessera render --help`
    #[arg(long, value_name = "MODE", default_value = "exact")]
    pub(crate) vae: String,
    /// Tile of the decoder, latent px, 16 to 512 (default: by the model and --vae-memory)
    #[arg(long, value_name = "N")]
    pub(crate) vae_tile: Option<u32>,
    /// Memory that one tile may take, MiB, where --vae-tile is left open (default: 2048)
    #[arg(long, value_name = "MIB")]
    pub(crate) vae_memory: Option<u32>,
    /// Who computes.
    #[command(flatten)]
    pub(crate) machines: MachineArgs,
    /// Whose turn it is on a busy cluster.
    #[command(flatten)]
    pub(crate) turn: TurnArgs,
    /// Where results go.
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `tessera encode`.
#[derive(Debug, Args)]
pub(crate) struct EncodeArgs {
    /// Picture to encode (PNG, JPEG, WebP, BMP, TIFF); sides are resized to multiples of 8 px
    #[arg(value_name = "IMAGE")]
    pub(crate) image: PathBuf,
    /// Model folder; with --coordinator also a model's name or content hash
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Draw a latent from the posterior with this seed, 0 to 2^53; without it the posterior's mean is taken
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=1 << 53))]
    pub(crate) seed: Option<u64>,
    /// Source of the noise that --seed draws: cpu | nv, as in `tessera render --help`
    #[arg(long, value_name = "SOURCE", default_value = "cpu", requires = "seed")]
    pub(crate) rng: String,
    /// How the encoder is tiled, as in `tessera render --help`
    #[arg(long, value_name = "MODE", default_value = "exact")]
    pub(crate) vae: String,
    /// Tile of the encoder, image px, 128 to 4096 (default: by the model)
    ///
    /// A worker that has no memory for it lets an exact encode begin again with half the side, down to 128.
    #[arg(long, value_name = "PX")]
    pub(crate) vae_encode_tile: Option<u32>,
    /// With --vae fast: exact statistics from where the encoder first makes the picture smaller
    #[arg(long)]
    pub(crate) vae_color_fix: bool,
    /// Who computes.
    #[command(flatten)]
    pub(crate) machines: MachineArgs,
    /// Whose turn it is on a busy cluster.
    #[command(flatten)]
    pub(crate) turn: TurnArgs,
    /// Where results go.
    #[command(flatten)]
    pub(crate) output: LatentOutputArgs,
}

/// Heading "Output", where a latent is what is made.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct LatentOutputArgs {
    /// Latent to write, replaced whole if it exists (default: IMAGE.safetensors in this folder, never replaced)
    #[arg(short, long, value_name = "LATENT.safetensors")]
    pub(crate) output: Option<PathBuf>,
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
