//! The exact decode and encode of a real network: a graph cut into stages, pictures and statistics in, parts of statistics
//! or results out.
//!
//! A decoder's stages before the last keys and values run on the whole latent, once for each latent: they are cheap there
//! and every tile's attention needs all of them. From there on each tile goes its own way and keeps, between two calls,
//! the planes that its next stage reads, on a [`Shelf`]. An encoder's tiles come first, and what they have made is joined
//! for the stages with the attention.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use tessera_proto::{Affine, Answer, Digest, Moments, Part, Rect, Source, Tensor, job::Size};

use super::{
    Stages, Step,
    cut::end,
    shelf::{Shelf, Spill, Ticket},
    stager::Stager,
};
use crate::{
    engine::{Engine, Error, Vae},
    graph::staged::{Canvas, Core, Extent, Patch, Section, Staged, Tile, TileError},
};

/// Most bytes that a stage's activations take at once; larger tiles are run in pieces. A constant, so that every worker
/// cuts alike: bands of half a gigabyte are still so high that the rows that two of them compute count for nothing.
pub(super) const PIECE_BYTES: u64 = 1 << 29;

/// A network in stages, and what is kept of the pictures under way.
pub struct GraphStages {
    network: Vae,
    staged: Arc<Staged>,
    pictures: HashMap<Origin, Picture>,
    shelf: Shelf,
}

/// What tiles are computed from: all tiles of a latent have the same, each tile of a picture its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Origin {
    canvas: Size,
    sources: Vec<Source>,
}

/// A picture under way, or a part of one.
struct Picture {
    canvas: Canvas,
    /// The source itself, and what the stages on the whole have made.
    planes: BTreeMap<usize, Patch>,
    shared: BTreeMap<usize, Arc<Tensor>>,
    /// Normalisations of the whole stages.
    factors: BTreeMap<usize, Affine>,
    tiles: HashMap<Rect, Waiting>,
}

/// A tile between two calls: all of it but its planes, and the ticket for those.
struct Waiting {
    progress: Progress,
    ticket: Ticket,
}

/// A tile under way.
struct Progress {
    tile: Tile,
    factors: BTreeMap<usize, Affine>,
    /// Statistics that were used so far.
    passed: usize,
    /// Normalisations that the last stage has counted for, in order, and that are not passed.
    waiting: VecDeque<(usize, Moments)>,
}

/// What several tensors hold together; `None` when one is no picture of its place's size.
fn assembled(sources: &[(Source, &Tensor)]) -> Option<Patch> {
    let patch = |(source, tensor): &(Source, &Tensor)| Patch::new(source.place, (*tensor).clone());
    if let [source] = sources {
        return patch(source);
    }
    let places = || sources.iter().map(|(source, _)| source.place);
    let place = Rect::new(
        places().map(Rect::x0).min()?,
        places().map(Rect::y0).min()?,
        places().map(Rect::x1).max()?,
        places().map(Rect::y1).max()?,
    );
    let channels = *sources.first()?.1.shape().get(1)?;
    let mut whole = Patch::blank(place.ok()?, channels)?;
    let mut area = 0;
    for source in sources {
        let part = patch(source)?;
        area += part.place().area();
        whole.paste(&part);
    }
    (area == whole.place().area()).then_some(whole)
}

// === impl GraphStages ===

impl GraphStages {
    /// A network that was cut into stages, which the engine knows as [`Network::Stage`](crate::engine::Network::Stage).
    #[must_use]
    pub fn new(network: Vae, staged: Arc<Staged>, spill: Spill) -> Self {
        Self { network, staged, pictures: HashMap::new(), shelf: Shelf::new(spill) }
    }

    fn failed(&self, reason: impl ToString) -> Error {
        Error::Failed { network: self.network.network(), reason: reason.to_string() }
    }

    fn of_tile(&self, error: TileError<Error>) -> Error {
        match error {
            TileError::Run(error) => error,
            other => self.failed(other),
        }
    }

    /// Takes in the sources and runs the stages on the whole, where these come first.
    fn begin(&self, engine: &mut dyn Engine, step: &Step<'_>) -> Result<Picture, Error> {
        let Size { width, height } = step.canvas;
        let input = assembled(step.sources)
            .ok_or_else(|| self.failed("the sources of a tile do not make a picture"))?;
        let mut picture = Picture {
            canvas: Canvas { width, height },
            planes: BTreeMap::from([(self.staged.input(), input)]),
            shared: BTreeMap::new(),
            factors: BTreeMap::new(),
            tiles: HashMap::new(),
        };
        let Some(section) = self.staged.sections().first().filter(|section| section.extent == Extent::Whole)
        else {
            return Ok(picture);
        };
        let mut tile = self.run_whole(engine, section, &mut picture)?;
        picture.shared = tile.shared().clone();
        picture.planes.append(tile.planes_mut());
        Ok(picture)
    }

