//! Any order of arrival gives the bits of stepping the whole canvas behind a barrier.

use proptest::prelude::*;
use tessera_proto::{
    Rect,
    job::{Choice, Rng, Sampler, Schedule, TileGrid},
};

use super::*;
use crate::{
    canvas::{Axis, AxisRequest, Blend, Grid, WeightKind},
    sample::{BetaSchedule, Prediction, Settings, SigmaTable, Start},
};

const CHANNELS: usize = 2;

fn plan(sampler: Sampler, (width, height): (u32, u32), batch: usize) -> PassPlan {
    let table = SigmaTable::new(&BetaSchedule::STABLE_DIFFUSION).unwrap();
    let settings = Settings {
        sampler,
        schedule: Schedule::Karras,
        steps: 4,
        prediction: Prediction::Epsilon,
        start: Start::Whole,
    };
    let axis = |length| {
        Axis::new(TileGrid::Spread, AxisRequest { length, tile: 8, overlap: 3, multiple: 4 }).unwrap()
    };
    let grid = Grid::new(axis(width), axis(height)).unwrap();
    PassPlan {
        sampling: Arc::new(Sampling::new(&settings, &table).unwrap()),
        tiling: Arc::new(Tiling::new(grid, WeightKind::Gaussian)),
        batch,
        channels: CHANNELS,
        barrier: false,
    }
}

/// A network that looks at each value's neighbour, so that what lies in a tile matters.
fn network(tiles: &[f32], timestep: f64) -> Vec<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "a made-up network needs no precision")]
    let t = timestep as f32 / 1000.0;
    let around = tiles.iter().skip(1).chain(tiles.first());
    tiles.iter().zip(around).map(|(a, b)| 0.4 * a + 0.3 * b + t).collect()
}

fn start(plan: &PassPlan) -> (Vec<f32>, NoiseSource) {
    let mut noise = NoiseSource::new(Rng::Cpu, 7);
    let mut x = noise.draw(plan.values());
    plan.sampling.start_from_noise(&mut x);
    (x, noise)
}

/// The same pass with a barrier after every call, straight from the definition.
fn behind_a_barrier(plan: &PassPlan) -> Vec<f32> {
    let (mut x, mut noise) = start(plan);
    let (grid, cells) = (plan.tiling.grid(), plan.tiling.cells());
    let (width, height) = (grid.canvas().0 as usize, grid.canvas().1 as usize);
    let mut registers = [vec![0.0; x.len()], vec![0.0; x.len()]];
    for (index, call) in plan.sampling.calls().iter().enumerate() {
        let outputs: Vec<Vec<f32>> = grid
            .tiles()
            .iter()
            .map(|&rect| {
                let mut tile = vec![0.0; plan.tiling.tile_len(CHANNELS)];
                crop(Planes::new([CHANNELS, height, width], &x).unwrap(), rect, grid.padded(), &mut tile)
                    .unwrap();
                network(&tile, call.timestep)
            })
            .collect();
        let mut prediction = vec![0.0; x.len()];
        let mut blend = Blend::new(&plan.tiling, CHANNELS);
        for cell in cells.indices() {
            let tiles: Vec<&[f32]> = cells.tiles(cell).map(|tile| outputs[tile.get()].as_slice()).collect();
            let paint = |row: crate::canvas::blend::Row, values: &[f32]| {
                let at = (row.channel * height + row.y as usize) * width + row.x0 as usize;
                prediction[at..][..values.len()].copy_from_slice(values);
            };
            blend.rows(cell, &tiles, paint).unwrap();
        }
        let drawn = call.noise_draw.map(|_| noise.draw(x.len()));
        let [first, second] = &mut registers;
        let lane = crate::sample::Lane {
            x: &mut x,
            prediction: &prediction,
            registers: [first, second],
            noise: drawn.as_deref(),
        };
        plan.sampling.advance(index, lane);
    }
    plan.sampling.finish(&mut x);
    x
}

