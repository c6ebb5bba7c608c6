//! The sampling core: settings and a seed in; noise, network calls, and how each moves the canvas out.
//!
//! A run is compiled once into a [`Sampling`]: one [`ModelCall`] per network evaluation, with all
//! coefficients worked out. The canvas holds `x = latent + sigma * noise`, k-diffusion's variance-exploding
//! space. For each call the network is given `x * c_in` and `timestep`; its output goes back into
//! [`Sampling::advance`].
//!
//! **Invariant: stepping is elementwise and keeps no state.** What a solver remembers lies in registers
//! beside x, and `advance` reads nothing but the same element of x, output, registers and noise. So regions
//! of the canvas may be several calls apart, be cut anyhow, or be resumed from a file of x and registers, and
//! the bits are the same.

pub mod noise;
pub mod noise_levels;
mod prediction;
pub mod sampling;
pub mod schedule;
mod solver;
pub mod strength;

#[cfg(test)]
mod golden;

pub use noise::NoiseSource;
pub use noise_levels::{BetaKind, BetaSchedule, SigmaTable};
pub use prediction::Prediction;
pub use sampling::{Lane, MAX_REGISTERS, ModelCall, Sampling, Settings, Start};
pub use strength::Span;

/// The nearest f32: coefficients are worked out in f64 and applied in f32.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to f32 is the purpose; no coefficient exceeds its range"
)]
fn single(value: f64) -> f32 {
    value as f32
}
