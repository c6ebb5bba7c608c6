//! What a forecast says, against what the simulated cluster takes.

use std::time::{Duration, Instant};

use tessera_coordinator::{
    forecast::{self, Forecast},
    render::{Given, Plan},
};
use tessera_proto::{
    JobSpec, ModelFacts, Stage,
    job::{Draft, Size, StrengthSteps, Target},
};

use crate::{
    CALLS,
    cluster::{Cluster, Weather},
    devices,
    picture::{Picture, plan},
};

/// How far a forecast may lie from the time that passes, as a share. Messages, which take 0.8 ms a call, are not in it.
const TOLERANCE: f64 = 0.02;

/// The hires pass of `side` x `side` tiles, foretold, s.
fn foretold(side: u32, ms: &[f64], barrier: bool) -> f64 {
    let target = 8 * (24 * side + 8);
    let spec = JobSpec::new(Draft {
        base: Some(Size { width: 64, height: 64 }),
        target: Target::Size(Size { width: target, height: target }),
        steps: 1,
        hires_steps: Some(CALLS),
        denoising_strength: 1.0,
        strength_steps: StrengthSteps::Diffusers,
        tile: Some(Size { width: 32, height: 32 }),
        overlap: Some(8),
        barrier,
        ..Draft::text_to_image("tiles")
    });
    let plan = Plan::new(&spec.unwrap(), &ModelFacts::simulated(), Given::Nothing).unwrap();
    let class = forecast::tile_call(&plan).unwrap();
    let device = |ms: &f64| forecast::Device::of(1, class, Duration::from_secs_f64(ms / 1e3));
    let devices: Vec<_> = ms.iter().map(device).collect();
    let forecast = Forecast::new(&plan, &devices, Instant::now());
    let hires = forecast.stages.iter().find(|stage| stage.stage == Stage::Hires).unwrap();
    hires.time.as_ref().unwrap().seconds
}

fn taken(side: u32, ms: &[f64], barrier: bool) -> f64 {
    let mut cluster = Cluster::new(&devices(ms), Weather::default());
    cluster
        .submit(Picture::new(1, plan(side, CALLS, barrier)), tessera_coordinator::fleet::Standing::default());
    cluster.finish() / 1e3
}

#[test]
fn a_forecast_is_what_happens() {
    let cases: [(u32, &[f64]); 5] = [
        (5, &[86.0; 8]),
        (3, &[86.0; 4]),
        (5, &[47.0, 86.0, 86.0, 265.0, 265.0]),
        (3, &[47.0, 265.0]),
        (11, &[50.0; 64]),
    ];
    for (side, ms) in cases {
        for barrier in [false, true] {
            let (foretold, taken) = (foretold(side, ms, barrier), taken(side, ms, barrier));
            let way = if barrier { "behind a barrier" } else { "in dataflow" };
            println!(
                "{side}x{side} tiles, {} devices, {way}: foretold {foretold:.2} s, taken {taken:.2} s",
                ms.len()
            );
            assert!(
                (foretold / taken - 1.0).abs() < TOLERANCE,
                "{side}x{side} tiles {way}: {foretold} s, {taken} s"
            );
        }
    }
}
