use proptest::prelude::*;
use tessera_proto::job::{Choice, Rng};

use super::*;
use crate::sample::golden::{Golden, worst};
use crate::sample::{BetaSchedule, NoiseSource};

/// Elements of the golden canvases, 1x4x8x8.
const LEN: usize = 256;
const PREDICTIONS: [(Prediction, &str); 2] = [(Prediction::Epsilon, "epsilon"), (Prediction::V, "v")];
const MODES: [(StrengthSteps, &str); 2] =
    [(StrengthSteps::A1111, "a1111"), (StrengthSteps::Diffusers, "diffusers")];

fn table() -> SigmaTable {
    SigmaTable::new(&BetaSchedule::STABLE_DIFFUSION).unwrap()
}

fn settings(sampler: Sampler, schedule: Schedule, steps: usize) -> Settings {
    Settings { sampler, schedule, steps, prediction: Prediction::Epsilon, start: Start::Whole }
}

/// A canvas in the middle of a run.
#[derive(Clone, PartialEq, Debug)]
struct Canvas {
    x: Vec<f32>,
    registers: Vec<Vec<f32>>,
}

impl Canvas {
    fn new(x: Vec<f32>, sampling: &Sampling) -> Self {
        let registers = vec![vec![0.0; x.len()]; sampling.registers()];
        Self { x, registers }
    }

    /// Advances elements `from..to`.
    fn advance(
        &mut self,
        sampling: &Sampling,
        call: usize,
        (from, to): (usize, usize),
        given: (&[f32], Option<&[f32]>),
    ) {
        let mut registers = self.registers.iter_mut().map(|register| &mut register[from..to]);
        let lane = Lane {
            x: &mut self.x[from..to],
            prediction: &given.0[from..to],
            registers: std::array::from_fn(|_| registers.next().unwrap_or_default()),
            noise: given.1.map(|noise| &noise[from..to]),
        };
        sampling.advance(call, lane);
    }
}

/// The network of `solvers.py`: elementwise, in f32.
fn fake_network(x: &[f32], call: &ModelCall) -> Vec<f32> {
    let t = single(call.timestep);
    let output = |(i, x): (usize, &f32)| 0.8 * (x * call.c_in) + 0.1 * (0.37 * i as f32 + 0.01 * t).sin();
    x.iter().enumerate().map(output).collect()
}

/// Noise of one call from a tape of whole-canvas draws.
fn on_tape<'a>(tape: &'a [f32], call: &ModelCall) -> Option<&'a [f32]> {
    call.noise_draw.map(|draw| &tape[draw * LEN..][..LEN])
}

/// Runs all calls with the fake network; x after every step, finished at the end.
fn run(sampling: &Sampling, x: Vec<f32>, tape: &[f32]) -> Vec<Vec<f32>> {
    let mut canvas = Canvas::new(x, sampling);
    let mut after: Vec<Vec<f32>> = Vec::new();
    for (number, call) in sampling.calls().iter().enumerate() {
        let output = fake_network(&canvas.x, call);
        canvas.advance(sampling, number, (0, LEN), (&output, on_tape(tape, call)));
        after.truncate(call.step);
        after.push(canvas.x.clone());
    }
    sampling.finish(after.last_mut().unwrap());
    after
}

/// Each step alone: x, up to 45 in size, is put back to the golden value before every call. The levels are
/// exponential ones, which k-diffusion's f32 rounds least, so that what is compared is the step and not its
/// levels.
#[test]
fn one_step_on_random_tensors() {
    let (golden, table) = (Golden::solvers(), table());
    let (outputs, tape) = (golden.f32s("step.outputs"), golden.f32s("tape"));
    for &sampler in Sampler::ALL {
        for (prediction, name) in PREDICTIONS {
            let settings = Settings { prediction, ..settings(sampler, Schedule::Exponential, 4) };
            let sampling = Sampling::new(&settings, &table).unwrap();
            let states = golden.f32s(&format!("step.{}.{name}.x", sampler.name()));
            assert_eq!(
                states.len(),
                (sampling.calls().len() + 1) * LEN,
                "{sampler:?}: one state a call, and the last"
            );
            let mut canvas = Canvas::new(vec![0.0; LEN], &sampling);
            for (number, call) in sampling.calls().iter().enumerate() {
                canvas.x.copy_from_slice(&states[number * LEN..][..LEN]);
                canvas.advance(
                    &sampling,
                    number,
                    (0, LEN),
                    (&outputs[number * LEN..][..LEN], on_tape(&tape, call)),
                );
                let off = worst(&canvas.x, &states[(number + 1) * LEN..][..LEN]);
                assert!(off <= 1e-5, "{sampler:?} {name}, call {number}: off by {off:e}");
            }
            if sampler == Sampler::Ddim {
                sampling.finish(&mut canvas.x);
                let off = worst(&canvas.x, &golden.f32s(&format!("step.ddim.{name}.final")));
                assert!(off <= 1e-5, "ddim {name}, finished: off by {off:e}");
            }
        }
    }
}

