//! The solvers: falling noise levels in, evaluations of the network with their updates out.
//!
//! A solver's file turns levels into evaluations whose coefficients are worked out in f64, and holds the loop
//! that applies them to one row of the canvas, in f32 and in k-diffusion's order of operations. A row's
//! length never changes its bits: every loop reads and writes one element at a time, and Rust does not
//! contract or reorder floats.

use tessera_proto::job::Sampler;

use super::prediction::Scaling;
use super::sampling::Lane;

pub(super) mod ddim;
mod dpmpp_2m;
mod euler;
mod euler_a;
mod heun;

/// One evaluation of the network, and what it does to x.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Evaluation {
    /// The step it belongs to, from 0.
    pub(super) step: usize,
    /// Noise level of x when the network sees it.
    pub(super) sigma: f64,
    /// How x moves once the output is there.
    pub(super) update: Update,
}

/// The move of one evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Update {
    /// Straight to the next level.
    Euler(euler::Step),
    /// Down past the next level and up again with fresh noise.
    EulerA(euler_a::Step),
    /// First half of a Heun step.
    HeunPredict(heun::Predict),
    /// Second half of a Heun step.
    HeunCorrect(heun::Correct),
    /// Exponential integrator that remembers the last denoised latent.
    DpmPp2M(dpmpp_2m::Step),
}

/// All evaluations over `sigmas`, which fall; only the last may be 0. At least two levels.
pub(super) fn evaluations(sampler: Sampler, sigmas: &[f64]) -> Vec<Evaluation> {
    match sampler {
        Sampler::Euler | Sampler::Ddim => euler::evaluations(sigmas),
        Sampler::EulerA => euler_a::evaluations(sigmas),
        Sampler::Heun => heun::evaluations(sigmas),
        Sampler::DpmPp2M => dpmpp_2m::evaluations(sigmas),
    }
}

/// Canvases of state that a sampler keeps beside x.
pub(super) fn registers(sampler: Sampler) -> usize {
    match sampler {
        Sampler::Euler | Sampler::Ddim | Sampler::EulerA => 0,
        Sampler::DpmPp2M => dpmpp_2m::REGISTERS,
        Sampler::Heun => heun::REGISTERS,
    }
}

/// Steps of one evaluation each: the number of the step and its two levels.
fn steps(sigmas: &[f64]) -> impl Iterator<Item = (usize, f64, f64)> {
    sigmas.windows(2).enumerate().map(|(step, pair)| (step, pair[0], pair[1]))
}

// === impl Update ===

impl Update {
    /// Does the move add noise?
    pub(super) fn needs_noise(&self) -> bool {
        matches!(self, Self::EulerA(step) if step.needs_noise())
    }

    /// Moves one row.
    pub(super) fn apply(&self, scaling: &Scaling, lane: Lane<'_>) {
        match self {
            Self::Euler(step) => step.apply(scaling, lane),
            Self::EulerA(step) => step.apply(scaling, lane),
            Self::HeunPredict(half) => half.apply(scaling, lane),
            Self::HeunCorrect(half) => half.apply(scaling, lane),
            Self::DpmPp2M(step) => step.apply(scaling, lane),
        }
    }
}
