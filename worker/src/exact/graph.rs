//! The exact decode of a real network: a graph cut into stages, latents and statistics in, parts of statistics or pixels
//! out.
//!
//! The stages before the last keys and values run on the whole latent, once for each latent: they are cheap there and
//! every tile's attention needs all of them. From there on each tile goes its own way and keeps, between two calls, the
//! planes that its next stage reads.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use tessera_proto::{Affine, Answer, Digest, Moments, Rect, Tensor, facts::Exactness};

use super::Stages;
use crate::{
    engine::{Engine, Error, Named, Network, Value},
    graph::staged::{Canvas, Core, Extent, Patch, Run, Section, Staged, Tile, TileError},
};

/// Most bytes that a stage's activations take at once; larger tiles are run in pieces. A constant, so that every worker
/// cuts alike.
const PIECE_BYTES: u64 = 1 << 30;

/// A network in stages, and what is kept of the latents under way.
pub struct GraphStages {
    staged: Arc<Staged>,
    latents: HashMap<Digest, Latent>,
}

/// A latent under way.
struct Latent {
    canvas: Canvas,
    /// The latent itself, and what the stages on the whole have made.
    planes: BTreeMap<usize, Patch>,
    shared: BTreeMap<usize, Arc<Tensor>>,
    /// Normalisations of the whole stages.
    factors: BTreeMap<usize, Affine>,
    tiles: HashMap<Rect, Progress>,
}

/// A tile between two calls.
struct Progress {
    tile: Tile,
    factors: BTreeMap<usize, Affine>,
    /// Statistics that were used so far.
    passed: usize,
    /// Normalisations that the last stage has counted for, in order, and that are not passed.
    waiting: VecDeque<(usize, Moments)>,
}

/// An engine as stages see it.
struct Stager<'e>(&'e mut dyn Engine);

/// How a network can be cut: what the coordinator must know beforehand.
#[must_use]
pub fn exactness(staged: &Staged) -> Exactness {
    let refused = || Exactness::Refused("no part of the decoder can be run in tiles".to_owned());
    let Some(section) = staged.sections().iter().find(|section| section.extent == Extent::Tiles) else {
        return refused();
    };
    let counted =
        staged.stages()[section.stages.clone()].iter().map(|stage| stage.counts().len()).sum::<usize>();
    // A tile in the middle of a large canvas has its full halo on every side.
    let (canvas, core) = (Canvas { width: 1024, height: 1024 }, Rect::new(480, 480, 544, 544));
    let halo = core.ok().and_then(|core| {
        let regions = staged.regions(section, canvas, Core::Input(core)).ok()?;
        let sides = regions.entries(staged).into_iter().filter_map(|plane| regions.halo(plane));
        sides.flatten().max()
    });
    match (u32::try_from(counted), halo) {
        (Ok(barriers), Some(halo)) => Exactness::Cut { barriers, halo },
        _ => refused(),
    }
}

// === impl GraphStages ===

impl GraphStages {
    /// A decoder that was cut into stages, which the engine knows as [`Network::DecoderStage`].
    #[must_use]
    pub fn new(staged: Arc<Staged>) -> Self {
        Self { staged, latents: HashMap::new() }
    }

    fn section(&self, extent: Extent) -> Option<&Section> {
        self.staged.sections().iter().find(|section| section.extent == extent)
    }

    /// Runs the stages on the whole latent.
    fn begin(&self, engine: &mut dyn Engine, source: &Tensor) -> Result<Latent, Error> {
        let [_, _, height, width] = source.nchw().unwrap_or_default();
        let side = |length: usize| u32::try_from(length).ok().filter(|&length| 0 < length);
        let (Some(width), Some(height)) = (side(width), side(height)) else {
            return Err(failed(format!("a latent of shape {:?} is no picture", source.shape())));
        };
        let all = Rect::new(0, 0, width, height).map_err(|error| failed(error.to_string()))?;
        let input =
            Patch::new(all, source.clone()).ok_or_else(|| failed("the latent is no picture".to_owned()))?;
        let mut latent = Latent {
            canvas: Canvas { width, height },
            planes: BTreeMap::from([(self.staged.input(), input)]),
            shared: BTreeMap::new(),
            factors: BTreeMap::new(),
            tiles: HashMap::new(),
        };
        let Some(section) = self.section(Extent::Whole) else { return Ok(latent) };
        let mut tile = self.tile(&latent, section, all)?;
        while tile.next() < section.stages.end {
            let counted = tile.advance(&mut Stager(engine), &latent.factors, PIECE_BYTES).map_err(of_tile)?;
            for (norm, moments) in counted {
                latent.factors.insert(norm, self.affine(norm, &moments)?);
            }
        }
        latent.shared = tile.shared().clone();
        latent.planes.append(tile.planes_mut());
        Ok(latent)
    }

    fn tile(&self, latent: &Latent, section: &Section, core: Rect) -> Result<Tile, Error> {
        let regions = self
            .staged
            .regions(section, latent.canvas, Core::Input(core))
            .map_err(|error| failed(error.to_string()))?;
        let shared = latent.shared.iter().map(|(&index, tensor)| (index, Arc::clone(tensor)));
        Tile::new(Arc::clone(&self.staged), regions, |plane| latent.planes.get(&plane), shared)
            .map_err(|error| failed(error.to_string()))
    }

