//! Noise schedules: a name, a model's table and a span of steps in, the noise level of every step out.

use tessera_proto::job::Schedule;

use super::{SigmaTable, Span};

/// Karras et al. 2022, equation 5: the exponent that spreads the levels.
const RHO: f64 = 7.0;

/// A span that the model's timesteps cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "ddim takes whole timesteps of the model, of which there are {timesteps}, but a schedule of {total} steps \
     is asked for: take fewer steps, a higher denoising strength or another sampler"
)]
pub struct TooManySteps {
    /// Length of the schedule asked for.
    pub total: usize,
    /// Training timesteps of the model.
    pub timesteps: usize,
}

/// Sigma before each step of `span`, falling, and 0 after the last: `span.runs() + 1` values.
///
/// All three equal k-diffusion's; `Karras` and `Exponential` between the table's own ends as the webui has
/// them. diffusers' `timestep_spacing="linspace"` agrees to 1e-6 with its Karras and exponential options; its
/// plain levels interpolate sigma where `Normal` interpolates log sigma: apart by 1.5e-5 of sigma at 20
/// steps, 7e-5 at 50.
#[must_use]
pub fn sigmas(schedule: Schedule, table: &SigmaTable, span: Span) -> Vec<f64> {
    let (min, max) = (table.min(), table.max());
    let level = |along: f64| match schedule {
        Schedule::Normal => table.t_to_sigma((1.0 - along) * (table.len() - 1) as f64),
        Schedule::Karras => {
            let (from, to) = (max.powf(1.0 / RHO), min.powf(1.0 / RHO));
            (from + along * (to - from)).powf(RHO)
        }
        Schedule::Exponential => ((1.0 - along) * max.ln() + along * min.ln()).exp(),
    };
    // One step alone starts at the most noise.
    let gaps = (span.total() - 1).max(1) as f64;
    (span.start()..span.total()).map(|i| level(i as f64 / gaps)).chain([0.0]).collect()
}

/// DDIM's own timesteps before each step of `span`, falling; it ends at the noise level of timestep 0.
///
/// The spacing is diffusers' "leading" with `steps_offset` 1: timestep k * (T / total) + 1 with T training
/// timesteps, a whole-number division. The webui builds the same numbers, but evaluates one timestep fewer,
/// and in image-to-image starts one timestep below the noise level that it mixed in; we run what the levels
/// say.
///
/// # Errors
/// The schedule is longer than the model has timesteps.
pub fn ddim_timesteps(table: &SigmaTable, span: Span) -> Result<Vec<usize>, TooManySteps> {
    let timesteps = table.len();
    let spacing = timesteps / span.total();
    if spacing == 0 {
        return Err(TooManySteps { total: span.total(), timesteps });
    }
    Ok((0..span.runs()).rev().map(|k| (k * spacing + 1).min(timesteps - 1)).collect())
}

#[cfg(test)]
mod tests {
    use tessera_proto::job::{Choice, StrengthSteps};

    use super::*;
    use crate::sample::BetaSchedule;
    use crate::sample::golden::{Golden, worst_relative};

    const STEPS: [usize; 5] = [4, 10, 20, 25, 50];

    fn table() -> SigmaTable {
        SigmaTable::new(&BetaSchedule::STABLE_DIFFUSION).unwrap()
    }

    #[test]
    fn equals_k_diffusion() {
        let (golden, table) = (Golden::solvers(), table());
        for &schedule in Schedule::ALL {
            for steps in STEPS {
                let ours = sigmas(schedule, &table, Span::whole(steps).unwrap());
                let key = format!("schedule.{}.{steps}", schedule.name());
                let worst = worst_relative(&ours, &golden.f64s(&format!("{key}.sigmas")));
                assert!(worst <= 1e-6, "{key}: off by {worst:e} relative");
                for (sigma, t) in ours.iter().zip(golden.f64s(&format!("{key}.timesteps"))) {
                    let ours = table.sigma_to_t(*sigma);
                    assert!((ours - t).abs() < 1e-3, "{key}: timestep {ours}, k-diffusion {t}");
                }
            }
        }
    }

