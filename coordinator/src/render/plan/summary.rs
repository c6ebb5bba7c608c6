//! A plan in words and numbers: for `tessera plan`, for reports, for notes to the user.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use tessera_proto::{Rect, Stage, job::Size};

use super::{DecodePlan, EncodePlan, End, Enlarge, ExactPlan, PassSetup, Plan, UpscalePlan, VaePlan};
use crate::canvas::Tiling;

/// What a job does and costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Model name.
    pub model: String,
    /// Size of the base picture, px.
    pub base: Size,
    /// Size of the finished picture, px.
    pub target: Size,
    /// Texts to embed.
    pub texts: usize,
    /// The stages that run networks, in order.
    pub stages: Vec<StageSummary>,
    /// Tasks of all stages.
    pub tasks: usize,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// What one stage does and costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageSummary {
    /// The stage.
    pub stage: Stage,
    /// The network that it runs.
    pub network: Cow<'static, str>,
    /// What `canvas` and `tile` are counted in: an upscaling network cuts pictures, all others work on latents' grids.
    pub unit: Unit,
    /// Canvas.
    pub canvas: Size,
    /// One tile as the network gets it; the largest one where they differ.
    pub tile: Size,
    /// Tiles on the canvas.
    pub tiles: usize,
    /// Cells that their edges cut the canvas into.
    pub cells: usize,
    /// Model calls that cover the whole canvas.
    pub model_calls: usize,
    /// Tasks: one per tile batch and model call.
    pub tasks: usize,
    /// Area of all tiles by area of the canvas.
    pub redundancy: f64,
    /// Where the tiles' own parts meet, of stages whose tiles only touch; other stages' follow from their tiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub borders: Option<Borders>,
    /// Most bytes that one worker takes, apart from weights and waiting tiles, where that is known from the graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
}

/// Lines between px of the finished picture, ascending; the picture's rim is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Borders {
    /// Between columns.
    pub columns: Vec<u32>,
    /// Between rows.
    pub rows: Vec<u32>,
}

/// A unit of length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Px of a latent.
    #[serde(rename = "latent px")]
    Latent,
    /// Px of a picture.
    #[serde(rename = "px")]
    Picture,
}

pub(super) fn of(plan: &Plan) -> Summary {
    let mut stages = Vec::new();
    if let Some(base) = &plan.base {
        stages.push(pass(Stage::Base, base));
    }
    match &plan.enlarge {
        Some(Enlarge::Picture { decode: before, network, encode, .. }) => {
            stages.extend(before.as_ref().map(|plan| decode(Stage::Upscale, plan)));
            stages.extend(network.iter().flat_map(|network| upscale(network)));
            stages.push(encoder(encode));
        }
        Some(Enlarge::Latent { encode, .. }) => stages.extend(encode.as_ref().map(encoder)),
        None => {}
    }
    if let Some(hires) = &plan.hires {
        stages.push(pass(Stage::Hires, hires));
    }
    stages.push(match &plan.end {
        End::Picture(plan) => decode(Stage::Decode, plan),
        End::Latent(plan) => StageSummary { stage: Stage::Encode, ..encoder(plan) },
    });
    Summary {
        model: plan.facts.name.clone(),
        base: plan.base_size(),
        target: plan.target(),
        texts: plan.texts.len(),
        tasks: plan.texts.len() + stages.iter().map(|stage| stage.tasks).sum::<usize>(),
        stages,
        notes: plan.notes.clone(),
    }
}

fn pass(stage: Stage, setup: &PassSetup) -> StageSummary {
    let calls = setup.plan.sampling.calls().len();
    stage_summary((stage, "unet"), &setup.plan.tiling, calls, setup.plan.tasks())
}

fn decode(stage: Stage, plan: &DecodePlan) -> StageSummary {
    let plan = match plan {
        DecodePlan::Blend(plan) => return vae(stage, "vae decoder", plan),
        DecodePlan::Exact(plan) => plan,
    };
    let largest = |side: fn(Rect) -> u32| plan.cores.iter().map(|&core| side(core)).max().unwrap_or_default();
    let reach = |length: u32, canvas: u32| canvas.min(length + 2 * plan.halo);
    let (width, height) = (largest(Rect::width), largest(Rect::height));
    let area = |size: Size| u64::from(size.width) * u64::from(size.height);
    let tile = Size { width: reach(width, plan.canvas.width), height: reach(height, plan.canvas.height) };
    StageSummary {
        stage,
        network: Cow::Borrowed("vae decoder"),
        unit: Unit::Latent,
        canvas: plan.canvas,
        tile,
        tiles: plan.cores.len(),
        cells: plan.cores.len(),
        model_calls: plan.rounds() + usize::from(plan.estimate.is_some()),
        tasks: plan.tasks(),
        redundancy: redundancy(plan.cores.len() as u64 * area(tile), area(plan.canvas)),
        borders: Some(borders(plan)),
        peak_bytes: plan.peak(),
    }
}

