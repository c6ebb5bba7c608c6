//! Heun's second-order method (Karras et al. 2022, algorithm 2): an Euler step, then its slope is averaged
//! with the slope found there. Two evaluations a step; a step that ends at 0 is Euler's, for there is no
//! slope at 0.
//!
//! The second evaluation belongs to the canvas at the next noise level, so tiles are blended there as well.
//! diffusers' HeunDiscreteScheduler with `timestep_spacing="linspace"` ends within 2e-6 of it after 20 steps
//! of the tests' network, on all three schedules.

use super::{Evaluation, Update, euler, steps};
use crate::sample::prediction::Scaling;
use crate::sample::sampling::Lane;
use crate::sample::single;

/// x at the start of the step, and its slope there.
pub(super) const REGISTERS: usize = 2;

/// Keeps x and its slope, and moves x to the next level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::sample) struct Predict {
    sigma: f32,
    dt: f32,
}

/// x' = kept x + (kept slope + (x - x0) / next) / 2 * dt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::sample) struct Correct {
    next: f32,
    dt: f32,
}

pub(super) fn evaluations(sigmas: &[f64]) -> Vec<Evaluation> {
    steps(sigmas)
        .flat_map(|(step, sigma, next)| {
            if next == 0.0 {
                let last = euler::evaluations(&[sigma, next]);
                return last.into_iter().map(|evaluation| Evaluation { step, ..evaluation }).collect();
            }
            let dt = single(next - sigma);
            let predict = Update::HeunPredict(Predict { sigma: single(sigma), dt });
            let correct = Update::HeunCorrect(Correct { next: single(next), dt });
            vec![
                Evaluation { step, sigma, update: predict },
                Evaluation { step, sigma: next, update: correct },
            ]
        })
        .collect()
}

// === impl Predict ===

impl Predict {
    pub(super) fn apply(&self, scaling: &Scaling, lane: Lane<'_>) {
        let Self { sigma, dt } = *self;
        let [kept_x, kept_slope] = lane.registers;
        let kept = kept_x.iter_mut().zip(kept_slope);
        for ((x, &output), (kept_x, kept_slope)) in lane.x.iter_mut().zip(lane.prediction).zip(kept) {
            let slope = (*x - scaling.denoised(*x, output)) / sigma;
            (*kept_x, *kept_slope) = (*x, slope);
            *x += slope * dt;
        }
    }
}

// === impl Correct ===

impl Correct {
    pub(super) fn apply(&self, scaling: &Scaling, lane: Lane<'_>) {
        let Self { next, dt } = *self;
        let [kept_x, kept_slope] = lane.registers;
        let kept = kept_x.iter().zip(kept_slope.iter());
        for ((x, &output), (&kept_x, &kept_slope)) in lane.x.iter_mut().zip(lane.prediction).zip(kept) {
            let slope = (*x - scaling.denoised(*x, output)) / next;
            *x = kept_x + (kept_slope + slope) / 2.0 * dt;
        }
    }
}
