//! What an encoder says of a picture's latent: its moments in; their mean, or a latent drawn from them, out.
//!
//! A diagonal Gaussian (Kingma & Welling 2013, https://arxiv.org/abs/1312.6114), as diffusers'
//! `DiagonalGaussianDistribution` reads it: `sample = mean + exp(clamp(log_variance, -30, 20) / 2) * noise`.

use super::error::Error;

/// Bounds of the log variance; diffusers'.
const LOG_VARIANCE: (f32, f32) = (-30.0, 20.0);

/// The moments of a latent of `values` numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Posterior {
    /// Means, then log variances where the encoder returns them: `[c, h, w]` or `[2c, h, w]`.
    moments: Vec<f32>,
    values: usize,
}

// === impl Posterior ===

impl Posterior {
    /// Moments `[c, h, w]` or `[2c, h, w]` of a latent of `values` numbers.
    pub(super) const fn new(moments: Vec<f32>, values: usize) -> Self {
        Self { moments, values }
    }

    /// The mean as the UNet sees it.
    ///
    /// The same picture gives the same latent. (A1111 draws a sample, whose deviation is some thousandths of the noise
    /// that follows in a hires pass.)
    pub(super) fn mean(mut self, scaling_factor: f64) -> Vec<f32> {
        self.moments.truncate(self.values);
        scaled(self.moments, scaling_factor)
    }

    /// The latent, as the UNet sees it, that this noise of deviation 1 draws.
    ///
    /// # Errors
    /// The encoder returns no variance: its graph draws the latent itself.
    pub(super) fn sample(self, noise: &[f32], scaling_factor: f64) -> Result<Vec<f32>, Error> {
        let (means, log_variances) = self.moments.split_at(self.values);
        if log_variances.len() != means.len() || noise.len() != means.len() {
            return Err(Error::NoVariance);
        }
        let (least, most) = LOG_VARIANCE;
        let drawn = means.iter().zip(log_variances).zip(noise);
        let drawn = drawn.map(|((mean, log), noise)| mean + (0.5 * log.clamp(least, most)).exp() * noise);
        Ok(scaled(drawn.collect(), scaling_factor))
    }
}

fn scaled(mut latent: Vec<f32>, scaling_factor: f64) -> Vec<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "latents are f32")]
    let factor = scaling_factor as f32;
    latent.iter_mut().for_each(|value| *value *= factor);
    latent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_and_a_sample_follow_their_formulas() {
        // A log variance of ln 4 is a deviation of 2; -100 is clamped to -30, a deviation of 3e-7.
        let posterior = Posterior::new(vec![1.0, -2.0, 4.0_f32.ln(), -100.0], 2);
        assert_eq!(posterior.clone().mean(0.5), [0.5, -1.0]);
        let sample = posterior.sample(&[3.0, 1.0], 0.5).unwrap();
        assert!((sample[0] - 3.5).abs() < 1e-6 && (sample[1] + 1.0).abs() < 1e-6, "{sample:?}");
    }

    #[test]
    fn a_latent_alone_cannot_be_drawn_from() {
        let posterior = Posterior::new(vec![1.0, 2.0], 2);
        assert_eq!(posterior.clone().mean(1.0), [1.0, 2.0]);
        let refusal = posterior.sample(&[0.0, 0.0], 1.0).unwrap_err().to_string();
        assert!(refusal.starts_with("the model's encoder returns no variance"), "{refusal}");
    }
}
