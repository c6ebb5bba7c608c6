//! Cases of the scaling bench: tiles, devices and steps in; workers and jobs that make them, and what must come out, out.

use tessera_proto::{
    JobSpec,
    job::{self, Draft, Size, StrengthSteps, Target, VaeMode},
};
use tessera_worker::engine::{DeviceSpec, device};

use super::Order;

/// Image px per latent px of simulated devices' model.
const SCALE: u32 = 8;

/// Side of the base picture, px: the pass before the one that is measured, one small tile.
const BASE: u32 = 64;

/// Side of a tile, latent px.
const TILE: u32 = 32;

/// A tile of 128 KiB, latent px: four planes of f32.
const LARGE: Size = Size { width: 128, height: 64 };

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// The time that the pass would take if no device ever waited and no call were slow, by the time that it took.
    Busy,
    /// Tiles' model calls a second.
    Rate,
}

/// One row of the table.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// What it is called.
    pub(crate) name: String,
    /// Columns and rows of tiles.
    pub(crate) tiles: (u32, u32),
    /// One tile, latent px.
    pub(crate) tile: Size,
    /// What each device takes for a call, ms.
    pub(crate) devices: Vec<f64>,
    /// Model calls of each tile.
    pub(crate) steps: u32,
    /// What `sim:` devices get behind their milliseconds.
    pub(crate) variation: String,
    /// Jobs at once.
    pub(crate) jobs: usize,
    /// Runs, each with other jitter.
    pub(crate) seeds: u32,
    /// What is measured.
    pub(crate) quantity: Quantity,
    /// Least value.
    pub(crate) bound: Option<f64>,
    /// Most dispatch latency, p99, ms.
    pub(crate) dispatch_bound: Option<f64>,
}

// === impl Case ===

impl Case {
    /// A case without bounds, of small tiles, one job and steady devices.
    pub(crate) fn new(tiles: (u32, u32), devices: Vec<f64>, steps: u32) -> Self {
        Self {
            name: format!("{}x{} tiles, {}", tiles.0, tiles.1, in_words(&devices)),
            tiles,
            tile: Size { width: TILE, height: TILE },
            devices,
            steps,
            variation: String::new(),
            jobs: 1,
            seeds: 1,
            quantity: Quantity::Busy,
            bound: None,
            dispatch_bound: None,
        }
    }

    /// The devices of its workers.
    ///
    /// Every run and device has jitter of its own.
    pub(crate) fn workers(&self, seed: u32) -> Vec<String> {
        let devices = (1..).zip(&self.devices);
        let seed = u64::from(seed) << 32;
        devices.map(|(number, ms)| format!("sim:{ms}{}#{}", self.variation, seed | number)).collect()
    }

    /// Whether the devices can be written as `--device` takes them.
    ///
    /// # Errors
    /// What is wrong with the first one that cannot.
    pub(crate) fn check(&self) -> Result<(), device::Error> {
        self.workers(0).iter().try_for_each(|device| device.parse::<DeviceSpec>().map(|_| ()))
    }

    /// One of its jobs.
    ///
    /// # Errors
    /// More tiles or steps than a job may have.
    pub(crate) fn job(&self, order: Order) -> Result<JobSpec, job::Error> {
        let Size { width, height } = self.tile;
        let overlap = width.min(height) / 4;
        let side = |tile: u32, tiles: u32| SCALE * (tiles.saturating_mul(tile - overlap) + overlap);
        JobSpec::new(Draft {
            base: Some(Size { width: BASE, height: BASE }),
            target: Target::Size(Size {
                width: side(width, self.tiles.0),
                height: side(height, self.tiles.1),
            }),
            steps: 1,
            hires_steps: Some(self.steps),
            denoising_strength: 1.0,
            strength_steps: StrengthSteps::Diffusers,
            cfg_scale: 1.0,
            tile: Some(self.tile),
            overlap: Some(overlap),
            vae: VaeMode::Blend,
            barrier: order == Order::Barrier,
            trace: true,
            ..Draft::text_to_image("tiles")
        })
    }

    /// What is measured, of so many calls in so many seconds.
    #[expect(clippy::cast_precision_loss, reason = "calls are counted in thousands")]
    pub(crate) fn quantity(&self, calls: u64, seconds: f64) -> f64 {
        let rate = calls as f64 / seconds;
        match self.quantity {
            Quantity::Rate => rate,
            Quantity::Busy => rate / self.devices.iter().map(|ms| 1e3 / ms).sum::<f64>(),
        }
    }
}

/// The cases that a release must reach, and their bounds.
pub(crate) fn table(steps: u32) -> Vec<Case> {
    let busy = |tiles, devices: &[f64], bound| Case {
        bound: Some(bound),
        ..Case::new(tiles, devices.to_vec(), steps)
    };
    let named = |name: &str, case: Case| Case { name: format!("{}, {name}", case.name), ..case };
    vec![
        busy((5, 5), &[86.0; 8], 0.97),
        busy((3, 3), &[86.0; 4], 0.96),
        busy((5, 5), &[47.0, 86.0, 86.0, 265.0, 265.0], 0.95),
        busy((3, 3), &[47.0, 265.0], 0.93),
        named(
            "10 % jitter, 1 % of calls 5x slow, mean of 5",
            Case { variation: "~0.1/0.01x5".to_owned(), seeds: 5, ..busy((5, 5), &[86.0; 8], 0.9) },
        ),
        Case { dispatch_bound: Some(5.0), ..busy((11, 11), &[50.0; 64], 0.95) },
        named("two jobs", Case { jobs: 2, ..busy((3, 3), &[86.0; 8], 0.97) }),
        named(
            "128 KiB each way",
            Case {
                tile: LARGE,
                quantity: Quantity::Rate,
                bound: Some(2000.0),
                ..Case::new((4, 4), vec![0.0; 8], steps * 10)
            },
        ),
    ]
}

/// Equal neighbours are counted.
fn in_words(devices: &[f64]) -> String {
    let groups = devices.chunk_by(|one, other| one.total_cmp(other).is_eq());
    let words = groups.map(|group| match group {
        [ms] => format!("{ms} ms"),
        many => format!("{} at {} ms", many.len(), many[0]),
    });
    format!("devices: {}", words.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use tessera_coordinator::render::{Given, Plan};
    use tessera_proto::{ModelFacts, Stage};

    use super::*;

    #[test]
    fn every_case_has_the_tiles_and_calls_that_it_says() {
        for case in table(30) {
            case.check().unwrap();
            let plan =
                Plan::new(&case.job(Order::Dataflow).unwrap(), &ModelFacts::simulated(), Given::Nothing)
                    .unwrap();
            let summary = plan.summary();
            let hires = summary.stages.iter().find(|stage| stage.stage == Stage::Hires).unwrap();
            assert_eq!(hires.tiles, (case.tiles.0 * case.tiles.1) as usize, "{}", case.name);
            assert_eq!((hires.model_calls, hires.tile), (case.steps as usize, case.tile), "{}", case.name);
        }
        assert_eq!(table(30)[2].name, "5x5 tiles, devices: 47 ms, 2 at 86 ms, 2 at 265 ms");
    }

    #[test]
    fn a_share_is_of_what_all_devices_could_do() {
        let case = Case::new((3, 3), vec![10.0, 40.0], 4);
        // 100 and 25 calls a second.
        assert!((case.quantity(250, 4.0) - 0.5).abs() < 1e-12);
        let rate = Case { quantity: Quantity::Rate, ..case };
        assert!((rate.quantity(250, 4.0) - 62.5).abs() < 1e-12);
    }
}