/// 20 steps of every sampler, schedule and prediction; base noise and ancestral noise from our own generator.
#[test]
fn whole_trajectories() {
    let (golden, table) = (Golden::solvers(), table());
    for &sampler in Sampler::ALL {
        for &schedule in Schedule::ALL {
            for (prediction, name) in PREDICTIONS {
                let settings = Settings { prediction, ..settings(sampler, schedule, 20) };
                let sampling = Sampling::new(&settings, &table).unwrap();
                let mut source = NoiseSource::new(Rng::Cpu, 7);
                let mut x = source.draw(LEN);
                sampling.start_from_noise(&mut x);
                let tape: Vec<f32> = (0..sampling.noise_draws()).flat_map(|_| source.draw(LEN)).collect();
                let after = run(&sampling, x, &tape);
                let spread = if sampler == Sampler::Ddim { "own" } else { schedule.name() };
                let theirs = golden.f32s(&format!("run.{}.{spread}.{name}", sampler.name()));
                for (kept, step) in [5, 10, 15, 20].into_iter().enumerate() {
                    let off = worst(&after[step - 1], &theirs[kept * LEN..][..LEN]);
                    assert!(off <= 1e-4, "{sampler:?} {spread} {name}, after {step} steps: off by {off:e}");
                }
            }
        }
    }
}

#[test]
fn ancestral_noise_continues_the_generator() {
    let golden = Golden::solvers();
    let mut source = NoiseSource::new(Rng::Cpu, 7);
    let first = worst(&source.draw(LEN), &golden.f32s("base_noise"));
    let tape: Vec<f32> = (0..19).flat_map(|_| source.draw(LEN)).collect();
    let later = worst(&tape, &golden.f32s("tape"));
    assert!(first <= 1e-6 && later <= 1e-6, "base noise off by {first:e}, later draws by {later:e}");
}

#[test]
fn second_passes() {
    let (golden, table) = (Golden::solvers(), table());
    let [latent, noise, tape] = ["latent", "noise", "tape"].map(|name| golden.f32s(name));
    for &sampler in Sampler::ALL {
        for (steps, mode) in MODES {
            let start = Start::Strength { denoise: 0.4, steps };
            let sampling =
                Sampling::new(&Settings { start, ..settings(sampler, Schedule::Karras, 20) }, &table)
                    .unwrap();
            assert_eq!(
                sampling.steps(),
                if steps == StrengthSteps::A1111 { 20 } else { 8 },
                "{sampler:?} {mode}"
            );
            let x = sampling.start_from_latent(&latent, &noise);
            let key = format!("hires.{mode}.{}", sampler.name());
            let off = worst(&x, &golden.f32s(&format!("{key}.start")));
            assert!(off <= 1e-5, "{key}: start off by {off:e}");
            let off = worst(run(&sampling, x, &tape).last().unwrap(), &golden.f32s(&format!("{key}.final")));
            assert!(off <= 1e-4, "{key}: end off by {off:e}");
        }
    }
}

#[test]
fn calls_of_each_sampler() {
    let table = table();
    for &sampler in Sampler::ALL {
        let sampling = Sampling::new(&settings(sampler, Schedule::Normal, 3), &table).unwrap();
        let steps: Vec<usize> = sampling.calls().iter().map(|call| call.step).collect();
        let draws: Vec<_> = sampling.calls().iter().map(|call| call.noise_draw).collect();
        let expected = match sampler {
            Sampler::Heun => (vec![0, 0, 1, 1, 2], vec![None; 5], 2),
            Sampler::EulerA => (vec![0, 1, 2], vec![Some(0), Some(1), None], 0),
            Sampler::DpmPp2M => (vec![0, 1, 2], vec![None; 3], 1),
            Sampler::Euler | Sampler::Ddim => (vec![0, 1, 2], vec![None; 3], 0),
        };
        assert_eq!((steps, draws, sampling.registers()), expected, "{sampler:?}");
        assert_eq!(sampling.steps(), 3, "{sampler:?}");
        assert!(sampling.registers() <= MAX_REGISTERS, "{sampler:?} fits a lane");
    }
    let ddim = Sampling::new(&settings(Sampler::Ddim, Schedule::Normal, 3), &table).unwrap();
    let timesteps: Vec<f64> = ddim.calls().iter().map(|call| call.timestep).collect();
    assert_eq!(timesteps, [667.0, 334.0, 1.0], "ddim tells the network whole timesteps");
}

