//! DDIM, eta 0 (Song et al. 2021), in k-diffusion's space: a span in, its noise levels and end scales out.
//!
//! DDIM's state is `y = sqrt(a) * latent + sqrt(1 - a) * noise = x / sqrt(1 + sigma²)`, and its step is
//! `y' = sqrt(a') * x0 + sqrt(1 - a') * eps`. Divided by `sqrt(a')` that is
//! `x' = x0 + sigma' * eps = x + (sigma' - sigma) * eps`: an Euler step between whole timesteps.
//!
//! What differs are the ends. y starts as noise alone, hence x as `noise * sqrt(1 + sigma²)` and not as
//! `noise * sigma`; and the result is y, not x, at the noise level of timestep 0 and not at 0.
//! Equals diffusers' DDIMScheduler with `timestep_spacing="leading"`, `steps_offset=1` and
//! `set_alpha_to_one=False`.

use crate::sample::schedule::{TooManySteps, ddim_timesteps};
use crate::sample::{SigmaTable, Span};

/// The levels before each step of `span` and after the last, falling.
pub(in crate::sample) fn sigmas(table: &SigmaTable, span: Span) -> Result<Vec<f64>, TooManySteps> {
    let timesteps = ddim_timesteps(table, span)?;
    Ok(timesteps.into_iter().chain([0]).map(|t| table.at(t)).collect())
}

/// sqrt(1 + sigma²): x over y at noise level `sigma`.
pub(in crate::sample) fn scale(sigma: f64) -> f64 {
    (1.0 + sigma * sigma).sqrt()
}
