//! The flags that describe a picture, with the names, defaults and units of A1111 and Tiled Diffusion.

use std::path::PathBuf;

use clap::Args;

/// All that makes a job; shared by `render`, `plan` and `submit`.
#[derive(Debug, Clone, Args)]
// A scale of -2 is for us to refuse: clap would take it for a flag that it does not know.
#[command(allow_negative_numbers = true)]
pub(crate) struct JobArgs {
    /// Take what is not said here from a job file: TOML, with the long names of these flags as keys, and prompt
    ///
    /// As in: prompt = "a red house", scale = 2.0, tile-base = true. Flags win over the file, and paths in it are relative
    /// to it. Who computes, and how that is shown, is said here alone.
    #[arg(long = "job", value_name = "FILE.toml", help_heading = "Picture")]
    pub(crate) file: Option<PathBuf>,
    /// What to draw.
    #[command(flatten)]
    pub(crate) picture: PictureArgs,
    /// How the latent is stepped.
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    /// The second, larger pass.
    #[command(flatten)]
    pub(crate) hires: HiresArgs,
    /// How the passes are cut.
    #[command(flatten)]
    pub(crate) tiles: TileArgs,
    /// How pictures and latents are converted.
    #[command(flatten)]
    pub(crate) vae: VaeArgs,
    /// Whose turn it is on a busy cluster.
    #[command(flatten)]
    pub(crate) turn: TurnArgs,
}

/// Heading "Picture".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Picture")]
pub(crate) struct PictureArgs {
    /// What to draw, in A1111's prompt syntax; `-` reads it from standard input
    #[arg(value_name = "PROMPT")]
    pub(crate) prompt: Option<String>,
    /// What to avoid
    #[arg(
        short,
        long,
        visible_alias = "negative-prompt",
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) negative: String,
    /// Model folder; with --coordinator also a model's name or content hash
    ///
    /// Without it: $TESSERA_MODEL, else the demo model of this installation; with --coordinator the one model that its
    /// workers serve.
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Start from this picture instead of drawing a base picture (PNG, JPEG, WebP, BMP, TIFF)
    ///
    /// Its own size times --scale is the size of the result.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) image: Option<PathBuf>,
    /// Width of the base picture, px, a multiple of 8
    ///
    /// Without --width and --height the base picture has the size that the model was trained on (512 for Stable
    /// Diffusion 1.x), because a base picture of another size repeats its subject. One of them alone makes a square.
    #[arg(long, value_name = "PX")]
    pub(crate) width: Option<u32>,
    /// Height of the base picture, px, a multiple of 8
    #[arg(long, value_name = "PX")]
    pub(crate) height: Option<u32>,
}

/// Heading "Sampling".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingArgs {
    /// Steps of the base pass; 20 as in A1111
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) steps: u32,
    /// Guidance: how strictly the prompt is followed, 1 = none; 7 as in A1111
    #[arg(long, visible_alias = "cfg-scale", value_name = "F", default_value_t = 7.0)]
    pub(crate) cfg: f64,
    /// Seed of the noise, 0 to 2^53; -1 (the default) draws one and prints it
    #[arg(long, value_name = "N", default_value_t = -1, hide_default_value = true,
          allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..=1 << 53))]
    pub(crate) seed: i64,
    /// Source of the noise: cpu | nv
    ///
    /// cpu draws what torch's CPU generator draws, which is the same on every machine. nv draws what an NVIDIA GPU
    /// draws (A1111's "NV"): choose it to repeat a picture that was made so.
    #[arg(long, value_name = "SOURCE", default_value = "cpu")]
    pub(crate) rng: String,
    /// euler | euler-a | heun | dpmpp-2m | ddim, or A1111's spelling ("DPM++ 2M Karras" sets the schedule too)
    ///
    /// euler is the default because it works with every schedule and at any number of steps; dpmpp-2m with karras needs
    /// fewer steps for the same sharpness; heun calls the model twice a step.
    #[arg(long, value_name = "NAME", default_value = "euler")]
    pub(crate) sampler: String,
    /// normal | karras | exponential | automatic: how noise levels are spread over the steps (default: normal)
    ///
    /// automatic is A1111's choice: karras for dpmpp-2m, normal for the others.
    #[arg(long, value_name = "NAME")]
    pub(crate) schedule: Option<String>,
}