#[test]
fn one_step_ends_at_the_denoised_latent() {
    let table = table();
    for &sampler in Sampler::ALL {
        let sampling = Sampling::new(&settings(sampler, Schedule::Karras, 1), &table).unwrap();
        let sigma = single(sampling.calls()[0].sigma);
        let (latent, noise) = (0.5, -0.25);
        let mut canvas = Canvas::new(sampling.start_from_latent(&[latent], &[noise]), &sampling);
        canvas.advance(&sampling, 0, (0, 1), (&[noise], None));
        let left = if sampler == Sampler::Ddim { single(table.min()) * noise } else { 0.0 };
        assert!((canvas.x[0] - latent - left).abs() < 1e-5, "{sampler:?} from {sigma}: {}", canvas.x[0]);
    }
}

#[test]
fn refuses_settings_that_run_nothing() {
    let table = table();
    let error = |settings| Sampling::new(&settings, &table).unwrap_err().to_string();
    let weak = |sampler, denoise, steps| Settings {
        start: Start::Strength { denoise, steps },
        ..settings(sampler, Schedule::Karras, 20)
    };
    assert_eq!(error(settings(Sampler::Euler, Schedule::Karras, 0)), "sampling needs at least 1 step, not 0");
    assert!(error(weak(Sampler::Euler, 0.01, StrengthSteps::Diffusers)).contains("leaves 0 steps to run"));
    assert!(error(weak(Sampler::Euler, 1.5, StrengthSteps::A1111)).ends_with("at most 1, not 1.5"));
    assert!(error(weak(Sampler::Ddim, 0.01, StrengthSteps::A1111)).contains("a schedule of 2000 steps"));
    let euler = Sampling::new(&weak(Sampler::Euler, 0.01, StrengthSteps::A1111), &table).unwrap();
    assert_eq!(euler.steps(), 20, "schedules between timesteps may be longer than the table");
}

#[test]
#[should_panic(expected = "noise covers the row")]
fn missing_noise_is_a_defect_of_the_caller() {
    let sampling = Sampling::new(&settings(Sampler::EulerA, Schedule::Karras, 4), &table()).unwrap();
    Canvas::new(vec![0.0; 8], &sampling).advance(&sampling, 0, (0, 8), (&[0.0; 8], None));
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let samplers = prop::sample::select(Sampler::ALL.to_vec());
    let schedules = prop::sample::select(Schedule::ALL.to_vec());
    let predictions = prop::sample::select(vec![Prediction::Epsilon, Prediction::V]);
    let start = prop_oneof![
        Just(Start::Whole),
        (0.2..=1.0).prop_map(|denoise| Start::Strength { denoise, steps: StrengthSteps::A1111 }),
    ];
    (samplers, schedules, 1_usize..6, predictions, start).prop_map(
        |(sampler, schedule, steps, prediction, start)| Settings {
            sampler,
            schedule,
            steps,
            prediction,
            start,
        },
    )
}

proptest! {
    /// A canvas cut anyhow, its pieces run to the end one after the other, against the whole canvas call by
    /// call.
    #[test]
    fn cuts_do_not_change_a_bit(
        settings in any_settings(),
        cuts in prop::collection::btree_set(1_usize..97, 0..8),
        seed in any::<u32>(),
    ) {
        const LENGTH: usize = 97;
        let sampling = Sampling::new(&settings, &table()).unwrap();
        let mut source = NoiseSource::new(Rng::Nv, u64::from(seed));
        let start = source.draw(LENGTH);
        let outputs: Vec<_> = sampling.calls().iter().map(|_| source.draw(LENGTH)).collect();
        let noises: Vec<_> = sampling.calls().iter().map(|_| source.draw(LENGTH)).collect();
        let given = |call: usize| (outputs[call].as_slice(), Some(noises[call].as_slice()));

        let mut whole = Canvas::new(start.clone(), &sampling);
        for call in 0..sampling.calls().len() {
            whole.advance(&sampling, call, (0, LENGTH), given(call));
        }
        let mut pieces = Canvas::new(start, &sampling);
        let ends: Vec<usize> = cuts.into_iter().chain([LENGTH]).collect();
        for (piece, &to) in ends.iter().enumerate() {
            let from = if piece == 0 { 0 } else { ends[piece - 1] };
            for call in 0..sampling.calls().len() {
                pieces.advance(&sampling, call, (from, to), given(call));
            }
        }
        let bits = |canvas: &Canvas| -> Vec<u32> {
            canvas.x.iter().chain(canvas.registers.iter().flatten()).map(|value| value.to_bits()).collect()
        };
        prop_assert_eq!(bits(&whole), bits(&pieces));
        prop_assert!(whole.x.iter().all(|value| value.is_finite()));
    }
}