/// Runs the pass with results arriving in the order that `pick` chooses.
fn in_any_order(plan: &PassPlan, pick: impl FnMut(usize) -> usize) -> Vec<f32> {
    with_breaks(plan, pick, |_| false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_order_of_arrival_gives_the_same_bits(
        sampler in proptest::sample::select(Sampler::ALL),
        size in (5_u32..30, 5_u32..30),
        batch in 1_usize..4,
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let plan = plan(sampler, size, batch);
        let mut picks = picks.iter().cycle();
        let ours = in_any_order(&plan, |length| picks.next().unwrap().index(length));
        let barrier = behind_a_barrier(&plan);
        prop_assert!(ours.iter().zip(&barrier).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

/// The same, set down after each result whose number `stop` names and taken up again.
fn with_breaks(
    plan: &PassPlan,
    mut pick: impl FnMut(usize) -> usize,
    mut stop: impl FnMut(usize) -> bool,
) -> Vec<f32> {
    let (x, noise) = start(plan);
    let (mut pass, mut ready) = Pass::new(plan.clone(), x, noise);
    let mut results = 0;
    while !ready.is_empty() {
        let group = ready.swap_remove(pick(ready.len()));
        let tiles = pass.tiles(group).unwrap();
        let (_, call) = pass.call(group);
        let length = plan.tiling.tile_len(CHANNELS);
        let batch = tiles.data().chunks(length).flat_map(|tile| network(tile, call.timestep));
        ready.extend(pass.complete(group, &Tensor::new(tiles.shape(), batch.collect()).unwrap()).unwrap());
        results += 1;
        if stop(results) && !pass.is_done() {
            let rest = pass.rest();
            let (_, noise) = start(plan);
            let mut before = std::mem::take(&mut ready);
            (pass, ready) = Pass::resume(plan.clone(), rest.clone(), noise).unwrap();
            assert_eq!(pass.rest(), rest, "nothing is lost");
            before.sort_unstable();
            assert_eq!(ready, before, "the groups that may be sent are those that might before");
            assert_eq!(pass.completed(), results);
        }
    }
    assert!(pass.is_done(), "nothing is ready, but the pass is not done");
    pass.into_latent()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_pass_that_is_taken_up_again_ends_with_the_same_bits(
        sampler in proptest::sample::select(Sampler::ALL),
        size in (5_u32..30, 5_u32..30),
        batch in 1_usize..4,
        barrier in any::<bool>(),
        every in 1_usize..9,
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let plan = PassPlan { barrier, ..plan(sampler, size, batch) };
        let mut picks = picks.iter().cycle();
        let ours = with_breaks(&plan, |length| picks.next().unwrap().index(length), |results| results % every == 0);
        let whole = behind_a_barrier(&plan);
        prop_assert!(ours.iter().zip(&whole).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

#[test]
fn what_is_no_pass_of_this_plan_is_not_taken_up() {
    let plan = plan(Sampler::Heun, (34, 8), 1);
    let (x, noise) = start(&plan);
    let (mut pass, _) = Pass::new(plan.clone(), x, noise);
    let tiles = pass.tiles(GroupIndex(0)).unwrap();
    pass.complete(GroupIndex(0), &Tensor::new(tiles.shape(), tiles.data().to_vec()).unwrap()).unwrap();
    let rest = pass.rest();
    let changes: [fn(&mut PassRest); 6] = [
        |rest| rest.x.truncate(9),
        |rest| rest.registers.clear(),
        |rest| rest.held.clear(),
        |rest| rest.held[0].0 = 1,
        |rest| rest.results[0] = 2,
        |rest| rest.results[1] = u32::MAX,
    ];
    for change in changes {
        let mut rest = rest.clone();
        change(&mut rest);
        let error = Pass::resume(plan.clone(), rest, start(&plan).1).unwrap_err();
        assert_eq!(error.to_string(), "the checkpoint does not fit the job");
    }
    assert!(Pass::resume(plan.clone(), rest, start(&plan).1).is_ok(), "unchanged it is");
}

#[test]
fn a_tile_waits_for_its_neighbours_and_for_nobody_else() {
    let plan = plan(Sampler::Euler, (34, 8), 1);
    let tiles = plan.tiling.grid().tiles().len();
    assert!(6 <= tiles, "a row of tiles, each sharing cells with the next");
    let (x, noise) = start(&plan);
    let (mut pass, ready) = Pass::new(plan.clone(), x, noise);
    assert_eq!(ready.len(), tiles);
    let output = |pass: &Pass, group| {
        let tiles = pass.tiles(group).unwrap();
        Tensor::new(tiles.shape(), network(tiles.data(), 0.0)).unwrap()
    };
    let (first, second, third) = (GroupIndex(0), GroupIndex(1), GroupIndex(2));
    let result = output(&pass, first);
    assert_eq!(pass.complete(first, &result).unwrap(), []);
    let result = output(&pass, second);
    assert_eq!(pass.complete(second, &result).unwrap(), [first], "its only neighbour is there");
    assert_eq!((pass.call(first).0, pass.call(third).0), (1, 0), "it is a call ahead of the far end");
}

#[test]
fn a_result_of_another_size_is_refused() {
    let plan = plan(Sampler::Euler, (16, 16), 1);
    let (x, noise) = start(&plan);
    let (mut pass, _) = Pass::new(plan, x, noise);
    let error = pass.complete(GroupIndex(0), &Tensor::zeros([1, CHANNELS, 8, 7]).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "a network returned 112 values where 128 were expected");
}

#[test]
fn tiles_of_one_axis_cover_it() {
    let plan = plan(Sampler::Euler, (9, 30), 2);
    let grid = plan.tiling.grid();
    let whole = Rect::new(0, 0, 9, 30).unwrap();
    assert!(grid.tiles().iter().all(|&tile| whole.contains(tile)));
    assert_eq!(plan.groups(), grid.tiles().len().div_ceil(2));
}
