//! A picture on its way through an upscaling network: enlarged tiles in any order in, the enlarged picture out. Pure.
//!
//! Each pass ends with pixels of 8 bits, as A1111's do, so the next one, and whatever follows, starts from what a user
//! would see.

use std::sync::Arc;

use tessera_proto::{Rect, Tensor, Work};

use super::{
    error::Error,
    gather::Gather,
    plan::{UpscalePass, UpscalePlan, UpscaleTiles},
};
use crate::{
    canvas::{TileIndex, blend::Row},
    picture::{Picture, rgb},
};

/// An enlargement under way; it has at least one pass left.
#[derive(Debug)]
pub(super) struct Upscale {
    plan: Arc<UpscalePlan>,
    /// The pass that is run, an index.
    pass: usize,
    /// The picture before it, sides filled up to the network's multiple.
    source: Picture,
    /// The picture after it, as far as it is painted.
    result: Picture,
    /// Overlapping tiles that wait for their neighbours.
    gather: Option<Gather>,
    left: usize,
}

/// What a tile's result leads to.
#[derive(Debug)]
pub(super) enum Upscaled {
    /// Other tiles are missing.
    Waiting,
    /// A pass is done and the next one begins.
    NextPass,
    /// All is done.
    Done(Picture),
}

// === impl Upscale ===

impl Upscale {
    /// Begins a pass of a plan with a picture of its size; `None` if there is no such pass, and the picture is done.
    pub(super) fn new(
        plan: Arc<UpscalePlan>,
        pass: usize,
        picture: Picture,
    ) -> Result<Result<Self, Picture>, Error> {
        let Some(this) = plan.passes.get(pass) else {
            return Ok(Err(picture));
        };
        let source = picture.filled_up(plan.network.multiple)?;
        let scale = plan.network.scale;
        let result = Picture::black(source.width() * scale, source.height() * scale)?;
        let gather = match &this.tiles {
            UpscaleTiles::Exact(_) => None,
            UpscaleTiles::Ramp { enlarged, .. } => Some(Gather::new(Arc::clone(enlarged), rgb::CHANNELS)),
        };
        Ok(Ok(Self { left: this.tiles.tasks(), pass, source, result, gather, plan }))
    }

    /// The pass that is run, an index.
    pub(super) const fn pass(&self) -> usize {
        self.pass
    }

    /// The picture before it.
    pub(super) const fn picture(&self) -> &Picture {
        &self.source
    }

    /// Tiles of the pass.
    pub(super) fn tasks(&self) -> usize {
        self.this().tiles.tasks()
    }

    /// The pass that is run, from 1, and the network's name.
    pub(super) fn name(&self) -> (usize, &str) {
        (self.pass + 1, &self.plan.network.name)
    }

    /// The tile's pixels, for the network.
    pub(super) fn work(&self, tile: TileIndex) -> Result<Work, Error> {
        let tiles = &self.this().tiles;
        let (seen, kept) = (tiles.seen(tile), tiles.kept(tile));
        let shape = [1, rgb::CHANNELS, seen.height() as usize, seen.width() as usize];
        let image = Tensor::new(shape, self.source.unit_planes(seen)?)?;
        let (x, y) = (seen.x0(), seen.y0());
        let keep = Rect::new(kept.x0() - x, kept.y0() - y, kept.x1() - x, kept.y1() - y)
            .expect("what is kept of a tile is not empty");
        Ok(Work::Upscale { network: self.plan.network.name.clone(), image, keep })
    }

    /// The shape of a tile's result, `[1, 3, h, w]`.
    pub(super) fn shape(&self, tile: TileIndex) -> [usize; 4] {
        let (kept, scale) = (self.this().tiles.kept(tile), self.plan.network.scale as usize);
        [1, rgb::CHANNELS, kept.height() as usize * scale, kept.width() as usize * scale]
    }

    /// Takes a tile's result.
    pub(super) fn complete(&mut self, tile: TileIndex, image: Tensor) -> Result<Upscaled, Error> {
        let expected = self.shape(tile);
        if image.shape() != expected {
            let expected = expected.iter().product();
            return Err(Error::Output { expected, actual: image.data().len() });
        }
        self.paint(tile, image)?;
        self.left -= 1;
        if 0 < self.left {
            return Ok(Upscaled::Waiting);
        }
        let result = std::mem::replace(&mut self.result, Picture::black(1, 1)?);
        let (from, scale) = (self.this().from, self.plan.network.scale);
        let size = Rect::new(0, 0, from.width * scale, from.height * scale);
        let size = size.expect("a picture is not empty");
        let is_filled = (result.width(), result.height()) != (size.x1(), size.y1());
        let picture = if is_filled { result.cropped(size)? } else { result };
        match Self::new(Arc::clone(&self.plan), self.pass + 1, picture)? {
            Ok(next) => {
                *self = next;
                Ok(Upscaled::NextPass)
            }
            Err(picture) => Ok(Upscaled::Done(picture)),
        }
    }

    fn paint(&mut self, tile: TileIndex, image: Tensor) -> Result<(), Error> {
        let Self { result, gather, .. } = self;
        if let Some(gather) = gather {
            let mut painted = Ok(());
            gather.put(tile, image.into_data(), |_, row, values| {
                if painted.is_ok() {
                    painted = result.paint_unit(row, values);
                }
            })?;
            return Ok(painted?);
        }
        let [_, _, height, width] = self.shape(tile);
        let (kept, scale) = (self.this().tiles.kept(tile), self.plan.network.scale);
        let (x0, top) = (kept.x0() * scale, kept.y0() * scale);
        for (channel, plane) in image.data().chunks_exact(height * width).enumerate() {
            for (y, values) in (top..).zip(plane.chunks_exact(width)) {
                self.result.paint_unit(Row { channel, y, x0 }, values)?;
            }
        }
        Ok(())
    }

    fn this(&self) -> &UpscalePass {
        &self.plan.passes[self.pass]
    }
}
