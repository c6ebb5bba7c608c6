//! A picture on its way to a latent, exactly: parts of statistics and of what tiles have made in any order in, the latent
//! out. Pure.
//!
//! An encoder's tiles pass their barriers together, as a decoder's do. Each is sent its own part of the picture with the
//! halo that its network looks at, never the whole. At the latent's resolution what they have made is joined, and the
//! network's last part, whose attention looks at all of it, is one task.

use std::sync::Arc;

use tessera_proto::{Answer, Digest, Moments, Part, Rect, Source, Tensor, Work, job::Size};

use super::{
    decoding::only,
    encoding::Step,
    error::Error,
    plan::ExactEncodePlan,
    posterior::Posterior,
    reduced::reduced,
    rounds::{Round, Rounds},
};
use crate::{
    canvas::TileIndex,
    picture::{Picture, rgb},
};

/// Most bytes of a band: many below what a message may have, so that a picture of any size is sent in few of them and
/// memory is never asked for a second copy of the whole.
const BAND_BYTES: usize = 64 << 20;

/// Rows that are read at a time for an estimate. Fixed: it decides the last bits.
const BAND_ROWS: u32 = 256;

/// An exact encode under way.
#[derive(Debug)]
pub struct ExactEncode {
    plan: ExactEncodePlan,
    /// Planes of a latent.
    channels: usize,
    /// In fast mode: the smaller picture, until its statistics are there.
    small: Option<Tensor>,
    stage: Stage,
}

/// How far it is.
#[derive(Debug)]
enum Stage {
    /// Tiles pass barriers.
    Tiles { picture: Picture, digests: Vec<Digest>, rounds: Rounds, bands: Vec<Band> },
    /// The last part waits for its result.
    End(Vec<(Source, Arc<Tensor>)>),
}

/// What tiles have made, whole rows of it.
#[derive(Debug)]
struct Band {
    /// Latent px.
    place: Rect,
    /// `[1, c, h, w]`
    tensor: Tensor,
}

// === impl ExactEncode ===

impl ExactEncode {
    /// Begins with a picture of the plan's size. Reads all of it, to name the tiles' parts.
    pub(super) fn new(plan: ExactEncodePlan, picture: Picture, channels: usize) -> Result<Self, Error> {
        let tiles = (0..).map(TileIndex).take(plan.tiles.count());
        let digests = tiles.map(|tile| Ok(Digest::of(&crop(&picture, plan.tiles.seen(tile))?)));
        let digests = digests.collect::<Result<_, Error>>()?;
        let small = plan.estimate.map(|estimate| {
            let Size { width, height } = plan.canvas;
            let band = |y0: u32| {
                let y1 = height.min(y0 + BAND_ROWS);
                crop(&picture, Rect::new(0, y0, width, y1).expect("a band has a row"))
            };
            reduced((plan.canvas, estimate.size), (0..height).step_by(BAND_ROWS as usize).map(band))
        });
        let small = small.transpose()?;
        let rounds = Rounds::new(plan.tiles.count(), plan.barriers);
        let bands = if plan.has_end() { bands(latent_size(&plan), plan.crossing)? } else { Vec::new() };
        Ok(Self { plan, channels, small, stage: Stage::Tiles { picture, digests, rounds, bands } })
    }

    /// The picture, until its tiles have ended.
    pub(super) const fn picture(&self) -> Option<&Picture> {
        match &self.stage {
            Stage::Tiles { picture, .. } => Some(picture),
            Stage::End(_) => None,
        }
    }

    /// The same, for whoever begins again with it.
    pub(super) fn into_picture(self) -> Option<Picture> {
        match self.stage {
            Stage::Tiles { picture, .. } => Some(picture),
            Stage::End(_) => None,
        }
    }

    /// Tiles.
    pub(super) fn tiles(&self) -> usize {
        self.plan.tiles.count()
    }

    /// Height of what a tile sees, px.
    pub(super) fn height(&self, tile: TileIndex) -> u32 {
        self.plan.tiles.seen(tile).height()
    }

    /// Barriers that all tiles have passed.
    pub(super) fn passed(&self) -> usize {
        match &self.stage {
            Stage::Tiles { rounds, .. } => rounds.known().len(),
            Stage::End(_) => self.plan.barriers,
        }
    }

