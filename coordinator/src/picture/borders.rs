//! Where tiles meet in a finished picture: its texts or a tile's side in, the places of their borders out.

use serde::Serialize;
use serde_json::Value;
use tessera_proto::job::TileGrid;

use super::{exif::Texts, parameters::Parameters};
use crate::canvas::{Axis, AxisRequest, Cores, CoresRequest, TileIndex, grid::MAX_TILES};

/// Latent pixels are so many px wide in every model that we render with.
const LATENT: u32 = 8;

/// Lines between pixels where tiles begin or end, px: border `b` lies between pixels `b - 1` and `b`. Ascending, within
/// the picture.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Borders {
    columns: Vec<u32>,
    rows: Vec<u32>,
}

/// Whose tiles they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tiles {
    /// Those of the last denoising pass.
    Diffusion,
    /// Those that the VAE decoded.
    Decode,
    /// Those that the user named.
    Given,
}

/// One axis of a grid as texts describe it; latent px.
#[derive(Debug, Clone, Copy)]
struct Described {
    canvas: u32,
    tile: u32,
    overlap: u32,
}

// === impl Borders ===

impl Borders {
    /// Those of tiles of `tile` px a side that touch without overlap, on a picture of this size, px.
    #[must_use]
    pub fn every(tile: u32, width: u32, height: u32) -> Self {
        let multiples = |length: u32| (tile.max(1)..length).step_by(tile.max(1) as usize).collect();
        Self { columns: multiples(width), rows: multiples(height) }
    }

    /// Those that a picture of this size, px, says it has: of the last denoising pass and of the decode, as far as it
    /// says so. A stage of a single tile has none, and is left out.
    ///
    /// Our JSON is asked first, which has all there is to know; then A1111's text.
    #[must_use]
    pub fn of_texts(texts: &Texts, size: (u32, u32)) -> Vec<(Tiles, Self)> {
        let json = texts.tessera.as_ref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let parameters = texts.parameters.as_ref().map(|text| Parameters::parse(text));
        let borders = |tiles| {
            let found = json.as_ref().and_then(|json| of_json(json, tiles, size));
            let found = found.or_else(|| of_parameters(parameters.as_ref()?, tiles, size))?;
            (!found.columns.is_empty() || !found.rows.is_empty()).then_some((tiles, found))
        };
        [Tiles::Diffusion, Tiles::Decode].into_iter().filter_map(borders).collect()
    }

    /// Between columns, px.
    #[must_use]
    pub fn columns(&self) -> &[u32] {
        &self.columns
    }

    /// Between rows, px.
    #[must_use]
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Sorted, each once, within a picture of this size.
    fn new(mut columns: Vec<u32>, mut rows: Vec<u32>, (width, height): (u32, u32)) -> Self {
        for (borders, length) in [(&mut columns, width), (&mut rows, height)] {
            borders.retain(|&border| 0 < border && border < length);
            borders.sort_unstable();
            borders.dedup();
        }
        Self { columns, rows }
    }
}

// === impl Tiles ===

impl Tiles {
    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Diffusion => "diffusion",
            Self::Decode => "decode",
            Self::Given => "given",
        }
    }
}

// === impl Described ===

impl Described {
    /// Where its tiles begin and end, and how many they are.
    fn borders(self, kind: TileGrid) -> Option<(Vec<u32>, usize)> {
        let Self { canvas, tile, overlap } = self;
        if canvas == 0 || tile == 0 || (MAX_TILES as u64) < u64::from(canvas / tile) {
            return None;
        }
        if overlap == 0 {
            let line = CoresRequest { canvas: (canvas, 1), tile, halo: 0, multiple: 1 };
            let cores = Cores::new(line).ok()?;
            let starts = (0..).map(|index| cores.core(TileIndex(index)).x0()).take(cores.count());
            return Some((starts.collect(), cores.count()));
        }
        let axis = Axis::new(kind, AxisRequest { length: canvas, tile, overlap, multiple: 1 }).ok()?;
        let ends = axis.starts().iter().map(|start| start + axis.tile());
        Some((axis.starts().iter().copied().chain(ends).collect(), axis.starts().len()))
    }
}