fn encoder(plan: &EncodePlan) -> StageSummary {
    let plan = match plan {
        EncodePlan::Blend(plan) => return vae(Stage::Upscale, "vae encoder", plan),
        EncodePlan::Exact(plan) => plan,
    };
    let size = |(width, height): (u32, u32)| Size { width: width / plan.scale, height: height / plan.scale };
    StageSummary {
        stage: Stage::Upscale,
        network: Cow::Borrowed("vae encoder"),
        unit: Unit::Latent,
        canvas: size((plan.canvas.width, plan.canvas.height)),
        tile: size(plan.tiles.largest_seen()),
        tiles: plan.tiles.count(),
        cells: plan.tiles.count(),
        model_calls: plan.rounds() + usize::from(plan.has_end()) + usize::from(plan.estimate.is_some()),
        tasks: plan.tasks(),
        redundancy: plan.tiles.redundancy(),
        borders: None,
        peak_bytes: None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn redundancy(tiles: u64, canvas: u64) -> f64 {
    tiles as f64 / canvas as f64
}

/// Where the cores of an exact decode meet.
fn borders(plan: &ExactPlan) -> Borders {
    let starts = |start: fn(Rect) -> u32| {
        let starts: BTreeSet<u32> = plan.cores.iter().map(|&core| start(core) * plan.scale).collect();
        starts.into_iter().filter(|&start| 0 < start).collect()
    };
    Borders { columns: starts(Rect::x0), rows: starts(Rect::y0) }
}

fn vae(stage: Stage, network: &'static str, plan: &VaePlan) -> StageSummary {
    stage_summary((stage, network), &plan.latent, 1, plan.tasks())
}

/// One row a pass.
fn upscale(plan: &UpscalePlan) -> impl Iterator<Item = StageSummary> {
    plan.passes.iter().map(|pass| StageSummary {
        stage: Stage::Upscale,
        network: Cow::Owned(plan.network.name.clone()),
        unit: Unit::Picture,
        canvas: pass.from,
        tile: pass.tiles.largest(),
        tiles: pass.tiles.tasks(),
        cells: pass.tiles.cells(),
        model_calls: 1,
        tasks: pass.tiles.tasks(),
        redundancy: pass.tiles.redundancy(),
        borders: None,
        peak_bytes: None,
    })
}

fn stage_summary(
    name: (Stage, &'static str),
    tiling: &Tiling,
    model_calls: usize,
    tasks: usize,
) -> StageSummary {
    let size = |(width, height)| Size { width, height };
    let grid = tiling.grid();
    StageSummary {
        stage: name.0,
        network: Cow::Borrowed(name.1),
        unit: Unit::Latent,
        canvas: size(grid.canvas()),
        tile: size(grid.padded()),
        tiles: grid.tiles().len(),
        cells: tiling.cells().count(),
        model_calls,
        tasks,
        redundancy: grid.redundancy(),
        borders: None,
        peak_bytes: None,
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size { width, height } = self.base;
        writeln!(
            f,
            "model {}: {width}x{height} px -> {}x{} px",
            self.model, self.target.width, self.target.height
        )?;
        let names = self.stages.iter().map(|stage| stage.network.chars().count()).max();
        let names = names.unwrap_or(0).max(12);
        writeln!(
            f,
            "{:<8} {:<names$} {:>11} {:>9} {:>6} {:>6} {:>6} {:>6} {:>11}",
            "stage", "network", "canvas", "tile", "tiles", "cells", "calls", "tasks", "redundancy"
        )?;
        for stage in &self.stages {
            let size = |size: Size| format!("{}x{}", size.width, size.height);
            writeln!(
                f,
                "{:<8} {:<names$} {:>11} {:>9} {:>6} {:>6} {:>6} {:>6} {:>10.2}x",
                stage.stage.name(),
                stage.network,
                size(stage.canvas),
                size(stage.tile),
                stage.tiles,
                stage.cells,
                stage.model_calls,
                stage.tasks,
                stage.redundancy
            )?;
        }
        write!(f, "{} tasks in all; canvas and tile in latent px", self.tasks)?;
        if let Some(stage) = self.stages.iter().find(|stage| stage.unit == Unit::Picture) {
            write!(f, ", those of {} in px of the picture", stage.network)?;
        }
        for stage in &self.stages {
            if stage.borders.is_some() && 1 < stage.tiles {
                let name = stage.stage.name();
                write!(f, "\n{name}, {}: tiles touch; each is shown with its halo", stage.network)?;
            }
            if let Some(bytes) = stage.peak_bytes {
                let (name, mib) = (stage.stage.name(), bytes.div_ceil(1 << 20));
                write!(f, "\n{name}, {}: at most {mib} MiB in a worker beside its weights", stage.network)?;
            }
        }
        self.notes.iter().try_for_each(|note| write!(f, "\nnote: {note}"))
    }
}
