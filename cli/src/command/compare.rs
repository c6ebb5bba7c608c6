//! `tessera compare`: two pictures in, how far they are apart out; or how much the tiles of one or two show.

use std::{fmt, fs, path::Path};

use serde::Serialize;
use tessera_coordinator::picture::{Borders, Comparison, Measures, Raster, Seams, Tiles, compare, seams};
use tessera_proto::limits;

use super::table::Table;
use crate::{
    args::CompareArgs,
    exit::Failure,
    output::{Output, Style},
};

/// Most pixels of a picture that is read: those of the largest that we render.
const MAX_PIXELS: u64 = limits::SIDE as u64 * limits::SIDE as u64;

/// What was found, for people and scripts.
#[derive(Debug, Serialize)]
struct Report<'a> {
    pictures: Vec<Described<'a>>,
    /// How far B is from A; none of one picture.
    comparison: Option<Comparison>,
    /// One for each picture and kind of tiles.
    seams: Vec<Found>,
}

/// A picture in a line.
#[derive(Debug, Serialize)]
struct Described<'a> {
    path: &'a Path,
    width: u32,
    height: u32,
    format: &'static str,
    /// Bits of a sample; 32 = values before rounding.
    bits: u8,
}

/// How much the borders of one kind of tiles show in one picture.
#[derive(Debug, Serialize)]
struct Found {
    picture: &'static str,
    tiles: Tiles,
    /// Borders between columns, and between rows.
    columns: usize,
    rows: usize,
    #[serde(flatten)]
    seams: Seams,
}

/// Measures one picture or two.
///
/// # Errors
/// A file is no picture, their sizes differ, or nobody says where tiles lie.
pub(super) fn run(args: &CompareArgs, output: &Output) -> Result<(), Failure> {
    let paths = [Some(args.a.as_path()), args.b.as_deref()];
    let files: Vec<_> = paths.into_iter().flatten().collect();
    let rasters = files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let comparison = match rasters.as_slice() {
        [a, b] => Some(compare(a, b).map_err(Failure::usage)?),
        _ => None,
    };
    let seams = if args.seams { measure_seams(args, &rasters)? } else { Vec::new() };
    let pictures = files.iter().zip(&rasters).map(|(path, raster)| Described::new(path, raster)).collect();
    let report = Report { pictures, comparison, seams };
    if output.style() == Style::Json {
        return output.json(&report);
    }
    output.data(&report)?;
    if report.comparison.is_some() {
        output.note("levels of 255; shift: how much brighter B is; differing: of all samples, at 8 bits");
    }
    if args.seams {
        output.note("gradient energies in squares of levels; beside: 2 to 8 px from a border; ratios near 1: none shows");
    }
    Ok(())
}

fn read(path: &Path) -> Result<Raster, Failure> {
    let failed = |reason: String| Failure::usage(anyhow::anyhow!("cannot read {}: {reason}", path.display()));
    if path.is_dir() {
        return Err(failed("it is a folder".to_owned()));
    }
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => failed("there is no such file".to_owned()),
        std::io::ErrorKind::PermissionDenied => failed("we may not read it".to_owned()),
        _ => failed(error.to_string()),
    })?;
    Raster::read(bytes, MAX_PIXELS).map_err(|error| failed(error.to_string()))
}