/// Heading "Hires fix".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Hires fix")]
pub(crate) struct HiresArgs {
    /// Enlarge both sides of the base picture or image by this factor; 1 = no hires pass
    ///
    /// 2 as in A1111 when neither this nor --hires-width and --hires-height are given.
    #[arg(long, visible_alias = "hires-upscale", value_name = "F", conflicts_with_all = ["hires_width", "hires_height"])]
    pub(crate) scale: Option<f64>,
    /// Width of the result, px; without --hires-height the aspect ratio is kept
    #[arg(long, value_name = "PX")]
    pub(crate) hires_width: Option<u32>,
    /// Height of the result, px; without --hires-width the aspect ratio is kept
    #[arg(long, value_name = "PX")]
    pub(crate) hires_height: Option<u32>,
    /// Steps of the hires pass; 0 = as many as --steps
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) hires_steps: u32,
    /// How much of the enlarged picture is drawn anew, 0.01 to 1 (default: 0.7, with lanczos and networks 0.4)
    ///
    /// 0.7 is A1111's value for its upscaler "Latent", which leaves a blurred picture below 0.5. lanczos and
    /// networks enlarge cleanly, and at 0.4 the composition of the base picture stays.
    #[arg(long, visible_alias = "denoising-strength", value_name = "F")]
    pub(crate) denoise: Option<f64>,
    /// What --hires-steps and --denoise mean together: a1111 | diffusers
    ///
    /// a1111 always runs all steps, spread over the part of the schedule that --denoise leaves. diffusers runs the last
    /// steps * denoise of the schedule, as its image-to-image pipelines do.
    #[arg(long, value_name = "RULE", default_value = "a1111")]
    pub(crate) strength_steps: String,
    /// lanczos | latent | latent-antialiased | latent-bicubic | latent-bicubic-antialiased | latent-nearest |
    /// latent-nearest-exact, or A1111's spelling; an upscaling network of the model, or its FILE.onnx
    ///
    /// latent is A1111's default and needs no trip through the VAE; lanczos enlarges the picture itself and keeps more
    /// of it. `tessera model inspect` lists a model's networks, the files of its upscalers/ (ESRGAN and its kin); they run
    /// on the workers, as often as it takes to reach the size, at most three times, and lanczos does the rest. A cluster's
    /// workers load files of their own: tessera worker --upscaler FILE.onnx.
    #[arg(long, visible_alias = "hires-upscaler", value_name = "NAME|FILE.onnx", default_value = "latent")]
    pub(crate) upscaler: String,
    /// Tile of an upscaling network, px, 64 to 4096, or 0 for the whole picture in one call (default: 192)
    ///
    /// 192 is A1111's ESRGAN_tile. Around each tile the network is shown all that it looks at, so that no tile size
    /// changes the picture; a network that looks farther than one tile gets overlapping tiles, joined by a ramp.
    #[arg(long, visible_alias = "esrgan-tile", value_name = "PX")]
    pub(crate) upscale_tile: Option<u32>,
}

