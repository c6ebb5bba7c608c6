//! A model's noise levels: the betas it was trained with in, sigma for any timestep and back out.

/// How a model's betas grow over its training timesteps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BetaKind {
    /// Their square roots grow evenly (`scaled_linear`): all Stable Diffusion models.
    ScaledLinear,
    /// They grow evenly (`linear`).
    Linear,
}

/// The betas that a model was trained with, as its `scheduler_config.json` states them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BetaSchedule {
    /// How they grow.
    pub kind: BetaKind,
    /// The first beta (`beta_start`), in (0, 1).
    pub start: f64,
    /// The last beta (`beta_end`), in (0, 1), at least `start`.
    pub end: f64,
    /// How many timesteps there are (`num_train_timesteps`), at least 2.
    pub steps: usize,
}

/// The noise level of every training timestep, least noise first.
///
/// Between two timesteps log sigma is interpolated linearly, as k-diffusion does.
#[derive(Debug, Clone, PartialEq)]
pub struct SigmaTable {
    sigmas: Vec<f64>,
    log_sigmas: Vec<f64>,
}

/// Betas from which no table of noise levels follows.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Error {
    /// There is nothing to interpolate between.
    #[error("a noise schedule needs at least 2 training timesteps, not {steps}")]
    TooFewSteps {
        /// The steps given.
        steps: usize,
    },
    /// Betas outside (0, 1), or falling.
    #[error("betas must satisfy 0 < beta_start <= beta_end < 1, not {start} and {end}")]
    BetaRange {
        /// The first beta given.
        start: f64,
        /// The last beta given.
        end: f64,
    },
    /// In single precision sigma is 0, infinite or no longer growing, so it has no usable logarithm.
    #[error(
        "the noise level at training timestep {timestep} is {sigma}, not finite and above the one before"
    )]
    Degenerate {
        /// The first timestep at fault.
        timestep: usize,
        /// Its noise level.
        sigma: f64,
    },
}

// === impl BetaSchedule ===

impl BetaSchedule {
    /// What Stable Diffusion 1.x, 2.x and XL were trained with.
    pub const STABLE_DIFFUSION: Self =
        Self { kind: BetaKind::ScaledLinear, start: 0.00085, end: 0.012, steps: 1000 };

    /// `1 - beta` of every timestep, rounded to f32 wherever torch rounds.
    fn alphas(&self) -> Vec<f32> {
        let (start, end) = match self.kind {
            BetaKind::ScaledLinear => (self.start.sqrt(), self.end.sqrt()),
            BetaKind::Linear => (self.start, self.end),
        };
        evenly(super::single(start), super::single(end), self.steps)
            .map(|value| match self.kind {
                BetaKind::ScaledLinear => 1.0 - value * value,
                BetaKind::Linear => 1.0 - value,
            })
            .collect()
    }
}

/// `torch.linspace` in f32: counted from the nearer end, product and sum rounded once.
fn evenly(start: f32, end: f32, steps: usize) -> impl Iterator<Item = f32> {
    let step = (end - start) / (steps - 1) as f32;
    (0..steps).map(move |i| {
        let from_end = steps - 1 - i;
        if i < steps / 2 { step.mul_add(i as f32, start) } else { (-step).mul_add(from_end as f32, end) }
    })
}

// === impl SigmaTable ===

impl SigmaTable {
    /// Works out sigma = sqrt((1 - a) / a) with a = the running product of (1 - beta).
    ///
    /// diffusers multiplies in f64 and keeps a in f32; so do we, because `1 - a` of the first timesteps
    /// magnifies that rounding to 3e-5 of sigma, and equal tables matter more than exact ones.
    ///
    /// # Errors
    /// Fewer than 2 steps, betas out of range, or a noise level that is not finite and growing.
    pub fn new(betas: &BetaSchedule) -> Result<Self, Error> {
        let &BetaSchedule { start, end, steps, kind: _ } = betas;
        if steps < 2 {
            return Err(Error::TooFewSteps { steps });
        }
        if !(0.0 < start && start <= end && end < 1.0) {
            return Err(Error::BetaRange { start, end });
        }
        let mut product = 1.0_f64;
        let mut sigmas: Vec<f64> = Vec::with_capacity(steps);
        for (timestep, alpha) in betas.alphas().into_iter().enumerate() {
            product *= f64::from(alpha);
            let kept = f64::from(super::single(product));
            let sigma = ((1.0 - kept) / kept).sqrt();
            if !(sigmas.last().copied().unwrap_or(0.0) < sigma && sigma < f64::INFINITY) {
                return Err(Error::Degenerate { timestep, sigma });
            }
            sigmas.push(sigma);
        }
        let log_sigmas = sigmas.iter().map(|sigma| sigma.ln()).collect();
        Ok(Self { sigmas, log_sigmas })
    }

    /// How many training timesteps there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a table is never empty: at least 2 timesteps")]
    pub fn len(&self) -> usize {
        self.sigmas.len()
    }

    /// Sigma of timestep 0, the least.
    #[must_use]
    pub fn min(&self) -> f64 {
        self.sigmas[0]
    }

    /// Sigma of the last timestep, the greatest.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.sigmas[self.len() - 1]
    }

    /// Sigma of a whole timestep.
    ///
    /// # Panics
    /// `timestep` is not below [`Self::len`].
    #[must_use]
    pub fn at(&self, timestep: usize) -> f64 {
        self.sigmas[timestep]
    }

    /// Sigma at `t`, a timestep or a point between two; outside the table, its end.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "t is clamped to the table first, so its floor is a small natural number; NaN becomes 0"
    )]
    pub fn t_to_sigma(&self, t: f64) -> f64 {
        let last = self.len() - 1;
        let t = t.clamp(0.0, last as f64);
        let low = (t as usize).min(last - 1);
        let weight = t - low as f64;
        ((1.0 - weight) * self.log_sigmas[low] + weight * self.log_sigmas[low + 1]).exp()
    }

    /// The timestep, whole or between two, whose noise level is `sigma`; outside the table, its end.
    #[must_use]
    pub fn sigma_to_t(&self, sigma: f64) -> f64 {
        let log = sigma.ln();
        let above = self.log_sigmas.partition_point(|&entry| entry <= log);
        let low = above.saturating_sub(1).min(self.len() - 2);
        let (from, to) = (self.log_sigmas[low], self.log_sigmas[low + 1]);
        low as f64 + ((log - from) / (to - from)).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests;