    /// The tolerance of `Normal` is that of interpolating sigma instead of its logarithm, which the doc
    /// states.
    #[test]
    fn equals_diffusers_linspace() {
        let (golden, table) = (Golden::solvers(), table());
        for &schedule in Schedule::ALL {
            for steps in STEPS {
                let ours = sigmas(schedule, &table, Span::whole(steps).unwrap());
                let theirs = golden.f64s(&format!("schedule.{}.{steps}.diffusers", schedule.name()));
                let limit = match (schedule, steps) {
                    (Schedule::Normal, 50) => 7.5e-5,
                    (Schedule::Normal, 20 | 25) => 2.2e-5,
                    _ => 1e-6,
                };
                let worst = worst_relative(&ours, &theirs);
                assert!(worst <= limit, "{schedule:?} {steps}: off by {worst:e} relative");
            }
        }
    }

    #[test]
    fn ddim_takes_the_timesteps_of_diffusers() {
        let (golden, table) = (Golden::solvers(), table());
        for steps in STEPS.into_iter().chain([28, 30, 66]) {
            let ours = ddim_timesteps(&table, Span::whole(steps).unwrap()).unwrap();
            let theirs = golden.f64s(&format!("ddim.{steps}.timesteps"));
            assert!(ours.iter().map(|&t| t as f64).eq(theirs), "{steps} steps: {ours:?}");
        }
        let ours = ddim_timesteps(&table, Span::whole(1000).unwrap()).unwrap();
        assert_eq!((ours[0], ours[1], ours[999]), (999, 999, 1), "the webui clips timestep 1000 to 999");
        assert_eq!(
            ddim_timesteps(&table, Span::whole(1001).unwrap()).unwrap_err().to_string(),
            "ddim takes whole timesteps of the model, of which there are 1000, but a schedule of 1001 steps \
             is asked for: take fewer steps, a higher denoising strength or another sampler"
        );
    }

    #[test]
    fn second_pass_starts_where_a1111_and_diffusers_start() {
        let (golden, table) = (Golden::solvers(), table());
        for row in golden.notes["starts"].as_array().unwrap() {
            let mode = match row["mode"].as_str().unwrap() {
                "a1111" => StrengthSteps::A1111,
                _ => StrengthSteps::Diffusers,
            };
            let span = Span::of_strength(mode, 20, row["denoise"].as_f64().unwrap()).unwrap();
            let mut ours: Vec<(&str, f64)> =
                Schedule::ALL.iter().map(|&s| (s.name(), sigmas(s, &table, span)[0])).collect();
            ours.push(("ddim", table.at(ddim_timesteps(&table, span).unwrap()[0])));
            for (name, sigma) in ours {
                let theirs = row["sigma"][name].as_f64().unwrap();
                assert!((sigma / theirs - 1.0).abs() < 1e-6, "{name} of {row}: {sigma}");
            }
        }
    }

    /// Starting levels of 20 steps as k-diffusion has them, rounded to two places.
    #[test]
    fn known_starts_of_a1111() {
        let rows = [(0.3, [0.81, 0.34, 0.18]), (0.4, [1.12, 0.64, 0.32]), (0.7, [3.37, 3.82, 2.32])];
        for (denoise, expected) in rows {
            let span = Span::of_strength(StrengthSteps::A1111, 20, denoise).unwrap();
            for (&schedule, expected) in Schedule::ALL.iter().zip(expected) {
                let sigma = sigmas(schedule, &table(), span)[0];
                assert!(
                    (sigma - expected).abs() <= 0.005,
                    "{schedule:?} at {denoise}: {sigma}, not {expected}"
                );
            }
        }
    }

    #[test]
    fn one_step_goes_from_all_noise_to_none() {
        let table = table();
        for &schedule in Schedule::ALL {
            let levels = sigmas(schedule, &table, Span::whole(1).unwrap());
            assert_eq!(levels.len(), 2, "{schedule:?}: one level and the end");
            assert!(
                (levels[0] / table.max() - 1.0).abs() < 1e-12 && levels[1] == 0.0,
                "{schedule:?}: {levels:?}"
            );
        }
    }
}
