//! Flags that would make a job shorter: a plan and the devices in; the best of some tiles and batches, if it is worth
//! the change, out.
//!
//! Other tiles make another picture, and another batch may make other last bits; so nothing of this is ever chosen for the
//! user: the same job gives the same bytes whatever devices are there.

use std::time::Instant;

use serde::Serialize;
use tessera_proto::{
    JobSpec,
    job::{Draft, Size},
};

use super::{Basis, Device, Rehearsal, known, played, ratio};
use crate::render::{Course, Given, Plan, Steps};

/// Tiles' sides that are compared, in quarters of the model's own sample size: the network was trained on that, sees less
/// than it should in smaller ones, and repeats its subject in larger ones.
const QUARTERS: [u32; 5] = [4, 5, 6, 7, 8];

/// Batches that are compared.
const BATCHES: [u32; 3] = [1, 2, 4];

/// Tasks that are played of one candidate.
const PLAYED: usize = 1000;

/// What takes less than this share of the time as it is planned is worth a word.
const WORTH: f64 = 0.95;

/// What the user has left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// `--tile`.
    pub tile: bool,
    /// `--tile-batch`.
    pub batch: bool,
}

/// Flags that make the tiled pass shorter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Advice {
    /// The flags.
    pub flags: String,
    /// The tiled pass with them, s.
    pub seconds: f64,
    /// The same as it is planned, s.
    pub instead_of_s: f64,
    /// Tiles with them.
    pub tiles: usize,
    /// How well the new time is known.
    pub basis: Basis,
    /// What else they change.
    pub changes: Change,
}

/// What other flags change beside the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Other tiles make another picture.
    Picture,
    /// Another batch may make other last bits.
    LastBits,
}

/// A way to run the tiled pass.
#[derive(Debug, Clone)]
struct Candidate {
    draft: Draft,
    seconds: f64,
    tiles: usize,
    basis: Basis,
}

/// What candidates are played with.
struct Trial<'a> {
    plan: &'a Plan,
    given: Given,
    devices: &'a [Device],
    origin: Instant,
}

/// Looks for flags that are worth a change, among those that the user has left open. `given` is what the job starts from.
#[must_use]
pub fn advise(
    plan: &Plan,
    given: Given,
    open: Open,
    (devices, origin): (&[Device], Instant),
) -> Option<Advice> {
    let trial = Trial { plan, given, devices, origin };
    let draft = plan.spec().clone().into_draft();
    let planned = trial.play(draft, f64::INFINITY)?;
    let mut best = planned.clone();
    for draft in trial.shapes(open) {
        best = trial.play(draft, best.seconds).unwrap_or(best);
    }
    for tile_batch in BATCHES.into_iter().filter(|_| open.batch) {
        let draft = Draft { tile_batch, ..best.draft.clone() };
        // A batch pays, or does not, as nothing but its measured time tells.
        let played = trial.play(draft, best.seconds).filter(|played| played.basis == Basis::Measured);
        best = played.unwrap_or(best);
    }
    (best.seconds < WORTH * planned.seconds).then(|| Advice {
        flags: flags(&best.draft, &planned.draft),
        seconds: best.seconds,
        instead_of_s: planned.seconds,
        tiles: best.tiles,
        basis: best.basis,
        changes: if best.draft.tile == planned.draft.tile { Change::LastBits } else { Change::Picture },
    })
}

// === impl Trial ===

impl Trial<'_> {
    /// The same job with other tiles. They overlap as much as the planned ones: that is what hides their seams.
    fn shapes(&self, open: Open) -> Vec<Draft> {
        let facts = self.plan.facts();
        let planned = self.plan.overlap();
        let side = |quarters: u32| {
            let side = facts.sample_size * quarters / 4;
            (side / facts.latent_multiple).max(1) * facts.latent_multiple
        };
        let sides = || QUARTERS.into_iter().filter(|_| open.tile).map(side);
        let sizes = sides().flat_map(|height| sides().map(move |width| Size { width, height }));
        let draft = |tile: Size| Draft {
            tile: Some(tile),
            overlap: Some(planned),
            ..self.plan.spec().clone().into_draft()
        };
        sizes.map(draft).collect()
    }

    /// A candidate, if it takes less than `best` seconds.
    fn play(&self, draft: Draft, best: f64) -> Option<Candidate> {
        let spec = JobSpec::new(draft.clone()).ok()?;
        let plan = Plan::new(&spec, self.plan.facts(), self.given).ok()?;
        let course = Course::of(&plan);
        let leg = course.main_pass()?;
        let Steps::Pass { plan: pass, .. } = &leg.steps else { return None };
        let times = known(leg, self.devices)?;
        // No order of tiles is faster than devices that never wait.
        let basis = times.values().flatten().map(|time| time.basis).max()?;
        let (first, step) = (leg.steps.class(0, 0), ratio(leg.tasks(), 1));
        let rate: f64 = times.get(&first)?.iter().map(|time| 1.0 / time.took.as_secs_f64().max(1e-6)).sum();
        if best <= step / rate {
            return None;
        }
        let mut rehearsal = Rehearsal::new(self.devices, self.plan.facts(), self.origin);
        let (ran, scale) = played(leg, &times, PLAYED, &mut rehearsal);
        let seconds = ran.took.as_secs_f64() * scale;
        let tiles = pass.tiling.grid().tiles().len();
        (seconds < best).then_some(Candidate { draft, seconds, tiles, basis })
    }
}

/// What is to be added to the command line.
fn flags(best: &Draft, planned: &Draft) -> String {
    let mut flags = Vec::new();
    if best.tile != planned.tile
        && let Some(Size { width, height }) = best.tile
    {
        flags.push(if width == height {
            format!("--tile {width}")
        } else {
            format!("--tile {width}x{height}")
        });
    }
    if best.overlap != planned.overlap
        && let Some(overlap) = best.overlap
    {
        flags.push(format!("--overlap {overlap}"));
    }
    if best.tile_batch != planned.tile_batch {
        flags.push(format!("--tile-batch {}", best.tile_batch));
    }
    flags.join(" ")
}
