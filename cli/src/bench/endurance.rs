//! What a cluster that is left running promises, in numbers: a program in; one figure per promise, each with its bound, out.
//!
//! Coordinator and workers are processes of their own; devices are simulated, but for the figures that are shares of a real
//! job. All are measured on one machine, one after the other.

mod crash;
mod load;
mod real;

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;
use tessera_proto::{
    JobSpec,
    job::{self, Draft, Size, Target},
};

/// What to measure, and how much of it.
#[derive(Debug, Clone)]
pub(crate) struct Endurance {
    /// The program.
    pub(crate) executable: PathBuf,
    /// A PostgreSQL database for two coordinators to share.
    pub(crate) database: Option<String>,
    /// The model of the real job; without one, its figures are left out.
    pub(crate) model: Option<PathBuf>,
    /// Open jobs of a coordinator that is started again.
    pub(crate) open: u32,
    /// Jobs over which memory must stay flat.
    pub(crate) jobs: u32,
    /// Clients that watch a job.
    pub(crate) watchers: u32,
}

/// What was measured of a promise.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// The promise.
    pub(crate) what: String,
    /// What came out.
    pub(crate) value: f64,
    /// Of the value and the bound.
    pub(crate) unit: &'static str,
    /// The value must not exceed it.
    pub(crate) bound: f64,
    /// Whether it does not.
    pub(crate) reached: bool,
}

// === impl Endurance ===

impl Endurance {
    /// Measures one after the other; each is told as it comes.
    ///
    /// # Errors
    /// A process cannot be started, or a job fails.
    pub(crate) async fn run(&self, mut tell: impl FnMut(&Figure)) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        let mut take = |found: Vec<Figure>| {
            found.iter().for_each(&mut tell);
            figures.extend(found);
        };
        take(vec![crash::first_tile(self).await?]);
        take(vec![crash::repeated_work(self).await?]);
        if let Some(url) = &self.database {
            take(vec![crash::take_over(self, url).await?]);
        }
        take(vec![load::memory(self).await?]);
        take(vec![load::watchers(self).await?]);
        if let Some(model) = &self.model {
            take(real::checkpoints(self, model).await?);
            take(vec![real::cancel(self, model).await?]);
        }
        Ok(figures)
    }
}

// === impl Figure ===

impl Figure {
    fn new(what: impl Into<String>, (value, unit): (f64, &'static str), bound: f64) -> Self {
        Self { what: what.into(), value, unit, bound, reached: value <= bound }
    }
}

/// A pass of 25 tiles and this many calls of each, after a short one on one tile.
fn pass(calls: u32) -> Result<JobSpec, job::Error> {
    JobSpec::new(Draft {
        base: Some(Size { width: 128, height: 128 }),
        target: Target::Scale(4.0),
        steps: 2,
        hires_steps: Some(calls),
        tile: Some(Size { width: 16, height: 16 }),
        overlap: Some(4),
        ..Draft::text_to_image("a house")
    })
}
