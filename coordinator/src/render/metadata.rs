//! What a finished picture says of itself: a plan in, its file's format, A1111's `parameters`
//! text and our own JSON out.
//!
//! Nothing here depends on the workers or the time: the same job writes the same bytes.

use serde_json::json;
use tessera_proto::job::{Choice, Draft, ModelRef, Size};

use super::{event::PictureFile, plan::Plan};
use crate::picture::Parameters;

/// The file of a job's picture, before its first row.
pub(super) fn of(plan: &Plan) -> PictureFile {
    let facts = plan.facts();
    let job = json!({
        "tessera": env!("CARGO_PKG_VERSION"),
        "model": { "name": facts.name, "hash": facts.short_hash() },
        "job": settled(plan),
        "plan": plan.summary(),
    });
    PictureFile {
        format: plan.spec().format,
        size: plan.target(),
        parameters: parameters(plan).to_text(),
        tessera: job.to_string(),
    }
}

/// The job as far as it shows in the picture: the same picture is the same file, by whatever name its model was asked
/// for and whether or not its tensors were kept.
fn settled(plan: &Plan) -> Draft {
    Draft { model: ModelRef::Hash(plan.facts().hash), dump: false, ..plan.spec().clone().into_draft() }
}

/// A1111's keys, in A1111's order.
fn parameters(plan: &Plan) -> Parameters {
    let (spec, facts) = (plan.spec(), plan.facts());
    let base = plan.base_size();
    // A latent that was only decoded says nothing of how it came about.
    let denoised = plan.base.is_some() || plan.hires.is_some();
    let mut fields = Vec::new();
    if denoised {
        fields.push(("Steps", spec.steps.to_string()));
        fields.push(("Sampler", spec.sampler.a1111_name().to_owned()));
        fields.push(("Schedule type", spec.schedule.a1111_name().to_owned()));
        fields.push(("CFG scale", spec.cfg_scale.to_string()));
        fields.push(("Seed", spec.seed.to_string()));
    }
    fields.push(("Size", text(base)));
    fields.push(("Model hash", facts.short_hash()));
    fields.push(("Model", facts.name.clone()));
    if plan.hires.is_some() {
        fields.push(("Denoising strength", spec.denoising_strength.to_string()));
    }
    if denoised {
        fields.push(("RNG", spec.rng.a1111_name().to_owned()));
    }
    if let Some(hires) = &plan.hires {
        let target = plan.target();
        fields.push(("Hires resize", text(target)));
        fields.push(("Hires steps", spec.hires_steps().to_string()));
        fields.push(("Hires upscaler", spec.upscaler.a1111_name().to_owned()));
        let grid = hires.plan.tiling.grid();
        fields.push(("Tile method", spec.tile_method.a1111_name().to_owned()));
        fields.push(("Tile size", text(Size { width: grid.x().tile(), height: grid.y().tile() })));
        fields.push(("Tile count", grid.tiles().len().to_string()));
    }
    fields.push(("VAE mode", spec.vae.name().to_owned()));
    fields.push(("Version", format!("tessera {}", env!("CARGO_PKG_VERSION"))));
    Parameters {
        prompt: spec.prompt.clone(),
        negative: spec.negative_prompt.clone(),
        fields: fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    }
}

fn text(size: Size) -> String {
    format!("{}x{}", size.width, size.height)
}
