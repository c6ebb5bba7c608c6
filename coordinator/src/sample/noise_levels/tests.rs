use super::*;
use crate::sample::golden::{Golden, worst_relative};

fn table() -> SigmaTable {
    SigmaTable::new(&BetaSchedule::STABLE_DIFFUSION).unwrap()
}

#[test]
fn equals_the_table_of_diffusers() {
    let golden = Golden::solvers();
    let linear = BetaSchedule { kind: BetaKind::Linear, start: 0.0001, end: 0.02, steps: 1000 };
    for (name, betas) in [("scaled_linear", BetaSchedule::STABLE_DIFFUSION), ("linear", linear)] {
        let ours = SigmaTable::new(&betas).unwrap().sigmas;
        let theirs: Vec<f64> = golden
            .f32s(&format!("table.{name}.alphas_cumprod"))
            .into_iter()
            .map(|a| ((1.0 - f64::from(a)) / f64::from(a)).sqrt())
            .collect();
        let worst = worst_relative(&ours, &theirs);
        assert!(worst <= 1e-6, "{name}: sigma is off by {worst:e} relative");
    }
}

#[test]
fn published_ends_of_stable_diffusion() {
    let table = table();
    assert!((table.min() - 0.0292).abs() < 5e-5, "sigma_min is {}", table.min());
    assert!((table.max() - 14.6146).abs() < 5e-5, "sigma_max is {}", table.max());
}

#[test]
fn converts_as_k_diffusion_does() {
    let (golden, table) = (Golden::solvers(), table());
    let sigmas = golden.f64s("probe.sigmas");
    for (sigma, expected) in sigmas.into_iter().zip(golden.f64s("probe.sigma_to_t")) {
        let t = table.sigma_to_t(sigma);
        assert!((t - expected).abs() < 1e-3, "sigma {sigma}: timestep {t}, k-diffusion {expected}");
    }
    let ts: Vec<f64> = golden.f64s("probe.t");
    let ours: Vec<f64> = ts.iter().map(|&t| table.t_to_sigma(t)).collect();
    let worst = worst_relative(&ours, &golden.f64s("probe.t_to_sigma"));
    assert!(worst <= 1e-6, "t_to_sigma is off by {worst:e} relative");
}

#[test]
fn conversions_are_inverse_and_clamped() {
    let table = table();
    for i in 0..=9990 {
        let t = f64::from(i) / 10.0;
        let back = table.sigma_to_t(table.t_to_sigma(t));
        assert!((back - t).abs() < 1e-8, "{t} came back as {back}");
    }
    assert_eq!(table.sigma_to_t(1e-6), 0.0, "below the table is its first timestep");
    assert_eq!(table.sigma_to_t(1e6), 999.0, "above the table is its last timestep");
    assert!((table.t_to_sigma(2000.0) / table.max() - 1.0).abs() < 1e-12, "t is clamped to the table");
}

#[test]
fn refuses_unusable_betas() {
    let good = BetaSchedule::STABLE_DIFFUSION;
    let error = |betas| SigmaTable::new(&betas).unwrap_err().to_string();
    assert_eq!(
        error(BetaSchedule { steps: 1, ..good }),
        "a noise schedule needs at least 2 training timesteps, not 1"
    );
    for (start, end) in [(0.0, 0.012), (0.1, 0.01), (0.1, 1.0), (f64::NAN, 0.01)] {
        assert_eq!(
            error(BetaSchedule { start, end, ..good }),
            format!("betas must satisfy 0 < beta_start <= beta_end < 1, not {start} and {end}")
        );
    }
    assert_eq!(
        error(BetaSchedule { start: 0.9, end: 0.99, ..good }),
        "the noise level at training timestep 44 is inf, not finite and above the one before"
    );
    assert!(
        error(BetaSchedule { start: 1e-12, ..good })
            .starts_with("the noise level at training timestep 0 is 0")
    );
}