    /// Runs a section that looks at the whole picture, which knows its statistics itself.
    fn run_whole(
        &self,
        engine: &mut dyn Engine,
        section: &Section,
        picture: &mut Picture,
    ) -> Result<Tile, Error> {
        let Canvas { width, height } = picture.canvas;
        let all = Rect::new(0, 0, width, height).map_err(|error| self.failed(error))?;
        let mut tile = self.tile(picture, section, all)?;
        let mut stager = Stager { engine, network: self.network };
        while tile.next() < section.stages.end {
            let counted = tile.advance(&mut stager, &picture.factors, PIECE_BYTES);
            for (norm, moments) in counted.map_err(|error| self.of_tile(error))? {
                picture.factors.insert(norm, self.affine(norm, &moments)?);
            }
        }
        Ok(tile)
    }

    /// Runs the end of an encoder on what its tiles have made of the whole picture.
    fn conclude(&self, engine: &mut dyn Engine, canvas: Canvas, made: Patch) -> Result<Answer, Error> {
        let (section, plane) =
            end(&self.staged).ok_or_else(|| self.failed("its tiles go through to the result"))?;
        let mut factors = BTreeMap::new();
        let before = &self.staged.stages()[..section.stages.start];
        for &norm in before.iter().flat_map(|stage| stage.counts()) {
            if self.staged.norms()[norm].plane == plane {
                let place = made.place();
                let all =
                    Rect::new(0, 0, place.width(), place.height()).map_err(|error| self.failed(error))?;
                let moments = Moments::of(made.tensor(), all).map_err(|error| self.failed(error))?;
                factors.insert(norm, self.affine(norm, &moments)?);
            }
        }
        let planes = BTreeMap::from([(plane, made)]);
        let mut picture = Picture { canvas, planes, shared: BTreeMap::new(), factors, tiles: HashMap::new() };
        let mut tile = self.run_whole(engine, section, &mut picture)?;
        let result = tile.planes_mut().remove(&self.staged.output());
        let result = result.ok_or_else(|| self.failed("the last stage has no result"))?;
        Ok(Answer::Tensors(vec![result.into_tensor()]))
    }

    fn tile(&self, picture: &Picture, section: &Section, core: Rect) -> Result<Tile, Error> {
        let regions = self
            .staged
            .regions(section, picture.canvas, Core::Input(core))
            .map_err(|error| self.failed(error))?;
        let shared = picture.shared.iter().map(|(&index, tensor)| (index, Arc::clone(tensor)));
        Tile::new(Arc::clone(&self.staged), regions, |plane| picture.planes.get(&plane), shared)
            .map_err(|error| self.failed(error))
    }

    /// A tile at its beginning.
    fn progress(&self, picture: &Picture, core: Rect) -> Result<Progress, Error> {
        let tiles = |section: &&Section| section.extent == Extent::Tiles;
        let section = self.staged.sections().iter().find(tiles);
        let section = section.ok_or_else(|| self.failed("no stage runs in tiles"))?;
        let tile = self.tile(picture, section, core)?;
        Ok(Progress { tile, factors: picture.factors.clone(), passed: 0, waiting: VecDeque::new() })
    }

    fn affine(&self, norm: usize, moments: &Moments) -> Result<Affine, Error> {
        self.staged.norms()[norm].numbers.affine(moments).map_err(|error| self.failed(error))
    }

    fn groups(&self, norm: usize) -> usize {
        self.staged.norms()[norm].numbers.groups()
    }

    /// Runs a tile as far as the statistics go.
    fn go_on(
        &self,
        engine: &mut dyn Engine,
        progress: &mut Progress,
        step: &Step<'_>,
    ) -> Result<Answer, Error> {
        let (known, last) = (step.known, progress.tile.regions().stages().end);
        let mut stager = Stager { engine, network: self.network };
        while progress.tile.next() < last {
            while let Some((norm, own)) = progress.waiting.front() {
                let affine = match known.get(progress.passed) {
                    Some(whole) => self.affine(*norm, whole)?,
                    // The tile is the whole picture.
                    None if step.is_alone() => self.affine(*norm, own)?,
                    None => {
                        let grouped = own.grouped(self.groups(*norm));
                        return grouped.map(Answer::Moments).map_err(|error| self.failed(error));
                    }
                };
                progress.factors.insert(*norm, affine);
                progress.passed += 1;
                progress.waiting.pop_front();
            }
            let counted = progress.tile.advance(&mut stager, &progress.factors, PIECE_BYTES);
            progress.waiting = counted.map_err(|error| self.of_tile(error))?.into();
        }
        if progress.passed < known.len() {
            return Err(self.failed(format_args!(
                "{} statistics for {} normalisations",
                known.len(),
                progress.passed
            )));
        }
        let canvas = Canvas { width: step.canvas.width, height: step.canvas.height };
        let made = self.made(progress)?;
        if step.is_alone() && end(&self.staged).is_some() {
            return self.conclude(stager.engine, canvas, made);
        }
        Ok(Answer::Tensors(vec![made.into_tensor()]))
    }

