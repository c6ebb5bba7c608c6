//! The plan of a job: a specification and a model's facts in; sizes, tilings, schedules and texts of every stage out.
//!
//! All geometry and all arithmetic of a job are settled here, before any device is asked for anything: what cannot be
//! rendered is refused now.

mod decode;
mod encode;
mod enlarge;
mod error;
mod estimate;
mod part;
mod size;
mod summary;
mod tiles;
mod upscale;

use std::sync::Arc;

use tessera_proto::{
    JobSpec, ModelFacts, Segment, facts,
    job::{self, Goal, Size, UpscaleFilter, Upscaler},
};

use super::{
    checkpoint::{Less, Relief},
    metadata,
    pass::PassPlan,
    source::Given,
};
use crate::{
    canvas::Tiling,
    prompt::{Conditioning, Prompt, Texts, Timeline},
    sample::{BetaKind, BetaSchedule, Prediction, Sampling, Settings, SigmaTable, Start},
};

pub use decode::{DecodePlan, ExactPlan};
pub use encode::{EncodePlan, ExactEncodePlan};
pub(super) use enlarge::Enlarge;
pub use error::Error;
pub use estimate::Estimate;
pub use summary::{StageSummary, Summary, Unit};
pub use upscale::{Error as UpscaleError, UpscalePass, UpscalePlan, UpscaleTiles};

/// Every stage of a job, settled.
#[derive(Debug, Clone)]
pub struct Plan {
    spec: JobSpec,
    facts: ModelFacts,
    /// What to embed, once each.
    pub(super) texts: Vec<Vec<Segment>>,
    /// The picture that the job starts from, resized to this, px; `None` = text to image.
    pub(super) source: Option<Size>,
    pub(super) base: Option<PassSetup>,
    pub(super) enlarge: Option<Enlarge>,
    pub(super) hires: Option<PassSetup>,
    pub(super) end: End,
    notes: Vec<String>,
    /// How it was changed since it was made.
    reliefs: Vec<Relief>,
}

/// What a job ends with.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// A picture.
    Picture(DecodePlan),
    /// A latent.
    Latent(EncodePlan),
}

/// A denoising pass and its prompts.
#[derive(Debug, Clone)]
pub(super) struct PassSetup {
    pub(super) plan: PassPlan,
    pub(super) prompt: Conditioning,
    pub(super) negative: Conditioning,
}

/// The VAE's tiles on one canvas: the same grid in latent px and in image px.
#[derive(Debug, Clone)]
pub struct VaePlan {
    /// Geometry in latent px.
    pub latent: Arc<Tiling>,
    /// Geometry in image px.
    pub image: Arc<Tiling>,
}

// === impl Plan ===

impl Plan {
    /// Settles a job that starts from what is given.
    ///
    /// # Errors
    /// The job cannot be rendered by a model with these facts, or asks for something that contradicts itself.
    pub fn new(spec: &JobSpec, facts: &ModelFacts, given: impl Into<Given>) -> Result<Self, Error> {
        Planner { spec, facts, notes: Vec::new() }.settle(given.into())
    }

    /// The job.
    #[must_use]
    pub const fn spec(&self) -> &JobSpec {
        &self.spec
    }

    /// The model.
    #[must_use]
    pub const fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    /// What the user should know: sizes that were rounded or padded.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Size of the finished picture, px, or of the one that is encoded.
    #[must_use]
    pub fn target(&self) -> Size {
        match &self.end {
            End::Picture(decode) => decode.size(),
            End::Latent(_) => self.source.unwrap_or(Size { width: 0, height: 0 }),
        }
    }

    /// Size of the base picture, px.
    #[must_use]
    pub fn base_size(&self) -> Size {
        let scale = self.facts.vae_scale;
        match (&self.base, self.source) {
            (Some(base), _) => {
                let (width, height) = base.plan.tiling.grid().canvas();
                Size { width: width * scale, height: height * scale }
            }
            (None, Some(source)) => source,
            (None, None) => self.target(),
        }
    }

    /// Least overlap of neighbouring tiles of the denoising passes, latent px.
    #[must_use]
    pub fn overlap(&self) -> u32 {
        tiles::tile_and_overlap(&self.spec, &self.facts).1
    }