    fn affine(&self, norm: usize, moments: &Moments) -> Result<Affine, Error> {
        self.staged.norms()[norm].numbers.affine(moments).map_err(|error| failed(error.to_string()))
    }

    fn groups(&self, norm: usize) -> usize {
        self.staged.norms()[norm].numbers.groups()
    }

    /// Runs a tile as far as the statistics go.
    fn go_on(
        &self,
        engine: &mut dyn Engine,
        progress: &mut Progress,
        (known, alone): (&[Moments], bool),
    ) -> Result<Answer, Error> {
        let end = progress.tile.regions().stages().end;
        loop {
            while let Some((norm, own)) = progress.waiting.front() {
                let affine = match known.get(progress.passed) {
                    Some(whole) => self.affine(*norm, whole)?,
                    // The tile is the whole picture.
                    None if alone => self.affine(*norm, own)?,
                    None => {
                        let grouped = own.grouped(self.groups(*norm));
                        return grouped.map(Answer::Moments).map_err(|error| failed(error.to_string()));
                    }
                };
                progress.factors.insert(*norm, affine);
                progress.passed += 1;
                progress.waiting.pop_front();
            }
            if progress.tile.next() == end {
                break;
            }
            let counted = progress
                .tile
                .advance(&mut Stager(engine), &progress.factors, PIECE_BYTES)
                .map_err(of_tile)?;
            progress.waiting = counted.into();
        }
        if progress.passed < known.len() {
            return Err(failed(format!("{} statistics for {} normalisations", known.len(), progress.passed)));
        }
        let output = self.staged.output();
        let core = progress.tile.regions().core(output);
        let pixels = core.and_then(|core| progress.tile.planes().get(&output)?.crop(core));
        let pixels = pixels.ok_or_else(|| failed("the tile has no pixels".to_owned()))?;
        Ok(Answer::Tensors(vec![pixels.into_owned().into_tensor()]))
    }
}

impl Stages for GraphStages {
    fn advance(
        &mut self,
        engine: &mut dyn Engine,
        (digest, source): (Digest, &Tensor),
        core: Rect,
        known: &[Moments],
    ) -> Result<Answer, Error> {
        let mut latent = match self.latents.remove(&digest) {
            Some(latent) => latent,
            None => self.begin(engine, source)?,
        };
        let result = self.advance_tile(engine, &mut latent, core, known);
        self.latents.insert(digest, latent);
        result
    }

    fn forget(&mut self, source: Digest) {
        self.latents.remove(&source);
    }

    fn forget_all(&mut self) {
        self.latents.clear();
    }
}

impl GraphStages {
    fn advance_tile(
        &self,
        engine: &mut dyn Engine,
        latent: &mut Latent,
        core: Rect,
        known: &[Moments],
    ) -> Result<Answer, Error> {
        let all = latent.canvas;
        let alone = core.area() == u64::from(all.width) * u64::from(all.height);
        // A tile that is further than asked was asked for twice, or by another coordinator: it begins again.
        let kept = latent.tiles.remove(&core).filter(|progress| progress.passed <= known.len());
        let mut progress = match kept {
            Some(progress) => progress,
            None => {
                let section =
                    self.section(Extent::Tiles).ok_or_else(|| failed("no stage runs in tiles".to_owned()))?;
                let tile = self.tile(latent, section, core)?;
                let factors = latent.factors.clone();
                Progress { tile, factors, passed: 0, waiting: VecDeque::new() }
            }
        };
        let answer = self.go_on(engine, &mut progress, (known, alone))?;
        if matches!(answer, Answer::Moments(_)) {
            latent.tiles.insert(core, progress);
        }
        Ok(answer)
    }
}

impl std::fmt::Debug for GraphStages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GraphStages").field("latents", &self.latents.len()).finish_non_exhaustive()
    }
}

// === impl Stager ===

impl Run for Stager<'_> {
    type Error = Error;

    /// In fp16 a stage can overflow: it is then run once more with all computation in fp32.
    fn run(
        &mut self,
        stage: usize,
        inputs: &[(&str, &Tensor)],
        outputs: &[&str],
    ) -> Result<Vec<Tensor>, Error> {
        let inputs: Vec<Named<'_>> =
            inputs.iter().map(|&(name, tensor)| Named { name, value: Value::Tensor(tensor) }).collect();
        let network = Network::DecoderStage { index: stage, widened: false };
        let results = self.0.run(&network, &inputs, outputs)?;
        if results.iter().all(Tensor::is_finite) {
            return Ok(results);
        }
        tracing::warn!(stage, "a stage of the decoder overflowed, it runs again in fp32");
        let network = Network::DecoderStage { index: stage, widened: true };
        let results = self.0.run(&network, &inputs, outputs)?;
        match results.iter().position(|tensor| !tensor.is_finite()) {
            None => Ok(results),
            Some(index) => Err(Error::NotFinite { network, output: outputs[index].to_owned() }),
        }
    }
}

fn failed(reason: String) -> Error {
    Error::Failed { network: Network::VaeDecoder, reason }
}

fn of_tile(error: TileError<Error>) -> Error {
    match error {
        TileError::Run(error) => error,
        other => failed(other.to_string()),
    }
}
