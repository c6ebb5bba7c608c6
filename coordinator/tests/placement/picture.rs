//! A job of the simulation: a grid of tiles in; groups that are ready, and at last the latent's bits, out.

use std::{collections::HashMap, sync::Arc};

use tessera_coordinator::{
    canvas::{Axis, AxisRequest, Grid, Tiling, WeightKind},
    fleet::{Class, Kind, Need, Priority, TaskName, TaskNumber},
    render::pass::{GroupIndex, Pass, PassPlan},
    sample::{BetaSchedule, NoiseSource, Prediction, Sampling, Settings, SigmaTable, Start},
};
use tessera_proto::{
    JobId, ModelFacts, Tensor,
    job::{Rng, Sampler, Schedule, TileGrid},
};

const CHANNELS: usize = 1;

/// A pass under way.
pub(crate) struct Picture {
    pub(crate) id: JobId,
    pass: Option<Pass>,
    open: HashMap<TaskNumber, GroupIndex>,
    next: u64,
    /// Calls that each tile has done.
    done: Vec<usize>,
    /// Bits of the finished latent.
    pub(crate) latent: Option<Vec<u32>>,
}

/// A grid of `side` x `side` tiles, `calls` model calls each.
pub(crate) fn plan(side: u32, calls: u32, barrier: bool) -> PassPlan {
    let table = SigmaTable::new(&BetaSchedule::STABLE_DIFFUSION).unwrap();
    let settings = Settings {
        sampler: Sampler::EulerA,
        schedule: Schedule::Karras,
        steps: calls as usize,
        prediction: Prediction::Epsilon,
        start: Start::Whole,
    };
    let request = AxisRequest { length: 8 + 5 * (side - 1), tile: 8, overlap: 3, multiple: 1 };
    let axis = || Axis::new(TileGrid::Spread, request).unwrap();
    let grid = Grid::new(axis(), axis()).unwrap();
    assert_eq!(grid.tiles().len(), (side * side) as usize);
    PassPlan {
        sampling: Arc::new(Sampling::new(&settings, &table).unwrap()),
        tiling: Arc::new(Tiling::new(grid, WeightKind::Uniform)),
        batch: 1,
        channels: CHANNELS,
        barrier,
    }
}

impl Picture {
    /// Begins; returns the tasks that may be run.
    pub(crate) fn new(id: u64, plan: PassPlan) -> (Self, Vec<Need>) {
        let mut noise = NoiseSource::new(Rng::Cpu, id);
        let mut x = noise.draw(plan.values());
        plan.sampling.start_from_noise(&mut x);
        let tiles = plan.tiling.grid().tiles().len();
        let (pass, ready) = Pass::new(plan, x, noise);
        let mut picture = Self {
            id: JobId::new(id),
            pass: Some(pass),
            open: HashMap::new(),
            next: 0,
            done: vec![0; tiles],
            latent: None,
        };
        let needs = picture.needs(&ready);
        (picture, needs)
    }

    /// What a task's network returns. It looks at each value's neighbour, so that what lies in a tile matters.
    pub(crate) fn run(&self, task: TaskNumber) -> Option<Tensor> {
        let (pass, &group) = (self.pass.as_ref()?, self.open.get(&task)?);
        let (call, model_call) = pass.call(group);
        self.assert_ready(group, call);
        let tiles = pass.tiles(group).unwrap();
        #[expect(clippy::cast_possible_truncation, reason = "a made-up network needs no precision")]
        let t = model_call.timestep as f32 / 1000.0;
        let around = tiles.data().iter().skip(1).chain(tiles.data().first());
        let values = tiles.data().iter().zip(around).map(|(a, b)| 0.4 * a + 0.3 * b + t).collect();
        Some(Tensor::new(tiles.shape(), values).unwrap())
    }

    /// Takes a result that counts; returns the tasks that may be run now.
    pub(crate) fn complete(&mut self, task: TaskNumber, output: &Tensor) -> Vec<Need> {
        let Some(pass) = &mut self.pass else { return Vec::new() };
        let group = self.open.remove(&task).expect("a result counts once");
        self.done[group.0 as usize] += 1;
        let ready = pass.complete(group, output).unwrap();
        if pass.is_done() {
            let latent = self.pass.take().unwrap().into_latent();
            self.latent = Some(latent.into_iter().map(f32::to_bits).collect());
        }
        self.needs(&ready)
    }

    /// It is over, finished or not.
    pub(crate) fn cancel(&mut self) {
        self.pass = None;
    }

    /// Whether nothing more will come.
    pub(crate) fn is_over(&self) -> bool {
        self.pass.is_none()
    }

    /// Straight from the rectangles: all tiles that touch this one have done the call before.
    fn assert_ready(&self, group: GroupIndex, call: usize) {
        let tiles = self.pass.as_ref().unwrap().plan().tiling.grid().tiles();
        let own = tiles[group.0 as usize];
        let touches = |(rect, _): &(&tessera_proto::Rect, &usize)| own.intersection(**rect).is_some();
        let behind = tiles.iter().zip(&self.done).filter(touches).find(|(_, done)| **done < call);
        assert_eq!(behind, None, "tile {} runs call {call} too early", group.0);
    }

    fn needs(&mut self, ready: &[GroupIndex]) -> Vec<Need> {
        let Some(pass) = &self.pass else { return Vec::new() };
        let model = ModelFacts::simulated().hash;
        let mut needs = Vec::new();
        for &group in ready {
            let number = TaskNumber(self.next);
            self.next += 1;
            self.open.insert(number, group);
            let shape = pass.shape(group).map(|length| u32::try_from(length).unwrap());
            let call = pass.call(group).0 as u64;
            let priority = Priority { call, rank: u32::MAX - pass.neighbours(group) };
            let class = Class { kind: Kind::Denoise, part: 2, shape };
            let mut need = Need::new(TaskName { job: self.id, number }, model, class, priority);
            need.slack = pass.slack(group) as u64;
            needs.push(need);
        }
        needs
    }
}
