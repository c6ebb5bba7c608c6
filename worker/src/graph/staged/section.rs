//! Which stages run on the whole picture and which on tiles.

use std::ops::Range;

use super::{Plane, Scale, Shared, Stage};

/// How much of the picture stages are run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extent {
    /// All of it: attention needs all pixels, and there are few of them here.
    Whole,
    /// Tile by tile.
    Tiles,
}

/// Stages that are run alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The stages.
    pub stages: Range<usize>,
    /// What they run on.
    pub extent: Extent,
}

/// The sections of a network, none empty.
///
/// A decoder's attention comes first: everything up to the last keys and values is cheap (3 % of SD's) and runs on the
/// whole latent, and tiles begin with the attention's queries. An encoder's comes last: tiles end at the first cut
/// with the attention's resolution at which they hand over one tensor only, and the rest runs on the whole.
pub(super) fn sections(
    stages: &[Stage],
    planes: &[Plane],
    shared: &[Shared],
    (input, output): (usize, usize),
) -> Vec<Section> {
    let count = stages.len();
    let decoder = planes[output].scale.coarser(planes[input].scale) == planes[input].scale;
    let section = |stages: Range<usize>, extent| Section { stages, extent };
    let first = shared.iter().min_by_key(|shared| shared.made_by);
    let last = shared.iter().map(|shared| shared.made_by).max();
    let sections = match (first, last) {
        (Some(_), Some(last)) if decoder => {
            vec![section(0..last + 1, Extent::Whole), section(last + 1..count, Extent::Tiles)]
        }
        (Some(first), _) => {
            let start = (1..=first.made_by).find(|&at| is_narrow(planes, at, first.scale)).unwrap_or(0);
            vec![section(0..start, Extent::Tiles), section(start..count, Extent::Whole)]
        }
        _ => vec![section(0..count, Extent::Tiles)],
    };
    sections.into_iter().filter(|section| !section.stages.is_empty()).collect()
}

/// Whether one plane of this scale is all that stages before `at` hand to those from it on.
fn is_narrow(planes: &[Plane], at: usize, scale: Scale) -> bool {
    let made_before = |plane: &&Plane| plane.made_by.is_none_or(|made| made < at);
    let mut crossing = planes.iter().filter(made_before).filter(|plane| at <= plane.read_until);
    matches!((crossing.next(), crossing.next()), (Some(plane), None) if plane.scale == scale)
}
