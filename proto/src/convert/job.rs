//! Job specifications: a message in, a checked job out, and back.

use super::{Error, choice::FromNumber, required};
use crate::{
    JobSpec,
    job::{self, Draft, Format, Goal, ModelRef, Size, Target, Upscaler},
    wire,
};

impl From<JobSpec> for wire::JobSpec {
    fn from(spec: JobSpec) -> Self {
        use wire::job_spec::{EnlargeBy, Goal as WireGoal, Target as Wire};
        let job = spec.into_draft();
        Self {
            model: match job.model {
                ModelRef::Any => String::new(),
                ModelRef::Name(name) => name,
                ModelRef::Hash(hash) => blake3::Hash::from_bytes(hash).to_hex().to_string(),
            },
            prompt: job.prompt,
            negative_prompt: job.negative_prompt,
            image: job.image.unwrap_or_default(),
            base: job.base.map(Into::into),
            target: Some(match job.target {
                Target::Scale(scale) => Wire::Scale(scale),
                Target::Size(size) => Wire::Hires(size.into()),
            }),
            steps: job.steps,
            hires_steps: job.hires_steps,
            cfg_scale: job.cfg_scale,
            seed: job.seed,
            rng: wire::Rng::from(job.rng).into(),
            sampler: wire::Sampler::from(job.sampler).into(),
            schedule: wire::Schedule::from(job.schedule).into(),
            denoising_strength: job.denoising_strength,
            strength_steps: wire::StrengthSteps::from(job.strength_steps).into(),
            enlarge_by: Some(match job.upscaler {
                Upscaler::Filter(filter) => EnlargeBy::Upscaler(wire::Upscaler::from(filter).into()),
                Upscaler::Network(name) => EnlargeBy::UpscalerNetwork(name),
            }),
            upscale_tile: job.upscale_tile,
            tile: job.tile.map(Into::into),
            overlap: job.overlap,
            tile_batch: job.tile_batch,
            tile_base: job.tile_base,
            tile_method: wire::TileMethod::from(job.tile_method).into(),
            tile_grid: wire::TileGrid::from(job.tile_grid).into(),
            vae: wire::VaeMode::from(job.vae).into(),
            vae_tile: job.vae_tile,
            vae_encode_tile: job.vae_encode_tile,
            vae_color_fix: job.vae_color_fix,
            vae_memory: job.vae_memory,
            barrier: job.barrier,
            priority: Some(wire::Urgency::from(job.priority).into()),
            user: job.user,
            dump: job.dump,
            trace: job.trace,
            format: Some(job.format.into()),
            goal: match job.goal {
                Goal::Render => None,
                Goal::Decode(latent) => Some(WireGoal::Decode(latent)),
                Goal::Encode(posterior) => Some(WireGoal::Encode(wire::Posterior::from(posterior).into())),
            },
        }
    }
}

impl TryFrom<wire::JobSpec> for JobSpec {
    type Error = Error;

    #[expect(clippy::too_many_lines, reason = "each field is named twice, so that none is forgotten")]
    fn try_from(message: wire::JobSpec) -> Result<Self, Error> {
        use wire::job_spec::{EnlargeBy, Goal as WireGoal, Target as Wire};
        let wire::JobSpec {
            model,
            prompt,
            negative_prompt,
            image,
            base,
            target,
            steps,
            hires_steps,
            cfg_scale,
            seed,
            rng,
            sampler,
            schedule,
            denoising_strength,
            strength_steps,
            enlarge_by,
            upscale_tile,
            tile,
            overlap,
            tile_batch,
            tile_base,
            tile_method,
            tile_grid,
            vae,
            vae_tile,
            vae_encode_tile,
            vae_color_fix,
            vae_memory,
            barrier,
            priority,
            user,
            dump,
            trace,
            format,
            goal,
        } = message;
        let draft = Draft {
            goal: match goal {
                None => Goal::Render,
                Some(WireGoal::Decode(latent)) => Goal::Decode(latent),
                Some(WireGoal::Encode(posterior)) => Goal::Encode(job::Posterior::from_number(posterior)?),
            },
            model: model_ref(model),
            prompt,
            negative_prompt,
            image: Some(image).filter(|bytes| !bytes.is_empty()),
            base: base.map(Into::into),
            target: match required("job.target", target)? {
                Wire::Scale(scale) => Target::Scale(scale),
                Wire::Hires(size) => Target::Size(size.into()),
            },
            steps,
            hires_steps,
            cfg_scale,
            seed,
            rng: job::Rng::from_number(rng)?,
            sampler: job::Sampler::from_number(sampler)?,
            schedule: job::Schedule::from_number(schedule)?,
            denoising_strength,
            strength_steps: job::StrengthSteps::from_number(strength_steps)?,
            upscaler: match required("job.enlarge_by", enlarge_by)? {
                EnlargeBy::Upscaler(filter) => Upscaler::Filter(job::UpscaleFilter::from_number(filter)?),
                EnlargeBy::UpscalerNetwork(name) => Upscaler::Network(name),
            },
            upscale_tile,
            tile: tile.map(Into::into),
            overlap,
            tile_batch,
            tile_base,
            tile_method: job::TileMethod::from_number(tile_method)?,
            tile_grid: job::TileGrid::from_number(tile_grid)?,
            vae: job::VaeMode::from_number(vae)?,
            vae_tile,
            vae_encode_tile,
            vae_memory,
            format: format.map(Format::try_from).transpose()?.unwrap_or_default(),
            vae_color_fix,
            barrier,
            priority: priority.map(job::Urgency::from_number).transpose()?.unwrap_or_default(),
            user,
            dump,
            trace,
        };
        Ok(Self::new(draft)?)
    }
}

impl From<Size> for wire::Size {
    fn from(Size { width, height }: Size) -> Self {
        Self { width, height }
    }
}

impl From<wire::Size> for Size {
    fn from(message: wire::Size) -> Self {
        let wire::Size { width, height } = message;
        Self { width, height }
    }
}

/// 64 hexadecimal digits are a hash, nothing is any model, all else is a name.
fn model_ref(text: String) -> ModelRef {
    if text.is_empty() {
        return ModelRef::Any;
    }
    match blake3::Hash::from_hex(&text) {
        Ok(hash) => ModelRef::Hash(*hash.as_bytes()),
        Err(_) => ModelRef::Name(text),
    }
}
