//! How much memory a network in stages takes: the stages in, a table by tile size out. Counted, nothing is run.

use tessera_proto::{Rect, facts::Peaks};

use super::graph::PIECE_BYTES;
use crate::graph::staged::{Canvas, Core, Extent, Section, Staged};

/// Sides of cores that are counted, latent px: from the smallest that a job may ask for to the largest.
const SIDES: [u32; 6] = [16, 32, 64, 128, 256, 512];

/// Side of the picture that they lie on, latent px: 4096 px, where most cores have their full halo on every side and
/// attention is in as many parts as it takes.
const CANVAS: u32 = 512;

/// The table of a network; an empty one where a part of it does not tell.
#[must_use]
pub fn peaks(staged: &Staged) -> Peaks {
    of(staged).unwrap_or_default()
}

fn of(staged: &Staged) -> Option<Peaks> {
    let canvas = canvas(staged);
    let pixels = u64::from(CANVAS) * u64::from(CANVAS);
    let per_pixel = |bytes: u64| bytes.div_ceil(pixels);
    let mut tiles = Vec::new();
    let (mut whole, mut kept, mut run) = (0, 0, 0);
    for section in staged.sections() {
        match section.extent {
            Extent::Tiles => {
                for side in SIDES {
                    tiles.push((side, tile(staged, section, side)?));
                }
            }
            Extent::Whole => {
                let all = Rect::new(0, 0, canvas.width, canvas.height).ok()?;
                let regions = staged.regions(section, canvas, Core::Input(all)).ok()?;
                let shared = staged.shared_bytes(canvas);
                // Keys and values are made by the last stages; they are counted all along.
                whole = per_pixel(staged.held_bytes(&regions) + shared);
                kept = per_pixel(staged.kept_bytes(&regions) + shared);
                run = regions.stages().map(|stage| staged.run_bytes(&regions, stage, PIECE_BYTES)).max()?;
            }
        }
    }
    // A larger tile never needs less; where pieces happen to fall better, the table keeps the worse.
    let mut most = 0;
    for (_, bytes) in &mut tiles {
        most = most.max(*bytes);
        *bytes = most;
    }
    Peaks::new(tiles, whole, kept, run).ok()
}

/// Most bytes of a tile in the middle of the picture.
fn tile(staged: &Staged, section: &Section, side: u32) -> Option<u64> {
    let start = (CANVAS - side) / 2;
    let core = Rect::new(start, start, start + side, start + side).ok()?;
    let core = if enlarges(staged) { Core::Input(core) } else { Core::Output(core) };
    let regions = staged.regions(section, canvas(staged), core).ok()?;
    Some(staged.peak(&regions, PIECE_BYTES))
}

/// The picture as it goes into the network.
fn canvas(staged: &Staged) -> Canvas {
    let scale = staged.scale();
    let side = if enlarges(staged) { CANVAS } else { CANVAS * scale.down() / scale.up() };
    Canvas { width: side, height: side }
}

/// Whether the input is the latent: a decoder.
fn enlarges(staged: &Staged) -> bool {
    staged.scale().down() <= staged.scale().up()
}