    /// How the picture is encoded that the hires pass starts from, where it does.
    pub(super) fn encode(&self) -> Option<&EncodePlan> {
        match &self.enlarge {
            Some(Enlarge::Picture { encode, .. } | Enlarge::Latent { encode: Some(encode), .. }) => {
                Some(encode)
            }
            _ => match &self.end {
                End::Latent(encode) => Some(encode),
                End::Picture(_) => None,
            },
        }
    }

    /// A size in latent px from one in px.
    #[must_use]
    pub fn latent_size(&self, size: Size) -> Size {
        latent(size, &self.facts)
    }

    /// Takes less at a time from here on.
    ///
    /// # Errors
    /// There is no such pass or decode, or no halving leads there.
    pub(super) fn relieve(&mut self, relief: Relief) -> Result<(), super::Error> {
        match relief.to {
            Less::Batch(batch) => self.relieve_pass(relief.base, batch)?,
            Less::Side(side) => self.relieve_decode(relief.base, side)?,
            Less::EncodeSide(side) => self.relieve_encode(side)?,
        }
        self.notes.push(relief.note.clone());
        self.reliefs.push(relief);
        Ok(())
    }

    fn relieve_pass(&mut self, base: bool, batch: usize) -> Result<(), super::Error> {
        let setup = if base { &mut self.base } else { &mut self.hires };
        let plan = setup.as_mut().map(|setup| &mut setup.plan).ok_or(super::Error::Checkpoint)?;
        if !(1..plan.batch).contains(&batch) {
            return Err(super::Error::Checkpoint);
        }
        plan.batch = batch;
        Ok(())
    }

    fn relieve_encode(&mut self, side: u32) -> Result<(), super::Error> {
        let encode = match (&mut self.enlarge, &mut self.end) {
            (Some(Enlarge::Picture { encode, .. } | Enlarge::Latent { encode: Some(encode), .. }), _)
            | (_, End::Latent(encode)) => encode,
            _ => return Err(super::Error::Checkpoint),
        };
        let EncodePlan::Exact(plan) = encode else { return Err(super::Error::Checkpoint) };
        while plan.side() != side {
            *plan = plan.halved()?.ok_or(super::Error::Checkpoint)?;
        }
        Ok(())
    }

    fn relieve_decode(&mut self, base: bool, side: u32) -> Result<(), super::Error> {
        let decode = match (&mut self.enlarge, &mut self.end) {
            (Some(Enlarge::Picture { decode: Some(decode), .. }), _) if base => decode,
            (_, End::Picture(decode)) if !base => decode,
            _ => return Err(super::Error::Checkpoint),
        };
        let DecodePlan::Exact(plan) = decode else { return Err(super::Error::Checkpoint) };
        while plan.side() != side {
            *plan = plan.halved()?.ok_or(super::Error::Checkpoint)?;
        }
        Ok(())
    }

    /// How the plan was changed since it was made, in order.
    pub(super) fn reliefs(&self) -> &[Relief] {
        &self.reliefs
    }

    /// What the job does and costs, for people and scripts.
    #[must_use]
    pub fn summary(&self) -> Summary {
        summary::of(self)
    }
}

// === impl VaePlan ===

impl VaePlan {
    /// Tasks: one per tile.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.latent.grid().tiles().len()
    }
}

/// The inputs of planning, and the notes so far.
struct Planner<'a> {
    spec: &'a JobSpec,
    facts: &'a ModelFacts,
    notes: Vec<String>,
}

// === impl Planner ===