/// Heading "Tiles".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tiles")]
pub(crate) struct TileArgs {
    /// Tile of the denoising passes, latent px (default: 1.5 times the model's own sample size)
    ///
    /// For Stable Diffusion 1.x that is 96, Tiled Diffusion's default: large enough for the network to see what it
    /// draws, small enough not to repeat the subject. A tile larger than the canvas is cut to it.
    #[arg(long, value_name = "N|WxH")]
    pub(crate) tile: Option<String>,
    /// Least overlap of neighbouring tiles, latent px (default: a quarter of the tile)
    ///
    /// More hides seams better and costs more model calls: `tessera plan` prints how many.
    #[arg(long, value_name = "N")]
    pub(crate) overlap: Option<u32>,
    /// Tiles in one network call (default: 1, because larger batches do not pay on CPUs)
    ///
    /// The same batch gives the same bytes on any number of workers; another one may differ in the last bit. A worker that
    /// has no memory for it lets the pass begin again with half as many tiles in a call, down to 1.
    #[arg(long, value_name = "N")]
    pub(crate) tile_batch: Option<u32>,
    /// Tile the base pass as well (panoramas)
    #[arg(long)]
    pub(crate) tile_base: bool,
    /// How overlapping tiles are weighed: multidiffusion (all alike) | mixture (most in a tile's middle)
    #[arg(long, value_name = "METHOD", default_value = "multidiffusion")]
    pub(crate) tile_method: String,
    /// Let every tile wait until all have done the call before: the same picture, later; to compare with
    #[arg(long)]
    pub(crate) barrier: bool,
    /// How tiles are placed: spread (evenly) | stride (tile - overlap apart, the last flush with the edge)
    #[arg(long, value_name = "GRID", default_value = "spread")]
    pub(crate) tile_grid: String,
}

/// Heading "VAE".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "VAE")]
pub(crate) struct VaeArgs {
    /// exact (tiles that share the statistics of the whole picture) | fast (that share estimated ones) | blend
    /// (overlapping tiles, joined by a ramp) | off (the whole picture in one call)
    ///
    /// exact is the default because it has no seams: the picture is that of off to rounding error, in the memory of a
    /// tile. fast runs every tile once, with statistics estimated from a smaller picture: colours may shift a little.
    #[arg(long, value_name = "MODE", default_value = "exact")]
    pub(crate) vae: String,
    /// Tile of the decoder, latent px, 16 to 512 (default: by the model and --vae-memory)
    ///
    /// A worker that has no memory for it lets an exact decode begin again with half the side, down to 16.
    #[arg(long, value_name = "N")]
    pub(crate) vae_tile: Option<u32>,
    /// Tile of the encoder, image px, 128 to 4096 (default: 512)
    ///
    /// A worker that has no memory for it lets an exact encode begin again with half the side, down to 128.
    #[arg(long, value_name = "PX")]
    pub(crate) vae_encode_tile: Option<u32>,
    /// With --vae fast: the encoder's statistics are estimated only until it first makes the picture smaller
    #[arg(long)]
    pub(crate) vae_color_fix: bool,
    /// Memory that one tile of an exact decode may take, MiB, where --vae-tile is left open (default: 2048)
    ///
    /// The plan takes the largest tile of 16, 32, 64 or 128 latent px that fits; `tessera plan` prints what a worker needs.
    /// The default is the same everywhere, so that the picture does not depend on the machine.
    #[arg(long, value_name = "MIB")]
    pub(crate) vae_memory: Option<u32>,
}

/// Heading "Machines", of any job, whatever it makes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Machines")]
pub(crate) struct TurnArgs {
    /// interactive | batch: how much of a busy cluster the job gets (default: batch for submit, interactive for all others)
    ///
    /// An interactive job gets 16 times as much as a batch job, from the next tile on; none stands still.
    #[arg(long, value_name = "NAME")]
    pub(crate) priority: Option<String>,
    /// Whose the job is: users get equal shares of a busy cluster, however many jobs they have
    #[arg(
        long,
        value_name = "NAME",
        env = "USER",
        hide_env_values = true,
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) user: String,
}

/// How the picture is written, beside its ending; heading "Output".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct FormatArgs {
    /// Bits of a channel, 8 or 16; 16 are for PNG and TIFF (default: 8)
    #[arg(long, value_name = "N")]
    pub(crate) bits: Option<u8>,
    /// Quality of a JPEG, 1 to 100 (default: 80, as A1111's)
    #[arg(long, value_name = "N")]
    pub(crate) quality: Option<u8>,
}