    /// What a tile that is at its end has made of its core.
    fn made(&self, progress: &Progress) -> Result<Patch, Error> {
        let plane = end(&self.staged).map_or(self.staged.output(), |(_, plane)| plane);
        let core = progress.tile.regions().core(plane);
        let made = core.and_then(|core| progress.tile.planes().get(&plane)?.crop(core));
        made.map(Cow::into_owned).ok_or_else(|| self.failed("the tile has no pixels"))
    }
}

impl Stages for GraphStages {
    fn advance(&mut self, engine: &mut dyn Engine, step: &Step<'_>) -> Result<Answer, Error> {
        if step.part == Part::EncoderEnd {
            let made = assembled(step.sources)
                .ok_or_else(|| self.failed("what the tiles have made does not make a picture"))?;
            let canvas = Canvas { width: step.canvas.width, height: step.canvas.height };
            return self.conclude(engine, canvas, made);
        }
        let sources = step.sources.iter().map(|(source, _)| *source).collect();
        let origin = Origin { canvas: step.canvas, sources };
        let mut picture = match self.pictures.remove(&origin) {
            Some(picture) => picture,
            None => self.begin(engine, step)?,
        };
        let result = self.advance_tile(engine, &mut picture, step);
        self.pictures.insert(origin, picture);
        result
    }

    fn measure(&mut self, engine: &mut dyn Engine, part: Part, input: &Tensor) -> Result<Answer, Error> {
        let [_, _, height, width] = input.nchw().unwrap_or_default();
        let side = |length: usize| u32::try_from(length).unwrap_or(0);
        let canvas = Size { width: side(width), height: side(height) };
        let core = Rect::new(0, 0, canvas.width, canvas.height).map_err(|error| self.failed(error))?;
        let source = Source { place: core, digest: Digest::of(input) };
        let step = Step { part, canvas, sources: &[(source, input)], core, known: &[] };
        let picture = self.begin(engine, &step)?;
        let Progress { mut tile, mut factors, .. } = self.progress(&picture, core)?;
        let mut stager = Stager { engine, network: self.network };
        let mut all = Vec::new();
        while tile.next() + 1 < tile.regions().stages().end {
            let counted = tile.advance(&mut stager, &factors, PIECE_BYTES);
            for (norm, own) in counted.map_err(|error| self.of_tile(error))? {
                factors.insert(norm, self.affine(norm, &own)?);
                all.push(own.grouped(self.groups(norm)).map_err(|error| self.failed(error))?);
            }
        }
        Ok(Answer::Statistics(all))
    }

    fn forget(&mut self, source: Digest) {
        self.drop_where(|origin| origin.sources.iter().any(|part| part.digest == source));
    }

    fn forget_all(&mut self) {
        self.drop_where(|_| true);
    }
}

impl GraphStages {
    /// Drops pictures and the planes of their tiles.
    fn drop_where(&mut self, gone: impl Fn(&Origin) -> bool) {
        let Self { pictures, shelf, .. } = self;
        for (_, picture) in pictures.extract_if(|origin, _| gone(origin)) {
            picture.tiles.into_values().for_each(|waiting| shelf.discard(waiting.ticket));
        }
    }

    fn advance_tile(
        &mut self,
        engine: &mut dyn Engine,
        picture: &mut Picture,
        step: &Step<'_>,
    ) -> Result<Answer, Error> {
        // A tile that is further than asked was asked for twice, or by another coordinator: it begins again.
        let mut progress = match picture.tiles.remove(&step.core) {
            Some(Waiting { mut progress, ticket }) if progress.passed <= step.known.len() => {
                *progress.tile.planes_mut() = self.shelf.take(ticket).map_err(|error| self.failed(error))?;
                progress
            }
            further => {
                further.into_iter().for_each(|waiting| self.shelf.discard(waiting.ticket));
                self.progress(picture, step.core)?
            }
        };
        let answer = self.go_on(engine, &mut progress, step)?;
        if matches!(answer, Answer::Moments(_)) {
            let planes = std::mem::take(progress.tile.planes_mut());
            let ticket = self.shelf.put(planes).map_err(|error| self.failed(error))?;
            picture.tiles.insert(step.core, Waiting { progress, ticket });
        }
        Ok(answer)
    }
}

impl std::fmt::Debug for GraphStages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GraphStages")
            .field("network", &self.network)
            .field("pictures", &self.pictures.len())
            .finish_non_exhaustive()
    }
}
