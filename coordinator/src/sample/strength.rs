//! Hires arithmetic: steps and denoising strength in, which part of which schedule runs out.

use tessera_proto::job::StrengthSteps;

/// The longest schedule that a weak strength may ask for, in steps.
///
/// Beyond it a run of some hundred steps would start within a fraction of one training timestep of the end,
/// which no network tells apart.
pub const LONGEST: usize = 1_000_000;

/// The steps `start..total` of a schedule of `total` steps; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    total: usize,
    start: usize,
}

/// Steps and strength that leave nothing to run.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Error {
    /// No steps were asked for.
    #[error("sampling needs at least 1 step, not 0")]
    NoSteps,
    /// The strength is no share.
    #[error("denoising strength must be above 0 and at most 1, not {denoise}")]
    Strength {
        /// The strength given.
        denoise: f64,
    },
    /// diffusers' count rounds down to nothing.
    #[error(
        "denoising strength {denoise} of {steps} steps leaves 0 steps to run: \
         raise the strength to at least 1/{steps} or take more steps"
    )]
    NothingRuns {
        /// The strength given.
        denoise: f64,
        /// The steps given.
        steps: usize,
    },
    /// The schedule would be absurdly long.
    #[error("{steps} steps at denoising strength {denoise} ask for a schedule of more than {LONGEST} steps")]
    TooLong {
        /// The strength given, or 1 where none applies.
        denoise: f64,
        /// The steps given.
        steps: usize,
    },
}

// === impl Span ===

impl Span {
    /// All of a schedule of `steps` steps.
    ///
    /// # Errors
    /// `steps` is 0 or above [`LONGEST`].
    pub fn whole(steps: usize) -> Result<Self, Error> {
        match steps {
            0 => Err(Error::NoSteps),
            1..=LONGEST => Ok(Self { total: steps, start: 0 }),
            _ => Err(Error::TooLong { denoise: 1.0, steps }),
        }
    }

    /// The end of a schedule that a strength in (0, 1] selects; N = `steps`, d = `denoise`.
    ///
    /// - `A1111`: the schedule has int(N / min(d, 0.999)) steps and its last N run (webui,
    ///   `setup_img2img_steps` with the step count requested, which is how hires fix calls it).
    /// - `Diffusers`: the schedule has N steps and its last int(N * d) run (`get_timesteps` of its
    ///   image-to-image).
    ///
    /// `denoise` must be the f64 that the user's text denotes: as an f32, 0.7 of 20 steps would be 13, not
    /// 14.
    ///
    /// # Errors
    /// No steps, a strength outside (0, 1], nothing left to run, or a schedule above [`LONGEST`].
    pub fn of_strength(mode: StrengthSteps, steps: usize, denoise: f64) -> Result<Self, Error> {
        let whole = Self::whole(steps)?;
        if !(0.0 < denoise && denoise <= 1.0) {
            return Err(Error::Strength { denoise });
        }
        match mode {
            StrengthSteps::A1111 => {
                let total = whole_part(steps as f64 / denoise.min(0.999)).filter(|&total| total <= LONGEST);
                let total = total.ok_or(Error::TooLong { denoise, steps })?;
                Ok(Self { total, start: total - steps })
            }
            StrengthSteps::Diffusers => match whole_part(steps as f64 * denoise) {
                None | Some(0) => Err(Error::NothingRuns { denoise, steps }),
                Some(runs) => Ok(Self { start: steps - runs.min(steps), ..whole }),
            },
        }
    }

    /// Length of the schedule, in steps.
    #[must_use]
    pub fn total(self) -> usize {
        self.total
    }

    /// Index of the first step that runs.
    #[must_use]
    pub fn start(self) -> usize {
        self.start
    }

    /// How many steps run; at least 1.
    #[must_use]
    pub fn runs(self) -> usize {
        self.total - self.start
    }
}

/// Python's `int()` of a number that is not negative; none where it exceeds what a count may be.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is checked to lie in 0..=u32::MAX; dropping the fraction is the purpose"
)]
fn whole_part(value: f64) -> Option<usize> {
    (0.0..=f64::from(u32::MAX)).contains(&value).then_some(value as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::golden::Golden;

    #[test]
    fn counts_as_a1111_and_diffusers_do() {
        let golden = Golden::solvers();
        let rows = golden.notes["starts"].as_array().unwrap();
        assert_eq!(rows.len(), 12, "six strengths, two ways of counting");
        for row in rows {
            let mode = match row["mode"].as_str().unwrap() {
                "a1111" => StrengthSteps::A1111,
                _ => StrengthSteps::Diffusers,
            };
            let span = Span::of_strength(mode, 20, row["denoise"].as_f64().unwrap()).unwrap();
            assert_eq!(
                (Some(span.total as u64), Some(span.start as u64)),
                (row["total"].as_u64(), row["start"].as_u64())
            );
        }
    }

    #[test]
    fn a1111_always_runs_all_steps() {
        for steps in [1, 7, 20, 150] {
            for hundredths in 1..=100 {
                let span =
                    Span::of_strength(StrengthSteps::A1111, steps, f64::from(hundredths) / 100.0).unwrap();
                assert_eq!(span.runs(), steps, "at strength 0.{hundredths:02}");
            }
        }
        let full = Span::of_strength(StrengthSteps::A1111, 20, 1.0).unwrap();
        assert_eq!(full, Span::whole(20).unwrap(), "strength 1 is the whole schedule");
        let long = Span::of_strength(StrengthSteps::A1111, 1000, 1.0).unwrap();
        assert_eq!((long.total, long.start), (1001, 1), "strength counts as 0.999 at most, as in the webui");
    }

    #[test]
    fn refuses_what_runs_nothing() {
        let error = |mode, steps, denoise| Span::of_strength(mode, steps, denoise).unwrap_err().to_string();
        assert_eq!(
            error(StrengthSteps::Diffusers, 20, 0.04),
            "denoising strength 0.04 of 20 steps leaves 0 steps to run: \
             raise the strength to at least 1/20 or take more steps"
        );
        assert_eq!(error(StrengthSteps::A1111, 0, 0.5), "sampling needs at least 1 step, not 0");
        assert_eq!(
            error(StrengthSteps::A1111, 20, 1e-9),
            "20 steps at denoising strength 0.000000001 ask for a schedule of more than 1000000 steps"
        );
        for denoise in [0.0, -0.1, 1.5, f64::NAN] {
            assert_eq!(
                error(StrengthSteps::A1111, 20, denoise),
                format!("denoising strength must be above 0 and at most 1, not {denoise}")
            );
        }
        assert!(Span::whole(LONGEST + 1).is_err(), "a schedule has a longest length");
    }
}