/// The seams of each picture, by its own grids or else by the other's.
fn measure_seams(args: &CompareArgs, rasters: &[Raster]) -> Result<Vec<Found>, Failure> {
    let grids = |raster: &Raster| match args.tile {
        Some(side) => vec![(Tiles::Given, Borders::every(side, raster.width(), raster.height()))],
        None => Borders::of_texts(raster.texts(), (raster.width(), raster.height())),
    };
    let all: Vec<_> = rasters.iter().map(grids).collect();
    let some = all.iter().find(|grids| !grids.is_empty());
    let mut found = Vec::new();
    for ((picture, raster), own) in ["A", "B"].into_iter().zip(rasters).zip(&all) {
        for (tiles, borders) in if own.is_empty() { some.unwrap_or(own) } else { own } {
            let seams = seams(raster, borders);
            found.extend(seams.map(|seams| Found {
                picture,
                tiles: *tiles,
                columns: borders.columns().len(),
                rows: borders.rows().len(),
                seams,
            }));
        }
    }
    if found.is_empty() {
        let advice = match args.tile {
            Some(side) => format!("tiles of {side} px have no borders on it: take another --tile"),
            None => "its metadata names no tiles that meet on it: add --tile PX, their side".to_owned(),
        };
        return Err(Failure::usage(anyhow::anyhow!(
            "cannot measure seams of {}: {advice}",
            args.a.display()
        )));
    }
    Ok(found)
}

// === impl Described ===

impl<'a> Described<'a> {
    fn new(path: &'a Path, raster: &Raster) -> Self {
        let (width, height) = (raster.width(), raster.height());
        Self { path, width, height, format: raster.format(), bits: raster.bits() }
    }
}

// === impl Report ===

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pictures = Table::new(["picture", "size", "format", "bits"]);
        for (name, picture) in ["A", "B"].into_iter().zip(&self.pictures) {
            let Described { path, width, height, format, bits } = picture;
            pictures.row([
                format!("{name}  {}", path.display()),
                format!("{width}x{height} px"),
                (*format).to_owned(),
                bits.to_string(),
            ]);
        }
        write!(f, "{pictures}")?;
        if let Some(found) = &self.comparison {
            let mut table = Table::new(["samples", "psnr", "max abs", "rms", "shift", "differing"]);
            let rows = [("all", found.all), ("red", found.red), ("green", found.green), ("blue", found.blue)];
            rows.into_iter().for_each(|(name, measures)| table.row(cells(name, measures)));
            write!(f, "\n\n{table}")?;
            if self.pictures.iter().all(|picture| picture.bits == 32) {
                write!(f, "\n\nbefore rounding, in -1 to 1: max abs {:.2e}", found.all.max_abs / 127.5)?;
            }
        }
        if !self.seams.is_empty() {
            let mut table = Table::new([
                "picture",
                "tiles",
                "borders",
                "on them",
                "beside",
                "elsewhere",
                "on/beside",
                "on/elsewhere",
            ]);
            self.seams.iter().for_each(|found| table.row(found.cells()));
            write!(f, "\n\n{table}")?;
        }
        Ok(())
    }
}

// === impl Found ===

impl Found {
    fn cells(&self) -> [String; 8] {
        let Self { picture, tiles, columns, rows, seams } = self;
        let ratio =
            |ratio: Option<f64>| ratio.map_or_else(|| "none".to_owned(), |ratio| format!("{ratio:.3}"));
        [
            (*picture).to_owned(),
            tiles.name().to_owned(),
            format!("{columns}+{rows}"),
            short(seams.on_borders),
            seams.beside.map_or_else(|| "none".to_owned(), short),
            short(seams.elsewhere),
            ratio(seams.ratio_beside),
            ratio(seams.ratio),
        ]
    }
}

fn cells(name: &str, measures: Measures) -> [String; 6] {
    let Measures { psnr_db, max_abs, rms, mean_shift, differing } = measures;
    [
        name.to_owned(),
        psnr_db.map_or_else(|| "equal".to_owned(), |decibels| format!("{decibels:.2} dB")),
        short(max_abs),
        short(rms),
        short(mean_shift),
        format!("{:.4} %", differing * 100.0),
    ]
}

/// A number with three digits that say something.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.01 => format!("{value:.2e}"),
        size if size < 100.0 => format!("{value:.3}"),
        _ => format!("{value:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_say_something() {
        let texts = [0.0, 1.2345e-5, -0.5, 3.0, 2288.66].map(short);
        assert_eq!(texts, ["0", "1.23e-5", "-0.500", "3.000", "2288.7"]);
    }
}
