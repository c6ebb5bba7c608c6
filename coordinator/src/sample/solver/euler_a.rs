//! Euler ancestral, eta 1: an Euler step down past the next noise level, then fresh noise up to it.
//!
//! The split keeps the variance, down² + up² = next², and with eta 1 is DDPM's: down = next² / sigma. No
//! noise is drawn for a step that ends at 0.
//!
//! diffusers' EulerAncestralDiscreteScheduler with `timestep_spacing="linspace"`, given the same noise, ends
//! within 4e-6 of it after 20 steps of the tests' network on the normal schedule, the only one it has.

use super::{Evaluation, Update, steps};
use crate::sample::prediction::Scaling;
use crate::sample::sampling::Lane;
use crate::sample::single;

/// x' = x + (x - x0) / sigma * (down - sigma) + noise * up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::sample) struct Step {
    sigma: f32,
    dt: f32,
    /// None where the step ends without noise.
    up: Option<f32>,
}

pub(super) fn evaluations(sigmas: &[f64]) -> Vec<Evaluation> {
    steps(sigmas)
        .map(|(step, sigma, next)| {
            let (down, up) = split(sigma, next);
            let up = (next > 0.0).then_some(single(up));
            let update = Update::EulerA(Step { sigma: single(sigma), dt: single(down - sigma), up });
            Evaluation { step, sigma, update }
        })
        .collect()
}

/// How far down to step and how much noise to add, to arrive at `next` from `sigma`.
fn split(sigma: f64, next: f64) -> (f64, f64) {
    let down = next * next / sigma;
    (down, ((next - down) * (next + down)).sqrt())
}

// === impl Step ===

impl Step {
    pub(super) fn needs_noise(&self) -> bool {
        self.up.is_some()
    }

    pub(super) fn apply(&self, scaling: &Scaling, lane: Lane<'_>) {
        let Self { sigma, dt, up } = *self;
        let moved = |x: f32, output: f32| {
            let slope = (x - scaling.denoised(x, output)) / sigma;
            x + slope * dt
        };
        let elements = lane.x.iter_mut().zip(lane.prediction);
        match up.zip(lane.noise) {
            None => elements.for_each(|(x, &output)| *x = moved(*x, output)),
            Some((up, noise)) => {
                elements.zip(noise).for_each(|((x, &output), &noise)| *x = moved(*x, output) + noise * up);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_keeps_the_variance() {
        for (sigma, next) in [(14.6, 9.7), (1.0, 0.999), (0.5, 0.03), (0.03, 0.0)] {
            let (down, up) = split(sigma, next);
            let variance = down * down + up * up;
            assert!((variance - next * next).abs() < 1e-12, "{sigma} -> {next}: {down}² + {up}²");
            // The noise of DDPM's posterior, as k-diffusion writes it.
            let posterior = (next * next * (sigma * sigma - next * next) / (sigma * sigma)).sqrt();
            assert!((up - posterior).abs() < 1e-12, "{sigma} -> {next}: up by {up}");
        }
    }
}
