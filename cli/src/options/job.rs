//! The picture's flags: raw values in, a draft of the job out, with A1111's rules for what is left unsaid.

use std::hash::{BuildHasher, RandomState};

use tessera_proto::job::{
    Choice, Draft, Format, Goal, ModelRef, Rng, Sampler, Schedule, Size, StrengthSteps, Target, TileGrid,
    TileMethod, Upscaler, Urgency, VaeMode,
};

use super::Error;
use crate::args::{HiresArgs, JobArgs, PictureArgs, SamplingArgs};

/// A1111's strength, which suits its latent upscalers: below 0.5 they leave a blurred picture.
const LATENT_DENOISE: f64 = 0.7;

/// Strength for upscalers that leave a clean picture, whose composition shall stay: Lanczos and networks.
const PICTURE_DENOISE: f64 = 0.4;

/// Tiles in one network call.
const TILE_BATCH: u32 = 1;

/// Factor of the hires pass when no size is given; A1111's.
const SCALE: f64 = 2.0;

/// The job without its model, image and format. `upscaler` is what enlarges the base picture.
///
/// # Errors
/// A name is unknown, a tile cannot be read, or two flags contradict each other.
pub(super) fn draft(args: &JobArgs, prompt: String, upscaler: Upscaler) -> Result<Draft, Error> {
    let JobArgs { file: _, picture, sampling, hires, tiles, vae, turn } = args;
    let (sampler, schedule) = sampler(sampling)?;
    Ok(Draft {
        goal: Goal::Render,
        model: ModelRef::Any,
        prompt,
        negative_prompt: picture.negative.clone(),
        image: None,
        base: base(picture),
        target: target(hires),
        steps: sampling.steps,
        hires_steps: Some(hires.hires_steps).filter(|steps| *steps != 0),
        cfg_scale: sampling.cfg,
        seed: seed(sampling.seed),
        rng: Rng::parse(&sampling.rng)?,
        sampler,
        schedule,
        denoising_strength: hires.denoise.unwrap_or(default_denoise(&upscaler)),
        strength_steps: StrengthSteps::parse(&hires.strength_steps)?,
        upscaler,
        upscale_tile: hires.upscale_tile,
        tile: tiles.tile.as_deref().map(tile).transpose()?,
        overlap: tiles.overlap,
        tile_batch: tiles.tile_batch.unwrap_or(TILE_BATCH),
        tile_base: tiles.tile_base,
        tile_method: TileMethod::parse(&tiles.tile_method)?,
        tile_grid: TileGrid::parse(&tiles.tile_grid)?,
        vae: VaeMode::parse(&vae.vae)?,
        vae_tile: vae.vae_tile,
        vae_encode_tile: vae.vae_encode_tile,
        vae_memory: vae.vae_memory,
        format: Format::default(),
        vae_color_fix: vae.vae_color_fix,
        barrier: tiles.barrier,
        priority: turn.priority.as_deref().map(Urgency::parse).transpose()?.unwrap_or_default(),
        user: turn.user.clone(),
        dump: false,
        trace: false,
    })
}

const fn default_denoise(upscaler: &Upscaler) -> f64 {
    if upscaler.is_latent() { LATENT_DENOISE } else { PICTURE_DENOISE }
}

/// The sampler, and the schedule that its name or `--schedule` gives.
fn sampler(args: &SamplingArgs) -> Result<(Sampler, Schedule), Error> {
    let (sampler, named) = Sampler::parse_with_schedule(&args.sampler)?;
    let automatic = match sampler {
        Sampler::DpmPp2M => Schedule::Karras,
        _ => Schedule::Normal,
    };
    let given = match args.schedule.as_deref() {
        None => None,
        Some(text) if text.eq_ignore_ascii_case("automatic") => Some(named.unwrap_or(automatic)),
        Some(text) => Some(Schedule::parse(text)?),
    };
    match (named, given) {
        (Some(named), Some(given)) if named != given => {
            Err(Error::TwoSchedules { sampler: args.sampler.clone(), named, given })
        }
        _ => Ok((sampler, given.or(named).unwrap_or(Schedule::Normal))),
    }
}

/// One side alone makes a square.
fn base(args: &PictureArgs) -> Option<Size> {
    let width = args.width.or(args.height)?;
    let height = args.height.unwrap_or(width);
    Some(Size { width, height })
}

/// A side of 0 follows from the other one, as A1111's "resize to" has it.
fn target(args: &HiresArgs) -> Target {
    match (args.hires_width, args.hires_height) {
        (None, None) => Target::Scale(args.scale.unwrap_or(SCALE)),
        (width, height) => Target::Size(Size { width: width.unwrap_or(0), height: height.unwrap_or(0) }),
    }
}

/// "96" or "96x64", latent px.
fn tile(text: &str) -> Result<Size, Error> {
    let side = |part: &str| part.trim().parse().map_err(|_| Error::Tile { text: text.to_owned() });
    let (width, height) = text.split_once(['x', 'X', '×']).unwrap_or((text, text));
    Ok(Size { width: side(width)?, height: side(height)? })
}

/// The seed given, or for a negative one a new one of 32 bits, A1111's range.
fn seed(given: i64) -> u64 {
    // The standard library keys each `RandomState` with numbers from the system's generator.
    u64::try_from(given).unwrap_or_else(|_| RandomState::new().hash_one(0) >> 32)
}
