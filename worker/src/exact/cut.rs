//! What the coordinator must know of a network in stages: the stages in; barriers, halo and what ends it out.

use std::ops::Range;

use tessera_proto::{Rect, facts::Exactness};

use super::peaks::peaks;
use crate::{
    engine::Vae,
    graph::staged::{Canvas, Core, Extent, Scale, Section, Staged},
};

/// How a network can be cut: what the coordinator must know beforehand.
#[must_use]
pub fn exactness(network: Vae, staged: &Staged) -> Exactness {
    let refused = || Exactness::Refused(format!("no part of the VAE {} can be run in tiles", network.noun()));
    let Some(section) = staged.sections().iter().find(|section| section.extent == Extent::Tiles) else {
        return refused();
    };
    let barriers: usize = barriers(section).map(|stage| staged.stages()[stage].counts().len()).sum::<usize>();
    let crossing = end(staged).map_or(0, |(_, plane)| staged.planes()[plane].channels);
    // A tile in the middle of a large canvas has its full halo on every side.
    let (canvas, core) = (Canvas { width: 1024, height: 1024 }, Rect::new(480, 480, 544, 544));
    let halo = core.ok().and_then(|core| {
        let regions = staged.regions(section, canvas, Core::Input(core)).ok()?;
        let sides = regions.entries(staged).into_iter().filter_map(|plane| regions.halo(plane));
        sides.flatten().max()
    });
    let prefix = match network {
        Vae::Encoder => prefix(staged, section),
        Vae::Decoder => 0,
    };
    match (u32::try_from(barriers), halo, u32::try_from(crossing), u32::try_from(prefix)) {
        (Ok(barriers), Some(halo), Ok(crossing), Ok(prefix)) => {
            let peaks = Box::new(peaks(staged));
            Exactness::Cut { barriers, halo, crossing, prefix, peaks }
        }
        _ => refused(),
    }
}

/// Barriers before a picture has another resolution than the network's input.
fn prefix(staged: &Staged, section: &Section) -> usize {
    let counts = barriers(section).flat_map(|stage| staged.stages()[stage].counts());
    let scale = |&norm: &usize| staged.planes()[staged.norms()[norm].plane].scale;
    counts.take_while(|norm| scale(norm) == Scale::ONE).count()
}

/// The stages of a section of tiles after which they wait for each other: not the last, as what follows it either
/// looks at the whole picture or is nothing.
fn barriers(section: &Section) -> Range<usize> {
    section.stages.start..section.stages.end - 1
}

/// The section that ends a network on the whole picture, and the plane that tiles hand to it.
pub(super) fn end(staged: &Staged) -> Option<(&Section, usize)> {
    let section = staged.sections().get(1).filter(|section| section.extent == Extent::Whole)?;
    let start = section.stages.start;
    let crosses = |plane: &usize| {
        let plane = &staged.planes()[*plane];
        plane.made_by.is_some_and(|made| made < start) && start <= plane.read_until
    };
    Some((section, (0..staged.planes().len()).find(crosses)?))
}
