//! What a plan runs: its stages in; for each of them its tasks, what they wait for and what decides how long they take,
//! out. Pure.
//!
//! For whoever foretells how long a job takes. A [`Job`](super::Job) does the same with the results at hand.

use std::{borrow::Cow, collections::BTreeSet};

use tessera_proto::Stage;

use super::{
    class,
    pass::PassPlan,
    plan::{
        DecodePlan, EncodePlan, End, Enlarge, Estimate, PassSetup, Plan, UpscalePass, UpscalePlan, VaePlan,
    },
};
use crate::{canvas::TileIndex, fleet::Class, picture::rgb};

/// Everything that a job runs on devices, in order.
#[derive(Debug, Clone)]
pub struct Course {
    /// One begins when all tasks of the one before it are done.
    pub legs: Vec<Leg>,
}

/// Tasks that may run beside one another.
#[derive(Debug, Clone)]
pub struct Leg {
    /// The stage that they belong to.
    pub stage: Stage,
    /// The network that they run.
    pub network: Cow<'static, str>,
    /// The tasks.
    pub steps: Steps,
}

/// How the tasks of a leg wait for one another.
#[derive(Debug, Clone)]
pub enum Steps {
    /// Tiles that are denoised: each model call of a tile waits for its neighbours.
    Pass {
        /// Tiles and calls.
        plan: PassPlan,
        /// Rows of conditioning in each call.
        rows: Vec<usize>,
    },
    /// Tiles that all pass one barrier after another.
    Rounds {
        /// What each tile is before its first barrier.
        tiles: Vec<Class>,
        /// How often each is run; the part of a class counts up.
        rounds: usize,
        /// Whether a worker keeps of a tile what its next round builds on.
        kept: bool,
    },
}

// === impl Course ===

impl Course {
    /// What a plan runs.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut legs = vec![Leg::tiles(Stage::Embed, "text encoder", vec![class::EMBED; plan.texts.len()])];
        legs.extend(plan.base.as_ref().map(|setup| Leg::pass(Stage::Base, setup)));
        match &plan.enlarge {
            Some(Enlarge::Picture { decode, network, encode, .. }) => {
                legs.extend(decode.iter().flat_map(|plan| Leg::decode(Stage::Upscale, plan)));
                legs.extend(network.iter().flat_map(|network| Leg::upscale(network)));
                legs.extend(Leg::encode(Stage::Upscale, encode));
            }
            Some(Enlarge::Latent { encode, .. }) => {
                legs.extend(encode.iter().flat_map(|plan| Leg::encode(Stage::Upscale, plan)));
            }
            None => {}
        }
        legs.extend(plan.hires.as_ref().map(|setup| Leg::pass(Stage::Hires, setup)));
        legs.extend(match &plan.end {
            End::Picture(plan) => Leg::decode(Stage::Decode, plan),
            End::Latent(plan) => Leg::encode(Stage::Encode, plan),
        });
        legs.retain(|leg| 0 < leg.tasks());
        Self { legs }
    }

    /// The pass that is tiled: the hires pass, or the only one there is.
    #[must_use]
    pub fn main_pass(&self) -> Option<&Leg> {
        self.legs.iter().rfind(|leg| matches!(leg.steps, Steps::Pass { .. }))
    }
}

// === impl Leg ===

impl Leg {
    /// Tasks in all.
    #[must_use]
    pub fn tasks(&self) -> usize {
        match &self.steps {
            Steps::Pass { plan, .. } => plan.tasks(),
            Steps::Rounds { tiles, rounds, .. } => tiles.len() * rounds,
        }
    }

    /// The classes of its tasks, each once.
    #[must_use]
    pub fn classes(&self) -> BTreeSet<Class> {
        match &self.steps {
            Steps::Pass { plan, .. } => {
                let groups = (0..plan.groups()).map(|group| plan.shape(group)).collect::<BTreeSet<_>>();
                let calls = (0..plan.sampling.calls().len()).map(|call| self.steps.rows(call));
                let rows: BTreeSet<usize> = calls.collect();
                rows.iter()
                    .flat_map(|&rows| groups.iter().map(move |&shape| class::denoise(rows, shape)))
                    .collect()
            }
            Steps::Rounds { tiles, rounds, .. } => {
                let tiles: BTreeSet<Class> = tiles.iter().copied().collect();
                (0..*rounds).flat_map(|round| tiles.iter().map(move |&tile| at(tile, round))).collect()
            }
        }
    }

    fn pass(stage: Stage, setup: &PassSetup) -> Self {
        let rows = |call: usize| {
            let call = u32::try_from(call).unwrap_or(u32::MAX);
            let texts = setup.prompt.at(call).chain(setup.negative.at(call).take(1));
            texts.map(|(text, _)| text).collect::<BTreeSet<_>>().len()
        };
        let rows = (0..setup.plan.sampling.calls().len()).map(rows).collect();
        Self { stage, network: Cow::Borrowed("unet"), steps: Steps::Pass { plan: setup.plan.clone(), rows } }
    }