    /// The name of a tile's part of the picture.
    pub(super) fn source(&self, tile: TileIndex) -> Option<Digest> {
        match &self.stage {
            Stage::Tiles { digests, .. } => digests.get(tile.get()).copied(),
            Stage::End(_) => None,
        }
    }

    /// The tensors that works name now.
    pub(super) fn digests(&self) -> Vec<Digest> {
        match &self.stage {
            Stage::Tiles { digests, .. } => digests.clone(),
            Stage::End(bands) => bands.iter().map(|(source, _)| source.digest).collect(),
        }
    }

    /// A tensor that a work names.
    pub(super) fn tensor(&self, digest: Digest) -> Option<Arc<Tensor>> {
        match &self.stage {
            Stage::Tiles { picture, digests, .. } => {
                let index = digests.iter().position(|&name| name == digest)?;
                let tile = TileIndex(u32::try_from(index).ok()?);
                crop(picture, self.plan.tiles.seen(tile)).ok().map(Arc::new)
            }
            Stage::End(bands) => {
                let band = bands.iter().find(|(source, _)| source.digest == digest);
                band.map(|(_, tensor)| Arc::clone(tensor))
            }
        }
    }

    /// In fast mode, what is to be run before all tiles.
    pub(super) fn measure(&self) -> Option<Work> {
        self.small.clone().map(|input| Work::Measure { part: Part::Encoder, input })
    }

    /// Takes the statistics that [`measure`](Self::measure) asks for, as far as they are used.
    pub(super) fn measured(&mut self, mut statistics: Vec<Moments>) {
        statistics.truncate(self.plan.estimate.map_or(0, |estimate| estimate.barriers));
        self.small = None;
        if let Stage::Tiles { rounds, .. } = &mut self.stage {
            rounds.know(statistics);
        }
    }

    /// A tile's next step.
    pub(super) fn work(&self, tile: TileIndex) -> Work {
        let (place, core) = (self.plan.tiles.seen(tile), self.plan.tiles.core(tile));
        let known = match &self.stage {
            Stage::Tiles { rounds, .. } => rounds.known().to_vec(),
            Stage::End(_) => Vec::new(),
        };
        let sources = self.source(tile).map(|digest| Source { place, digest }).into_iter().collect();
        Work::Advance { part: Part::Encoder, canvas: self.plan.canvas, sources, core, known }
    }

    /// The network's last part, once what the tiles have made is joined.
    pub(super) fn end_work(&self) -> Option<Work> {
        let Stage::End(bands) = &self.stage else { return None };
        let canvas = self.plan.canvas;
        let core = Rect::new(0, 0, canvas.width, canvas.height).expect("a picture is not empty");
        let sources = bands.iter().map(|(source, _)| *source).collect();
        Some(Work::Advance { part: Part::EncoderEnd, canvas, sources, core, known: Vec::new() })
    }

    /// Whether an answer is of the kind and shape that the next step of a tile, or the last part, has.
    pub(super) fn fits(&self, tile: Option<TileIndex>, answer: &Answer) -> bool {
        let tensors = match (&self.stage, tile, answer) {
            (_, None, Answer::Statistics(list)) => {
                return self.small.is_some() && list.len() == self.plan.barriers;
            }
            (Stage::Tiles { rounds, .. }, Some(_), Answer::Moments(moments)) => return rounds.fits(moments),
            (Stage::Tiles { rounds, .. }, Some(_), Answer::Tensors(tensors)) if rounds.is_last() => tensors,
            (Stage::End(_), None, Answer::Tensors(tensors)) => tensors,
            _ => return false,
        };
        let [tensor] = tensors.as_slice() else { return false };
        let Some([1, planes, rows, columns]) = tensor.nchw() else { return false };
        let core = match tile {
            Some(tile) => self.made(tile),
            None => whole(latent_size(&self.plan)),
        };
        let expected = match tile {
            Some(_) if self.plan.has_end() => planes == self.plan.crossing,
            // Mean and log variance, or a latent alone from graphs that sample inside.
            _ => planes == self.channels || planes == 2 * self.channels,
        };
        expected && (rows, columns) == (core.height() as usize, core.width() as usize)
    }

