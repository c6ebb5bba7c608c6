//! A compiled run: a sampler's settings and a model's noise levels in, network calls and their updates out.

use tessera_proto::job::{Sampler, Schedule, StrengthSteps};

use super::prediction::Scaling;
use super::solver::{self, Evaluation, Update, ddim};
use super::{Prediction, SigmaTable, Span, schedule, single, strength};

/// The most canvases of state that any sampler keeps beside x.
pub const MAX_REGISTERS: usize = 2;

/// What to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The solver.
    pub sampler: Sampler,
    /// How noise levels are spread; DDIM has its own and ignores this.
    pub schedule: Schedule,
    /// The steps asked for, at least 1; what a strength makes of them is [`Span::of_strength`]'s affair.
    pub steps: usize,
    /// What the network predicts.
    pub prediction: Prediction,
    /// Where the schedule is entered.
    pub start: Start,
}

/// Where a run enters its schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// At its beginning: a picture from noise.
    Whole,
    /// Later, with a picture below the noise.
    Strength {
        /// Denoising strength, in (0, 1]; the f64 that the user's text denotes.
        denoise: f64,
        /// How it is counted.
        steps: StrengthSteps,
    },
}

/// A run whose coefficients are all worked out. It holds no state of the canvas and never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    calls: Vec<ModelCall>,
    /// As long as `calls`.
    moves: Vec<(Scaling, Update)>,
    registers: usize,
    /// What unit noise is multiplied with to start from noise alone.
    noise_scale: f32,
    /// What x is multiplied with at the end.
    final_scale: f32,
}

/// One evaluation of the network on the whole canvas.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelCall {
    /// The step of this run that it belongs to, from 0; Heun has two calls a step.
    pub step: usize,
    /// Noise level of x.
    pub sigma: f64,
    /// The same as the network is told it: a training timestep, whole or between two.
    pub timestep: f64,
    /// The network's input is x times this.
    pub c_in: f32,
    /// Which draw of the noise source [`Sampling::advance`] needs here, counted from the first after the
    /// starting noise; none where it needs none. A draw covers the whole canvas, channels first.
    pub noise_draw: Option<usize>,
}

/// Equally long rows of the canvas's tensors: what one update reads and writes.
#[derive(Debug)]
pub struct Lane<'a> {
    /// x before the update, then after it.
    pub x: &'a mut [f32],
    /// The network's output at x (guided and blended, still epsilon or v).
    pub prediction: &'a [f32],
    /// The first [`Sampling::registers`] hold the solver's memory and must be kept between calls (zeros at
    /// the start); the others are not looked at and may be empty.
    pub registers: [&'a mut [f32]; MAX_REGISTERS],
    /// The call's noise; not looked at where it needs none.
    pub noise: Option<&'a [f32]>,
}

/// Settings that cannot run.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Error {
    /// Steps and strength leave nothing to run, or are out of range.
    #[error(transparent)]
    Strength(#[from] strength::Error),
    /// DDIM was asked for more steps than the model has timesteps.
    #[error(transparent)]
    TooManySteps(#[from] schedule::TooManySteps),
}

// === impl Sampling ===

impl Sampling {
    /// Works out every call of a run.
    ///
    /// # Errors
    /// No steps, a strength out of range or too weak for one step, or more DDIM steps than timesteps.
    pub fn new(settings: &Settings, table: &SigmaTable) -> Result<Self, Error> {
        let &Settings { sampler, steps, prediction, start, schedule } = settings;
        let span = match start {
            Start::Whole => Span::whole(steps)?,
            Start::Strength { denoise, steps: mode } => Span::of_strength(mode, steps, denoise)?,
        };
        let (sigmas, noise_scale, final_scale) = match sampler {
            Sampler::Ddim => {
                let sigmas = ddim::sigmas(table, span)?;
                let ends = (ddim::scale(sigmas[0]), 1.0 / ddim::scale(table.at(0)));
                (sigmas, ends.0, ends.1)
            }
            Sampler::Euler | Sampler::EulerA | Sampler::Heun | Sampler::DpmPp2M => {
                let sigmas = schedule::sigmas(schedule, table, span);
                let first = sigmas[0];
                (sigmas, first, 1.0)
            }
        };
        let evaluations = solver::evaluations(sampler, &sigmas);
        let moves: Vec<_> = evaluations.iter().map(|e| (prediction.scaling(e.sigma), e.update)).collect();
        let mut draws = 0..;
        let calls =
            evaluations.iter().zip(&moves).map(|(&Evaluation { step, sigma, update }, (scaling, _))| {
                let noise_draw = if update.needs_noise() { draws.next() } else { None };
                ModelCall { step, sigma, timestep: table.sigma_to_t(sigma), c_in: scaling.c_in, noise_draw }
            });
        Ok(Self {
            calls: calls.collect(),
            moves,
            registers: solver::registers(sampler),
            noise_scale: single(noise_scale),
            final_scale: single(final_scale),
        })
    }

    /// Every evaluation of the network, in order; at least one.
    #[must_use]
    pub fn calls(&self) -> &[ModelCall] {
        &self.calls
    }

    /// Steps that run; at least 1.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.calls.last().map_or(0, |call| call.step + 1)
    }

    /// Canvases of state to keep beside x, at most [`MAX_REGISTERS`].
    #[must_use]
    pub fn registers(&self) -> usize {
        self.registers
    }

    /// Whole-canvas draws that the run needs after its starting noise.
    #[must_use]
    pub fn noise_draws(&self) -> usize {
        self.calls.iter().filter(|call| call.noise_draw.is_some()).count()
    }

    /// Turns unit noise into the x from which a picture is made out of noise alone.
    pub fn start_from_noise(&self, noise: &mut [f32]) {
        noise.iter_mut().for_each(|value| *value *= self.noise_scale);
    }

    /// The x that hides `latent` below the first call's noise level: latent + sigma * noise.
    ///
    /// # Panics
    /// The two are not equally long.
    #[must_use]
    pub fn start_from_latent(&self, latent: &[f32], noise: &[f32]) -> Vec<f32> {
        assert_eq!(latent.len(), noise.len(), "noise covers the latent");
        let sigma = single(self.calls[0].sigma);
        latent.iter().zip(noise).map(|(latent, noise)| latent + noise * sigma).collect()
    }

    /// Moves one row past call number `call`, whose output is there. Elementwise: rows may be cut anyhow.
    ///
    /// # Panics There is no such call; the row's parts, as far as this sampler uses them, are not equally
    /// long; or noise that the call needs is missing.
    pub fn advance(&self, call: usize, lane: Lane<'_>) {
        let length = lane.x.len();
        assert_eq!(lane.prediction.len(), length, "the output covers the row");
        for register in &lane.registers[..self.registers] {
            assert_eq!(register.len(), length, "every register covers the row");
        }
        if self.calls[call].noise_draw.is_some() {
            assert_eq!(lane.noise.map(<[f32]>::len), Some(length), "noise covers the row");
        }
        let (scaling, update) = &self.moves[call];
        update.apply(scaling, lane);
    }

    /// Turns x after the last call into the latent.
    pub fn finish(&self, x: &mut [f32]) {
        if self.final_scale != 1.0 {
            x.iter_mut().for_each(|value| *value *= self.final_scale);
        }
    }
}

#[cfg(test)]
mod tests;
