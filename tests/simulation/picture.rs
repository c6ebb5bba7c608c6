//! The pictures that are asked for: a number in, a small job out that takes another way through the stages than the others.

use tessera_proto::{
    JobSpec,
    job::{Draft, Sampler, Size, StrengthSteps, Target, UpscaleFilter, Upscaler, VaeMode},
};

/// How many there are.
pub(crate) const PICTURES: usize = 12;

/// Side of a tile and its least overlap, latent px: nine tiles make a picture.
const TILE: u32 = 8;
const OVERLAP: u32 = 2;

/// Side of the picture, px.
const SIDE: u32 = 8 * (2 * (TILE - OVERLAP) + TILE);

/// A job of 3 × 3 tiles and three steps.
pub(crate) fn draft(number: usize) -> Draft {
    let samplers = [Sampler::Euler, Sampler::EulerA, Sampler::DpmPp2M, Sampler::Heun];
    let upscalers = [
        Upscaler::Filter(UpscaleFilter::Latent),
        Upscaler::Filter(UpscaleFilter::Lanczos),
        Upscaler::Network("sim-2x".to_owned()),
    ];
    Draft {
        base: Some(Size { width: 64, height: 64 }),
        target: Target::Size(Size { width: SIDE, height: SIDE }),
        steps: 1,
        hires_steps: Some(3),
        denoising_strength: 1.0,
        strength_steps: StrengthSteps::Diffusers,
        seed: 7,
        sampler: samplers[number % 4],
        upscaler: upscalers[number / 4].clone(),
        cfg_scale: if number.is_multiple_of(2) { 1.0 } else { 4.0 },
        tile: Some(Size { width: TILE, height: TILE }),
        overlap: Some(OVERLAP),
        tile_batch: if number.is_multiple_of(5) { 2 } else { 1 },
        vae: [VaeMode::Blend, VaeMode::Exact, VaeMode::Fast][number % 3],
        vae_tile: Some(16),
        vae_encode_tile: Some(128),
        barrier: number == 10,
        ..Draft::text_to_image(format!("picture {number}"))
    }
}

/// The same, checked.
pub(crate) fn spec(draft: Draft) -> JobSpec {
    JobSpec::new(draft).expect("a job within its bounds")
}