    /// Takes an answer that [fits](Self::fits).
    pub(super) fn complete(&mut self, tile: Option<TileIndex>, answer: Answer) -> Result<Step, Error> {
        let (Some(tile), Stage::Tiles { .. }) = (tile, &self.stage) else {
            return Ok(Step::Done(self.posterior(only(answer)?)));
        };
        let core = self.made(tile);
        let mut last = None;
        let Stage::Tiles { rounds, bands, .. } = &mut self.stage else { return Ok(Step::Wait) };
        let part = match answer {
            Answer::Moments(part) => Some(part),
            answer => {
                let made = only(answer)?;
                bands.iter_mut().for_each(|band| band.paste(&made, core));
                last = Some(made);
                None
            }
        };
        Ok(match (rounds.arrive(tile.get(), part)?, last) {
            (Round::Wait, _) => Step::Wait,
            (Round::Advance, _) => Step::Advance,
            (Round::End, Some(moments)) if !self.plan.has_end() => Step::Done(self.posterior(moments)),
            (Round::End, _) => Step::Join,
        })
    }

    /// Names what the tiles have made. Reads all of it.
    pub(super) fn join(self) -> Self {
        let Self { plan, channels, small, stage } = self;
        let stage = match stage {
            Stage::Tiles { bands, .. } => Stage::End(bands.into_iter().map(Band::named).collect()),
            stage @ Stage::End(_) => stage,
        };
        Self { plan, channels, small, stage }
    }

    /// The px that a tile makes at the latent's resolution.
    fn made(&self, tile: TileIndex) -> Rect {
        let (core, scale) = (self.plan.tiles.core(tile), self.plan.scale);
        let [x0, y0, x1, y1] = [core.x0(), core.y0(), core.x1(), core.y1()].map(|px| px / scale);
        Rect::new(x0, y0, x1, y1).expect("cores are multiples of a latent px")
    }

    /// What moments `[1, 2c, h, w]` say, or a latent `[1, c, h, w]` alone.
    fn posterior(&self, moments: Tensor) -> Posterior {
        let Size { width, height } = latent_size(&self.plan);
        let values = self.channels * width as usize * height as usize;
        Posterior::new(moments.into_data(), values)
    }
}

// === impl Band ===

impl Band {
    /// Takes over the rows that it shares with a tile's result, which lies at `core`, latent px.
    fn paste(&mut self, made: &Tensor, core: Rect) {
        let Some(common) = self.place.intersection(core) else { return };
        let [_, channels, height, columns] = self.tensor.nchw().unwrap_or_default();
        let (length, rows) = (core.width() as usize, core.height() as usize);
        for channel in 0..channels {
            for y in common.y0()..common.y1() {
                let from = (channel * rows + (y - core.y0()) as usize) * length;
                let to = (channel * height + (y - self.place.y0()) as usize) * columns + core.x0() as usize;
                self.tensor.data_mut()[to..to + length].copy_from_slice(&made.data()[from..from + length]);
            }
        }
    }

    fn named(self) -> (Source, Arc<Tensor>) {
        let Self { place, tensor } = self;
        (Source { place, digest: Digest::of(&tensor) }, Arc::new(tensor))
    }
}

/// Empty bands that cover a canvas, latent px.
fn bands(size: Size, channels: usize) -> Result<Vec<Band>, Error> {
    let row_bytes = channels * size.width as usize * size_of::<f32>();
    let rows = u32::try_from((BAND_BYTES / row_bytes).max(1)).unwrap_or(size.height);
    let band = |y0: u32| {
        let y1 = size.height.min(y0.saturating_add(rows));
        let place = Rect::new(0, y0, size.width, y1).expect("a band has a row");
        Ok(Band { place, tensor: Tensor::zeros([1, channels, (y1 - y0) as usize, size.width as usize])? })
    };
    (0..size.height).step_by(rows as usize).map(band).collect()
}

/// A part of a picture as an encoder takes it, `[1, 3, h, w]`.
fn crop(picture: &Picture, place: Rect) -> Result<Tensor, Error> {
    let shape = [1, rgb::CHANNELS, place.height() as usize, place.width() as usize];
    Ok(Tensor::new(shape, picture.planes(place)?)?)
}

/// Size of the latent, latent px.
fn latent_size(plan: &ExactEncodePlan) -> Size {
    Size { width: plan.canvas.width / plan.scale, height: plan.canvas.height / plan.scale }
}

fn whole(size: Size) -> Rect {
    Rect::new(0, 0, size.width, size.height).expect("a latent is not empty")
}

#[cfg(test)]
mod tests;