/// From our own JSON: a stage's `borders`, px, where it names them; else its tiles and what the job says of overlaps.
fn of_json(json: &Value, tiles: Tiles, size: (u32, u32)) -> Option<Borders> {
    let stages = json["plan"]["stages"].as_array()?;
    let is_meant = |stage: &&Value| match tiles {
        Tiles::Diffusion => stage["network"] == "unet",
        Tiles::Decode => stage["stage"] == "decode",
        Tiles::Given => false,
    };
    let stage = stages.iter().rev().find(is_meant)?;
    if let Value::Object(borders) = &stage["borders"] {
        let list = |name: &str| borders.get(name)?.as_array()?.iter().map(number).collect::<Option<Vec<_>>>();
        return Some(Borders::new(list("columns")?, list("rows")?, size));
    }
    let sides = |value: &Value| Some((number(&value["width"])?, number(&value["height"])?));
    let (canvas, tile) = (sides(&stage["canvas"])?, sides(&stage["tile"])?);
    let job = &json["job"];
    // A quarter of the tile, unless the job says otherwise, is the plan's rule for both.
    let (overlap, kind) = match tiles {
        Tiles::Diffusion => {
            let asked = sides(&job["tile"]).unwrap_or(tile);
            let overlap = number(&job["overlap"]).unwrap_or(asked.0.min(asked.1) / 4);
            ((overlap, overlap), kind(job["tile_grid"].as_str()))
        }
        _ => ((tile.0 / 4, tile.1 / 4), TileGrid::Spread),
    };
    let x = Described { canvas: canvas.0, tile: tile.0, overlap: overlap.0 };
    let y = Described { canvas: canvas.1, tile: tile.1, overlap: overlap.1 };
    placed(kind, (x, y), number(&stage["tiles"]), size)
}

/// From A1111's text: `Tile size` or `VAE tile size`, latent px, and the keys beside it.
fn of_parameters(parameters: &Parameters, tiles: Tiles, size: (u32, u32)) -> Option<Borders> {
    let prefix = match tiles {
        Tiles::Diffusion => "Tile",
        Tiles::Decode => "VAE tile",
        Tiles::Given => return None,
    };
    let text = |key: &str| parameters.get(&format!("{prefix} {key}"));
    let number = |key: &str| text(key)?.parse::<u32>().ok();
    // A text's `64x64` is read as two numbers.
    let (width, height, overlap) = (number("size-1")?, number("size-2")?, number("overlap")?);
    let x = Described { canvas: size.0.div_ceil(LATENT), tile: width, overlap };
    let y = Described { canvas: size.1.div_ceil(LATENT), tile: height, overlap };
    placed(kind(text("grid")), (x, y), number("count"), size)
}

/// The borders of tiles as the coordinator places them; `None` where there would not be as many tiles as the picture
/// says it has.
fn placed(
    kind: TileGrid,
    (x, y): (Described, Described),
    count: Option<u32>,
    size: (u32, u32),
) -> Option<Borders> {
    let ((columns, across), (rows, down)) = (x.borders(kind)?, y.borders(kind)?);
    if count.is_some_and(|count| count as usize != across * down) {
        return None;
    }
    let scale = size.0.div_ceil(x.canvas);
    let scaled = |borders: Vec<u32>| borders.into_iter().map(|border| border.checked_mul(scale)).collect();
    let (columns, rows): (Option<Vec<_>>, Option<Vec<_>>) = (scaled(columns), scaled(rows));
    Some(Borders::new(columns?, rows?, size))
}

/// What a grid is called, in any case; those that we do not know are taken for the usual one.
fn kind(name: Option<&str>) -> TileGrid {
    if name.is_some_and(|name| name.eq_ignore_ascii_case("stride")) {
        TileGrid::Stride
    } else {
        TileGrid::Spread
    }
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

#[cfg(test)]
mod tests;
