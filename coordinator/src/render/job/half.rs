//! Jobs that are one half of the VAE alone: how a decode begins, and how an encode ends. The rest is every job's way.

use std::sync::Arc;

use tessera_proto::{
    Stage,
    job::{self, Goal, Size},
};

use super::{Action, Computed, Error, Job, Then, compute};
use crate::{latent::Latent, render::posterior::Posterior, sample::NoiseSource};

impl Job {
    /// Begins with the decode of a latent.
    pub(super) fn begin_decode(&mut self, latent: Latent) -> Vec<Action> {
        // A job begins without a fault: one in here comes back as a computation's.
        self.compute(Then::Hires, move || Ok(Computed::Latent(latent.into_values())))
    }

    /// The latent that the job takes of what its encoder says, as the UNet sees it.
    pub(super) fn latent_of(&self, posterior: Posterior) -> Result<Vec<f32>, Error> {
        let (spec, facts) = (self.plan.spec(), self.plan.facts());
        if spec.goal != Goal::Encode(job::Posterior::Sample) {
            return Ok(posterior.mean(facts.scaling_factor));
        }
        let Size { width, height } = self.plan.latent_size(self.plan.target());
        let values = (facts.latent_channels * width * height) as usize;
        let noise = NoiseSource::new(spec.rng, spec.seed).draw(values);
        posterior.sample(&noise, facts.scaling_factor)
    }

    /// The encode is all that was asked for.
    pub(super) fn write_latent(&mut self, latent: Vec<f32>) -> Vec<Action> {
        let plan = Arc::clone(&self.plan);
        self.progress.enter(Stage::Save, 0);
        self.compute(Then::Hires, move || compute::write_latent(latent, plan.target(), plan.facts()))
    }
}
