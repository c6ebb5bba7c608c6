//! Tiles of a plan: canvas sizes in; tilings of the denoising pass and of the VAE out.

use std::sync::Arc;

use tessera_proto::{
    JobSpec, ModelFacts, Rect,
    facts::{Exactness, Peaks},
    job::{Choice, Size, TileGrid, VaeMode},
    limits,
};

use super::{
    DecodePlan, EncodePlan, Error, Estimate, ExactEncodePlan, ExactPlan, Planner, VaePlan, decode, latent,
};
use crate::{
    canvas::{Axis, AxisRequest, Cores, CoresRequest, Grid, Tiling, WeightKind},
    picture::rgb,
};

/// Default side of a VAE decoder tile, latent px: what Tiled VAE takes for 8 GB of memory and for CPUs.
const VAE_TILE: u32 = 64;

/// Sides of an exact decode's cores where the tile is left open, latent px: the first whose tile fits into the memory.
/// Larger ones spare little work (the README has figures) and leave less for other workers.
const OPEN_CORES: [u32; 3] = [128, 64, 32];

/// Memory that one tile of the VAE may take where the job does not say, MiB: Stable Diffusion's decoder gets cores of
/// 64 latent px. A constant, so that the picture does not depend on who is there.
const VAE_MEMORY: u32 = 2048;

/// Smallest side of an exact decode's core where the tile is left open, latent px.
const LEAST_CORE: u32 = 32;

/// Default side of a VAE encoder tile, image px: likewise.
const VAE_ENCODE_TILE: u32 = 512;

/// Largest tensor of a task, bytes; the rest of its message is below 64 KiB.
pub(super) const LARGEST_TENSOR: usize = limits::FLEET_MESSAGE - (64 << 10);

/// Most often that tiles may cover the canvas. diffusers' panorama, with a stride of an eighth of the window, covers it
/// up to 64 times; far beyond it lies only waste, of the devices' time and of the coordinator's memory.
const MAX_REDUNDANCY: f64 = 256.0;

/// How a network is cut.
struct Cut<'f> {
    barriers: usize,
    /// Px of the network's input.
    halo: u32,
    crossing: usize,
    prefix: usize,
    peaks: &'f Peaks,
}

/// A tile of the denoising passes and the least overlap of two, latent px: what is asked for, else what suits the model.
pub(super) fn tile_and_overlap(spec: &JobSpec, facts: &ModelFacts) -> (Size, u32) {
    let side = (facts.sample_size * 3 / 2).max(8);
    let tile = spec.tile.unwrap_or(Size { width: side, height: side });
    (tile, spec.overlap.unwrap_or(tile.width.min(tile.height) / 4))
}

