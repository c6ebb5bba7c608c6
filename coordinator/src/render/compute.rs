//! The long arithmetic between stages: latents and pictures in; passes, pictures and tensor files out. Pure.

use std::sync::Arc;

use safetensors::{Dtype, tensor::TensorView};
use tessera_proto::{
    ModelFacts, Rect, Tensor,
    job::{Rng, Size},
};

use super::{
    encoding::Encoding,
    error::Error,
    event::Computed,
    pass::{Pass, PassPlan},
    plan::EncodePlan,
};
use crate::{
    canvas::{LatentFilter, Planes, crop, latent_resize},
    latent,
    picture::{self, Picture},
    sample::NoiseSource,
};

/// What a pass starts from.
#[derive(Debug)]
pub(super) enum Origin {
    /// Noise alone.
    Noise,
    /// A latent of the pass's size, `[c, h, w]`, below noise.
    Latent(Vec<f32>),
}

/// The names that a pass's tensors have in the dump.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub(super) noise: &'static str,
    pub(super) origin: &'static str,
    pub(super) start: &'static str,
}

/// Noise of a pass: its generator, and whether to keep what was drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noise {
    pub(super) rng: Rng,
    pub(super) seed: u64,
    pub(super) dump: Option<Names>,
}

/// Draws a pass's noise and sets it up.
///
/// A1111's hires fix starts a new generator from the same seed at the new shape; the sampler's own noise continues it.
pub(super) fn start(plan: PassPlan, origin: Origin, noise: Noise) -> Result<Computed, Error> {
    let mut source = NoiseSource::new(noise.rng, noise.seed);
    let mut drawn = source.draw(plan.values());
    let mut kept = Vec::new();
    let tensor = |values: &[f32]| latent_tensor(&plan, values);
    if let Some(names) = noise.dump {
        kept.push((names.noise, tensor(&drawn)?));
    }
    let x = match origin {
        Origin::Noise => {
            plan.sampling.start_from_noise(&mut drawn);
            drawn
        }
        Origin::Latent(latent) => {
            if latent.len() != drawn.len() {
                return Err(Error::Output { expected: drawn.len(), actual: latent.len() });
            }
            let x = plan.sampling.start_from_latent(&latent, &drawn);
            if let Some(names) = noise.dump {
                kept.push((names.origin, tensor(&latent)?));
                kept.push((names.start, tensor(&x)?));
            }
            x
        }
    };
    let (pass, ready) = Pass::new(plan, x, source);
    Ok(Computed::Started { pass: Box::new(pass), ready, kept })
}

/// Resamples a latent `[c, h, w]` of size `from` to `cover` and cuts `keep` out of it; all latent px.
pub(super) fn resize_latent(
    (latent, from): (&[f32], Size),
    filter: LatentFilter,
    cover: Size,
    keep: Rect,
) -> Result<Vec<f32>, Error> {
    let channels = latent.len() / (from.width as usize * from.height as usize);
    let planes = Planes::new([channels, from.height as usize, from.width as usize], latent)?;
    let resized = latent_resize(planes, filter, cover.width as usize, cover.height as usize)?;
    cut_latent((&resized, cover), keep)
}

/// Cuts `keep` out of a latent `[c, h, w]` of size `from`; latent px.
pub(super) fn cut_latent((latent, from): (&[f32], Size), keep: Rect) -> Result<Vec<f32>, Error> {
    let channels = latent.len() / (from.width as usize * from.height as usize);
    let planes = Planes::new([channels, from.height as usize, from.width as usize], latent)?;
    let mut cut = vec![0.0; channels * keep.width() as usize * keep.height() as usize];
    crop(planes, keep, (keep.width(), keep.height()), &mut cut)?;
    Ok(cut)
}

/// Resizes a picture to the encoder's size, px, and cuts it up for a latent of `channels` planes.
pub(super) fn enlarge(
    picture: &Picture,
    to: Size,
    (plan, channels): (EncodePlan, usize),
) -> Result<Computed, Error> {
    let picture = picture::lanczos(picture, to.width, to.height)?;
    Ok(Computed::Enlarged(Box::new(Encoding::new(plan, picture, channels)?)))
}

/// A picture as `[1, 3, h, w]` in 0..1.
pub(super) fn picture_tensor(picture: &Picture) -> Result<Tensor, Error> {
    let (width, height) = (picture.width(), picture.height());
    let whole = Rect::new(0, 0, width, height).expect("a picture is not empty");
    Ok(Tensor::new([1, 3, height as usize, width as usize], picture.unit_planes(whole)?)?)
}

/// Writes the intermediate tensors.
pub(super) fn dump(dump: &Dump) -> Result<Computed, Error> {
    Ok(Computed::Dumped(dump.to_bytes()?))
}

/// Writes the latent of a picture of `size` px, `[c, h, w]` scaled as the UNet sees it, to its file.
pub(super) fn write_latent(latent: Vec<f32>, size: Size, facts: &ModelFacts) -> Result<Computed, Error> {
    let [rows, columns] = [size.height, size.width].map(|side| (side / facts.vae_scale) as usize);
    let tensor = Tensor::new([1, facts.latent_channels as usize, rows, columns], latent)?;
    let about = [
        ("model", facts.name.clone()),
        ("model_hash", facts.short_hash()),
        ("scaling_factor", facts.scaling_factor.to_string()),
    ];
    Ok(Computed::Encoded(latent::write(&tensor, &about)?))
}

/// The intermediate tensors of a job, by name.
#[derive(Debug, Default)]
pub(super) struct Dump(Vec<(String, Arc<Tensor>)>);

// === impl Dump ===

impl Dump {
    /// What was kept before.
    pub(super) const fn of(tensors: Vec<(String, Arc<Tensor>)>) -> Self {
        Self(tensors)
    }

    /// What is kept so far.
    pub(super) fn shared(&self) -> Vec<(String, Arc<Tensor>)> {
        self.0.clone()
    }

    /// Keeps a tensor.
    pub(super) fn keep(&mut self, name: &'static str, tensor: Tensor) {
        self.0.push((name.to_owned(), Arc::new(tensor)));
    }

    /// A safetensors file.
    fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let view = |(name, tensor): &(String, Arc<Tensor>)| {
            let bytes: Vec<u8> = tensor.data().iter().flat_map(|value| value.to_le_bytes()).collect();
            (name.clone(), tensor.shape().to_vec(), bytes)
        };
        let tensors: Vec<_> = self.0.iter().map(view).collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?))
        });
        Ok(safetensors::serialize(views.collect::<Result<Vec<_>, Error>>()?, None)?)
    }
}

/// A latent of a pass as `[1, c, h, w]`.
pub(super) fn latent_tensor(plan: &PassPlan, values: &[f32]) -> Result<Tensor, Error> {
    let (width, height) = plan.tiling.grid().canvas();
    Ok(Tensor::new([1, plan.channels, height as usize, width as usize], values.to_vec())?)
}
