//! Times of whole plans, what limits them and what would make them shorter.

use std::time::Duration;

use tessera_proto::{
    JobSpec, Kind, ModelFacts, Speed,
    job::{Draft, Size, Target},
};

use super::*;
use crate::render::Given;

fn plan(change: impl FnOnce(&mut Draft)) -> Plan {
    let mut draft = Draft::text_to_image("a cat");
    change(&mut draft);
    Plan::new(&JobSpec::new(draft).unwrap(), &ModelFacts::simulated(), None).unwrap()
}

fn devices(plan: &Plan, ms: &[u64]) -> Vec<Device> {
    let class = tile_call(plan).unwrap();
    (1..).zip(ms).map(|(number, &ms)| Device::of(number, class, Duration::from_millis(ms))).collect()
}

fn forecast(plan: &Plan, ms: &[u64]) -> Forecast {
    Forecast::new(plan, &devices(plan, ms), Instant::now())
}

fn time(forecast: &Forecast, stage: Stage) -> Option<&StageTime> {
    forecast.stages.iter().find(|other| other.stage == stage)?.time.as_ref()
}

fn advice(plan: &Plan, devices: &[Device]) -> Option<Advice> {
    advise(plan, Given::Nothing, Open { tile: true, batch: true }, (devices, Instant::now()))
}

#[test]
fn more_devices_than_tiles_wait_and_it_is_said() {
    let forecast = forecast(&plan(|_| ()), &[86; 5]);
    let hires = time(&forecast, Stage::Hires).unwrap();
    assert_eq!(hires.limit, "4 tiles on 5 devices: 1 waits");
    assert!((hires.seconds - 20.0 * 0.086).abs() < 0.01, "{} s", hires.seconds);
    assert!((hires.busy_share - 0.8).abs() < 0.01, "{hires:?}");
    assert_eq!(hires.basis, Basis::Measured);
    // 64 x 64 latent px in place of 96 x 96, call after call.
    let base = time(&forecast, Stage::Base).unwrap();
    assert_eq!((base.basis, base.limit.as_str()), (Basis::Scaled, "1 tile on 5 devices: 4 wait"));
    assert!((base.seconds - 20.0 * 0.086 / 2.25).abs() < 0.01, "{} s", base.seconds);
}

#[test]
fn what_was_never_measured_has_no_time_and_it_is_said() {
    let plan = plan(|_| ());
    let partly = forecast(&plan, &[86]);
    assert_eq!((time(&partly, Stage::Decode), partly.seconds), (None, None));
    let text = partly.to_string();
    assert!(text.contains("not measured on any device yet"), "{text}");
    assert!(text.contains("the time of all stages is not known") && text.contains("~"), "{text}");
    let stranger = Device { name: "a".into(), device: "cuda:0".into(), speeds: Vec::new() };
    let nothing = Forecast::new(&plan, &[stranger], Instant::now());
    assert_eq!(nothing.to_string(), "time: nothing was measured of this model on any device yet");
}

#[test]
fn a_device_that_would_hold_others_up_gets_nothing() {
    let forecast = forecast(&plan(|job| job.steps = 4), &[10, 10, 10, 10, 5000]);
    let hires = time(&forecast, Stage::Hires).unwrap();
    assert_eq!(hires.devices[4].tasks, 0, "{hires:?}");
    assert!(
        forecast
            .to_string()
            .contains("device 5 (5000 ms): 5000.0 ms a call, 0.00 a step, busy 0 %: others end")
    );
}

#[test]
fn a_long_pass_is_played_in_part() {
    let plan = plan(|job| {
        (job.base, job.target) = (Some(Size { width: 1024, height: 1024 }), Target::Scale(8.0));
        (job.steps, job.hires_steps) = (2, Some(150));
    });
    let forecast = forecast(&plan, &[50; 8]);
    let hires = time(&forecast, Stage::Hires).unwrap();
    let ideal = 196.0 * 150.0 * 0.05 / 8.0;
    assert!((hires.seconds / ideal - 1.0).abs() < 0.01, "{} s, ideal {ideal} s", hires.seconds);
    let tasks: usize = hires.devices.iter().map(|device| device.tasks).sum();
    assert!(tasks.abs_diff(196 * 150) < 8, "{tasks} tasks");
}

#[test]
fn other_tiles_are_advised_where_devices_would_wait() {
    let plan = plan(|_| ());
    let advised = advice(&plan, &devices(&plan, &[86; 8])).unwrap();
    assert!(advised.flags.starts_with("--tile ") && advised.flags.ends_with(" --overlap 24"), "{advised:?}");
    assert_eq!((advised.changes, advised.basis), (Change::Picture, Basis::Scaled));
    assert!(advised.seconds < 0.8 * advised.instead_of_s && 4 < advised.tiles, "{advised:?}");
    let open = Open { tile: false, batch: true };
    let fixed = advise(&plan, Given::Nothing, open, (&devices(&plan, &[86; 8]), Instant::now()));
    assert_eq!(fixed, None, "what the user has said stays, and no batch was measured");
}

#[test]
fn a_batch_is_advised_where_it_was_measured_to_pay() {
    let plan = plan(|job| job.target = Target::Scale(4.0));
    let mut one = devices(&plan, &[86]);
    let class = tile_call(&plan).unwrap();
    let batch = Class { shape: [4, 4, 96, 96], ..class };
    one[0].speeds.push(Speed { class: batch, took: Duration::from_millis(150) });
    let open = Open { tile: false, batch: true };
    let advised = advise(&plan, Given::Nothing, open, (&one, Instant::now())).unwrap();
    assert_eq!((advised.flags.as_str(), advised.changes), ("--tile-batch 4", Change::LastBits));
    assert_eq!(class.kind, Kind::Denoise);
    one[0].speeds[1].took = Duration::from_millis(400);
    assert_eq!(advise(&plan, Given::Nothing, open, (&one, Instant::now())), None);
}
