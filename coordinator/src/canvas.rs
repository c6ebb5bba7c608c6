//! The canvas of a tiled pass: sizes in; tiles, cells, weights, crops and blended rows out. Pure arithmetic.
//!
//! A [`Tiling`] is the one geometry of a pass, computed here and nowhere else: workers get crops and give back
//! predictions, and never see where a tile lies.
//!
//! ```text
//! AxisRequest ×2 ─→ Axis ×2 ─→ Grid ─→ Cells     what may be blended once which tiles are there
//!                                 └──→ Weights   how much each tile counts at each pixel
//! canvas ─ crop ─→ tile (padded) ─ network ─→ tile result ─ blend ─→ rows of a cell
//! ```
//!
//! All lengths are pixels of the canvas at hand: latent px for the denoising pass, image px for VAE decode, which
//! uses the latent grid [`Tiling::scaled`] by 8.

pub mod blend;
pub mod cells;
pub mod cores;
pub mod crop;
pub mod grid;
pub mod latent_resize;
pub mod planes;
pub mod tiling;
pub mod weights;

pub use blend::Blend;
pub use cells::{CellIndex, Cells};
pub use cores::{Cores, CoresRequest};
pub use crop::{crop, paste};
pub use grid::{Axis, AxisRequest, Grid, TileIndex};
pub use latent_resize::{LatentFilter, latent_resize};
pub use planes::Planes;
pub use tiling::Tiling;
pub use weights::{WeightKind, Weights};