impl Planner<'_> {
    /// The denoising tiles over a canvas of `size` px.
    pub(super) fn tiling(&mut self, size: Size, tiled: bool) -> Result<Tiling, Error> {
        let (spec, facts) = (self.spec, self.facts);
        let (tile, overlap) = tile_and_overlap(spec, facts);
        let canvas = latent(size, facts);
        let multiple = facts.latent_multiple;
        let axis = |length, tile| {
            let request = if tiled {
                AxisRequest { length, tile, overlap, multiple }
            } else {
                AxisRequest { length, tile: length, overlap: 0, multiple }
            };
            Axis::new(spec.tile_grid, request).map_err(Error::Tiles)
        };
        let x = axis(canvas.width, tile.width)?;
        let grid = Grid::new(x, axis(canvas.height, tile.height)?).map_err(Error::Tiles)?;
        let redundancy = grid.redundancy();
        if MAX_REDUNDANCY < redundancy {
            return Err(Error::Redundancy { redundancy });
        }
        if grid.is_padded() {
            let (width, height) = grid.padded();
            self.notes.push(format!(
                "the model takes latents in multiples of {multiple}: tiles of {}x{} latent px are padded to \
                 {width}x{height} for the network and cut back after it",
                grid.x().tile(),
                grid.y().tile()
            ));
        }
        let tiling = Tiling::new(grid, WeightKind::from(spec.tile_method));
        let batch = (spec.tile_batch as usize).min(tiling.grid().tiles().len());
        let bytes = batch * tiling.tile_len(facts.latent_channels as usize) * size_of::<f32>();
        if LARGEST_TENSOR < bytes {
            return Err(Error::BatchBytes { batch, mib: bytes >> 20 });
        }
        Ok(tiling)
    }

    pub(super) fn vae_decode(&self, size: Size) -> Result<DecodePlan, Error> {
        let fast = self.spec.vae == VaeMode::Fast;
        if !fast && self.spec.vae != VaeMode::Exact {
            return Ok(DecodePlan::Blend(self.vae(size, self.spec.vae_tile.unwrap_or(VAE_TILE))?));
        }
        let Cut { barriers, halo, peaks, .. } = self.cut(&self.facts.exact_decode)?;
        let (canvas, scale) = (latent(size, self.facts), self.facts.vae_scale);
        let tile = self.spec.vae_tile.unwrap_or_else(|| {
            let open = self.open_core(peaks);
            // Even a small picture gets several: one leaves all devices but one idle. In fast mode the tile's size is the
            // estimate's, which shall not be worse than it must.
            let half = canvas.width.max(canvas.height).div_ceil(2).max(LEAST_CORE);
            if fast { open } else { open.min(half) }
        });
        let cores = decode::cores(canvas, tile).map_err(Error::VaeTiles)?;
        let pixels = |rect: &Rect| (rect.width() * scale) as usize * (rect.height() * scale) as usize;
        let bytes = cores.iter().map(pixels).max().unwrap_or_default() * rgb::CHANNELS * size_of::<f32>();
        let source = canvas.width as usize * canvas.height as usize * self.facts.latent_channels as usize;
        let bytes = bytes.max(source * size_of::<f32>());
        if LARGEST_TENSOR < bytes {
            return Err(Error::VaeTileBytes { width: tile, height: tile, mib: bytes >> 20 });
        }
        let estimate = (fast && 1 < cores.len()).then(|| Estimate::new(canvas, (tile, 1), barriers));
        let peaks = Arc::new(peaks.clone());
        Ok(DecodePlan::Exact(ExactPlan { canvas, cores, barriers, estimate, halo, scale, peaks }))
    }

    /// The largest core, latent px, whose tile fits into the memory that it may take.
    fn open_core(&self, peaks: &Peaks) -> u32 {
        if peaks.tiles().is_empty() {
            return VAE_TILE;
        }
        let memory = u64::from(self.spec.vae_memory.unwrap_or(VAE_MEMORY)) << 20;
        let fits = |side: &u32| peaks.tile(*side).is_some_and(|bytes| bytes <= memory);
        OPEN_CORES.into_iter().find(fits).unwrap_or(decode::SMALLEST_CORE)
    }

    pub(super) fn vae_encode(&self, size: Size) -> Result<EncodePlan, Error> {
        let (tile, scale) = (self.spec.vae_encode_tile.unwrap_or(VAE_ENCODE_TILE), self.facts.vae_scale);
        let fast = self.spec.vae == VaeMode::Fast;
        if !fast && self.spec.vae != VaeMode::Exact {
            return Ok(EncodePlan::Blend(self.vae(size, tile / scale)?));
        }
        let Cut { barriers, halo, crossing, prefix, .. } = self.cut(&self.facts.exact_encode)?;
        let canvas = (size.width, size.height);
        let request = CoresRequest { canvas, tile, halo, multiple: scale };
        let tiles = Cores::new(request).map_err(Error::VaeTiles)?;
        let bytes = |(width, height): (u32, u32), channels: usize| {
            width as usize * height as usize * channels * size_of::<f32>()
        };
        let (width, height) = tiles.largest_core();
        let (width, height) = (width / scale, height / scale);
        let bytes = bytes(tiles.largest_seen(), rgb::CHANNELS).max(bytes((width, height), crossing));
        if LARGEST_TENSOR < bytes {
            return Err(Error::VaeTileBytes { width, height, mib: bytes >> 20 });
        }
        let estimated = if self.spec.vae_color_fix { prefix } else { barriers };
        let estimate = (fast && 1 < tiles.count()).then(|| Estimate::new(size, (tile, scale), estimated));
        let tiles = Arc::new(tiles);
        Ok(EncodePlan::Exact(ExactEncodePlan {
            canvas: size,
            tiles,
            halo,
            barriers,
            estimate,
            crossing,
            scale,
        }))
    }

    /// The VAE's tiles over a canvas of `size` px; `tile` in latent px.
    fn vae(&self, size: Size, tile: u32) -> Result<VaePlan, Error> {
        let canvas = latent(size, self.facts);
        let axis = |length: u32| {
            let tile = match self.spec.vae {
                VaeMode::Exact | VaeMode::Fast | VaeMode::Blend => tile.min(length),
                VaeMode::Off => length,
            };
            // A quarter of the tile, as diffusers' tiled VAE has it.
            let request = AxisRequest { length, tile, overlap: tile / 4, multiple: 1 };
            Axis::new(TileGrid::Spread, request).map_err(Error::VaeTiles)
        };
        let grid = Grid::new(axis(canvas.width)?, axis(canvas.height)?).map_err(Error::VaeTiles)?;
        let latent = Tiling::new(grid, WeightKind::Ramp);
        let image = latent.scaled(self.facts.vae_scale, WeightKind::Ramp).map_err(Error::VaeTiles)?;
        let (width, height) = latent.grid().padded();
        let bytes = image.tile_len(rgb::CHANNELS) * size_of::<f32>();
        if LARGEST_TENSOR < bytes {
            return Err(Error::VaeTileBytes { width, height, mib: bytes >> 20 });
        }
        Ok(VaePlan { latent: Arc::new(latent), image: Arc::new(image) })
    }

    /// How a network is cut.
    fn cut<'f>(&self, exactness: &'f Exactness) -> Result<Cut<'f>, Error> {
        let size = |number: u32| number as usize;
        match exactness {
            Exactness::Cut { barriers, halo, crossing, prefix, peaks } => Ok(Cut {
                barriers: size(*barriers),
                halo: *halo,
                crossing: size(*crossing),
                prefix: size(*prefix),
                peaks,
            }),
            Exactness::Refused(sentence) => {
                Err(Error::Exact { mode: self.spec.vae.name(), sentence: sentence.clone() })
            }
        }
    }
}