    fn tiles(stage: Stage, network: &'static str, tiles: Vec<Class>) -> Self {
        let steps = Steps::Rounds { tiles, rounds: 1, kept: false };
        Self { stage, network: Cow::Borrowed(network), steps }
    }

    fn decode(stage: Stage, plan: &DecodePlan) -> Vec<Self> {
        let network = "vae decoder";
        match plan {
            DecodePlan::Blend(plan) => {
                let height = |tile: TileIndex| plan.image.grid().tile(tile).height();
                let tiles = indices(plan).map(|tile| class::decode(0, height(tile)));
                vec![Self::tiles(stage, network, tiles.collect())]
            }
            DecodePlan::Exact(plan) => {
                let (measure, first) = estimated(stage, network, plan.estimate);
                let heights = plan.cores.iter().map(|core| core.height() * plan.scale);
                let tiles = heights.map(|height| class::decode(first, height)).collect();
                let steps = Steps::Rounds { tiles, rounds: plan.rounds(), kept: true };
                let rounds = Self { stage, network: Cow::Borrowed(network), steps };
                measure.into_iter().chain([rounds]).collect()
            }
        }
    }

    fn encode(stage: Stage, plan: &EncodePlan) -> Vec<Self> {
        let network = "vae encoder";
        match plan {
            EncodePlan::Blend(plan) => {
                let tile = class::encode(0, plan.image.grid().padded().1);
                vec![Self::tiles(stage, network, vec![tile; plan.tasks()])]
            }
            EncodePlan::Exact(plan) => {
                let (measure, first) = estimated(stage, network, plan.estimate);
                let tiles = (0..).map(TileIndex).take(plan.tiles.count());
                let tiles = tiles.map(|tile| class::encode(first, plan.tiles.seen(tile).height())).collect();
                let steps = Steps::Rounds { tiles, rounds: plan.rounds(), kept: true };
                let rounds = Self { stage, network: Cow::Borrowed(network), steps };
                let end = plan.has_end().then(|| Self::tiles(stage, network, vec![class::ENCODE_END]));
                measure.into_iter().chain([rounds]).chain(end).collect()
            }
        }
    }

    fn upscale(plan: &UpscalePlan) -> impl Iterator<Item = Self> {
        (1..).zip(&plan.passes).map(|(number, pass)| {
            let tiles = (0..).map(TileIndex).take(pass.tiles.tasks());
            let tiles = tiles.map(|tile| class::upscale(number, upscaled(plan, pass, tile)));
            let network = Cow::Owned(plan.network.name.clone());
            let steps = Steps::Rounds { tiles: tiles.collect(), rounds: 1, kept: false };
            Self { stage: Stage::Upscale, network, steps }
        })
    }
}

// === impl Steps ===

impl Steps {
    /// Rows of conditioning in a call of a pass.
    fn rows(&self, call: usize) -> usize {
        match self {
            Self::Pass { rows, .. } => rows.get(call).copied().unwrap_or(1),
            Self::Rounds { .. } => 1,
        }
    }

    /// Model calls of a pass, or rounds.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Pass { plan, .. } => plan.sampling.calls().len(),
            Self::Rounds { rounds, .. } => *rounds,
        }
    }

    /// What a task is: a group of tiles and its call, or a tile and its round.
    #[must_use]
    pub fn class(&self, index: usize, step: usize) -> Class {
        match self {
            Self::Pass { plan, .. } => class::denoise(self.rows(step), plan.shape(index)),
            Self::Rounds { tiles, .. } => at(tiles[index], step),
        }
    }
}

/// A tile so many rounds after its first one.
fn at(tile: Class, round: usize) -> Class {
    let round = u32::try_from(round).unwrap_or(u32::MAX);
    Class { part: tile.part.saturating_add(round), ..tile }
}

/// What runs before tiles whose first statistics are estimated, and how many of these there are.
fn estimated(stage: Stage, network: &'static str, estimate: Option<Estimate>) -> (Option<Leg>, usize) {
    let leg = estimate.map(|_| Leg::tiles(stage, network, vec![class::MEASURE]));
    (leg, estimate.map_or(0, |estimate| estimate.barriers))
}

/// The shape of a tile's result.
fn upscaled(plan: &UpscalePlan, pass: &UpscalePass, tile: TileIndex) -> [usize; 4] {
    let (kept, scale) = (pass.tiles.kept(tile), plan.network.scale as usize);
    [1, rgb::CHANNELS, kept.height() as usize * scale, kept.width() as usize * scale]
}

fn indices(plan: &VaePlan) -> impl Iterator<Item = TileIndex> {
    (0..).map(TileIndex).take(plan.tasks())
}