impl Planner<'_> {
    fn settle(self, given: Given) -> Result<Plan, Error> {
        match (&self.spec.goal, given) {
            (Goal::Render, Given::Picture(size)) => self.render(Some(size)),
            (Goal::Render, _) => self.render(None),
            (Goal::Decode(_), Given::Latent { channels, size }) => self.decode_alone(channels, size),
            (Goal::Decode(_), _) => Err(Error::NotGiven { what: "a latent" }),
            (Goal::Encode(_), Given::Picture(size)) => self.encode_alone(size),
            (Goal::Encode(_), _) => Err(Error::NotGiven { what: "a picture" }),
        }
    }

    /// `image` is the size of the given picture, px.
    fn render(mut self, image: Option<Size>) -> Result<Plan, Error> {
        let (spec, facts) = (self.spec, self.facts);
        let sizes = size::resolve(spec, facts, image, &mut self.notes)?;
        if image.is_some() && !facts.encodes_images {
            return Err(self.no_encoder("an input image", ""));
        }
        if let Upscaler::Network(name) = &spec.upscaler {
            // Also where nothing is enlarged: a misspelt name is a mistake.
            facts.upscaler(name, job::names::<UpscaleFilter>()).map_err(UpscaleError::from)?;
        }
        let table = SigmaTable::new(&betas(facts))?;
        let mut texts = Texts::default();
        let base = match image {
            None => Some(self.pass(sizes.base, Stage::Base, (&table, &mut texts))?),
            Some(_) => None,
        };
        let hires = match sizes.hires {
            Some(hires) => {
                let before = base.as_ref().map(|base| calls(&base.plan));
                Some(self.pass(hires.target, Stage::Hires { before }, (&table, &mut texts))?)
            }
            None => None,
        };
        let enlarge = sizes.hires.map(|hires| self.enlarge(&sizes, hires, image)).transpose()?;
        let end = End::Picture(self.vae_decode(sizes.target())?);
        let plan = Plan {
            texts: texts.into_list(),
            source: image.map(|_| sizes.base),
            base,
            enlarge,
            hires,
            end,
            notes: self.notes,
            reliefs: Vec::new(),
            spec: spec.clone(),
            facts: facts.clone(),
        };
        metadata::of(&plan).header().check()?;
        Ok(plan)
    }

    /// One denoising pass over a canvas of `size` px.
    fn pass(
        &mut self,
        size: Size,
        stage: Stage,
        common: (&SigmaTable, &mut Texts),
    ) -> Result<PassSetup, Error> {
        let (spec, facts) = (self.spec, self.facts);
        let (table, texts) = common;
        let tiled = spec.tile_base || stage != Stage::Base;
        let tiling = Arc::new(self.tiling(size, tiled)?);
        let (steps, start) = match stage {
            Stage::Base => (spec.steps, Start::Whole),
            Stage::Hires { .. } => {
                let start = Start::Strength { denoise: spec.denoising_strength, steps: spec.strength_steps };
                (spec.hires_steps(), start)
            }
        };
        let prediction = match facts.prediction {
            facts::Prediction::Epsilon => Prediction::Epsilon,
            facts::Prediction::V => Prediction::V,
        };
        let settings = Settings {
            sampler: spec.sampler,
            schedule: spec.schedule,
            steps: steps as usize,
            prediction,
            start,
        };
        let sampling = Arc::new(Sampling::new(&settings, table)?);
        let batch = (spec.tile_batch as usize).min(tiling.grid().tiles().len());
        let channels = facts.latent_channels as usize;
        let plan = PassPlan { sampling, tiling, batch, channels, barrier: spec.barrier };
        let timeline = match stage {
            Stage::Base | Stage::Hires { before: None } => Timeline::base(calls(&plan)),
            Stage::Hires { before: Some(before) } => Timeline::hires(before, calls(&plan)),
        };
        let prompt = Prompt::positive(&spec.prompt)?.conditioning(timeline, texts)?;
        let negative = Prompt::negative(&spec.negative_prompt)?.conditioning(timeline, texts)?;
        Ok(PassSetup { plan, prompt, negative })
    }

    fn no_encoder(&self, purpose: &'static str, advice: &'static str) -> Error {
        Error::NoEncoder { model: self.facts.name.clone(), purpose, advice }
    }
}

/// Which pass is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Base,
    /// `before`: model calls of the base pass.
    Hires {
        before: Option<u32>,
    },
}

fn calls(plan: &PassPlan) -> u32 {
    u32::try_from(plan.sampling.calls().len()).unwrap_or(u32::MAX)
}

/// A size in latent px from one in px.
fn latent(size: Size, facts: &ModelFacts) -> Size {
    Size { width: size.width / facts.vae_scale, height: size.height / facts.vae_scale }
}

fn betas(facts: &ModelFacts) -> BetaSchedule {
    let kind = match facts.beta_schedule {
        facts::BetaSchedule::Linear => BetaKind::Linear,
        facts::BetaSchedule::ScaledLinear => BetaKind::ScaledLinear,
    };
    BetaSchedule {
        kind,
        start: facts.beta_start,
        end: facts.beta_end,
        steps: facts.num_train_timesteps as usize,
    }
}

#[cfg(test)]
mod tests;
