//! What a network predicts: its output and x in, the denoised latent x0 out.

use super::single;

/// What a model's network was trained to predict (`prediction_type` of its scheduler's configuration).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Prediction {
    /// The noise: x0 = x - sigma * output.
    Epsilon,
    /// The velocity (Salimans & Ho 2022): x0 = x / (sigma² + 1) - output * sigma / sqrt(sigma² + 1).
    V,
}

/// A call's factors, in the form of Karras et al. 2022, section 5, with sigma_data = 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scaling {
    /// The network's input is `x * c_in`.
    pub(super) c_in: f32,
    c_skip: f32,
    c_out: f32,
}

// === impl Prediction ===

impl Prediction {
    /// The factors at noise level `sigma`.
    pub(super) fn scaling(self, sigma: f64) -> Scaling {
        let variance = sigma * sigma + 1.0;
        let c_in = 1.0 / variance.sqrt();
        let (c_skip, c_out) = match self {
            Self::Epsilon => (1.0, -sigma),
            Self::V => (1.0 / variance, -sigma * c_in),
        };
        Scaling { c_in: single(c_in), c_skip: single(c_skip), c_out: single(c_out) }
    }
}

// === impl Scaling ===

impl Scaling {
    /// x0, the denoised latent, of one element.
    #[inline(always)]
    pub(super) fn denoised(&self, x: f32, output: f32) -> f32 {
        output * self.c_out + x * self.c_skip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x, noise and velocity of a known latent must all lead back to it.
    #[test]
    fn both_predictions_recover_the_latent() {
        for sigma in [0.03_f64, 0.7, 1.0, 4.5, 14.6] {
            let (latent, noise) = (0.8_f64, -1.3_f64);
            let x = latent + sigma * noise;
            // In the variance-preserving space: a = cos, b = sin of the noise angle, v = a * noise - b *
            // latent.
            let (a, b) = (1.0 / (1.0 + sigma * sigma).sqrt(), sigma / (1.0 + sigma * sigma).sqrt());
            let outputs = [(Prediction::Epsilon, noise), (Prediction::V, a * noise - b * latent)];
            for (prediction, output) in outputs {
                let scaling = prediction.scaling(sigma);
                let x0 = scaling.denoised(single(x), single(output));
                assert!((f64::from(x0) - latent).abs() < 2e-6, "{prediction:?} at {sigma}: {x0}");
                let input = f64::from(scaling.c_in) * x;
                assert!(
                    (input - (a * latent + b * noise)).abs() < 1e-6,
                    "{prediction:?} at {sigma}: {input}"
                );
            }
        }
    }
}
