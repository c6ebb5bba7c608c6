//! A VAE's graph cut into stages, so that tiles of a picture give what the whole picture gives.
//!
//! Decoders and encoders normalise over the whole picture, and one attention looks at all of it: that, not the
//! convolutions, is why tiles show seams. The graph is cut where such a number is needed. Between two cuts a tile needs
//! nothing but its own pixels and a few around them:
//!
//! ```text
//! decoder   [ whole: conv_in .. k, v ] [ tiles: attention | norm | norm | ... | picture ]
//! encoder   [ tiles: conv_in | norm | norm | ... ] [ whole, at the latent's resolution: ... attention ... moments ]
//! ```
//!
//! Each normalisation has become `x * scale + shift`, both inputs `[1, c, 1, 1]` of f32. At the end of a stage every
//! tile counts [`Moments`](tessera_proto::Moments) over its *core*; the cores share no pixel and cover the picture.
//! Merged, they give the factors ([`GroupNorm::affine`](tessera_proto::GroupNorm::affine)) with which the next stage runs.
//!
//! **Invariant: what is kept of a tensor at a cut is right.** A tile starts with a halo as wide as all of its stages
//! need and is cropped at each cut to what the later ones need ([`Regions`]), which are computed from the graph
//! backwards, in whole numbers. At the picture's rim the graph's own padding is the true one; at a tile's other edges
//! it is not, and what it reaches is cropped away.
//!
//! Cut the graph as it was exported, before [`fuse`](super::attention::fuse). A stage's own model may be fused: keys
//! and values are handed over in the spelling that it knows.

mod emit;
mod error;
mod fold;
mod kinds;
mod layout;
mod level;
mod net;
mod norm;
mod patch;
mod piece;
mod program;
mod reach;
mod regions;
mod scale;
mod section;
mod stage;
mod tile;

#[cfg(test)]
mod tests;

use super::{
    GraphFacts, Model, Slot, View,
    facts::{Dim, Element},
    onnx::GraphProto,
};

pub use error::Error;
pub use patch::Patch;
pub use piece::{Output, Piece};
pub use regions::{Canvas, Core, Regions};
pub use scale::Scale;
pub use section::{Extent, Section};
pub use stage::{Norm, Plane, Shared, Stage};
pub use tile::{Error as TileError, Run, Tile};

use emit::Emitter;
pub(super) use kinds::{Kinds, declare, declared};
pub(super) use net::cast;

use layout::Layouts;
use level::Levels;
use reach::Reach;

/// A graph in stages.
#[derive(Debug, Clone)]
pub struct Staged {
    stages: Vec<Stage>,
    planes: Vec<Plane>,
    shared: Vec<Shared>,
    norms: Vec<Norm>,
    sections: Vec<Section>,
    input: usize,
    output: usize,
}

// === impl Staged ===

impl Staged {
    /// Cuts a graph that has not been fused.
    ///
    /// # Errors
    /// The graph is no decoder or encoder of a picture, or something in it is not known to be safe to run in tiles;
    /// the text names the node.
    pub fn cut(model: &Model) -> Result<Self, Error> {
        let (input, channels) = ends(&model.facts())?;
        let net = net::rewritten(model)?;
        let operators = model.operator_set("").max(model.operator_set("ai.onnx"));
        let view = View::new(&net.graph);
        let layouts = Layouts::new(&net.graph, &view, (&input, channels), operators)?;
        let output = net.graph.output.first().map_or("", |output| output.name());
        if layouts.get(output).is_none_or(|layout| layout.picture_channels().is_none()) {
            return Err(Error::Picture { slot: output.to_owned() });
        }
        let levels = Levels::new(&view, &layouts, &net.norms, output)?;
        let kinds = Kinds::new(&net.graph);
        let mut shell = model.clone();
        *shell.graph_mut() = GraphProto::default();
        let emitter =
            Emitter { net: &net, view: &view, layouts: &layouts, levels: &levels, kinds: &kinds, shell };
        Cutting::new(&emitter, &input, output).cut()
    }

    /// The stages, in the order in which they run.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The pictures that are handed from stage to stage, the network's input and result among them.
    #[must_use]
    pub fn planes(&self) -> &[Plane] {
        &self.planes
    }

    /// Keys and values.
    #[must_use]
    pub fn shared(&self) -> &[Shared] {
        &self.shared
    }

    /// The normalisations.
    #[must_use]
    pub fn norms(&self) -> &[Norm] {
        &self.norms
    }

    /// Which stages run on the whole picture and which on tiles, in order.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The plane that is the network's input.
    #[must_use]
    pub fn input(&self) -> usize {
        self.input
    }

    /// The plane that is the network's result.
    #[must_use]
    pub fn output(&self) -> usize {
        self.output
    }

    /// Pixels of the result for each of the input: 8 for SD's decoder, 1/8 for its encoder.
    #[must_use]
    pub fn scale(&self) -> Scale {
        self.planes[self.output].scale
    }
}

/// The input's name and channels, after checking that one picture goes in and one comes out.
fn ends(facts: &GraphFacts) -> Result<(String, i64), Error> {
    let ([input], [output]) = (facts.inputs.as_slice(), facts.outputs.as_slice()) else {
        return Err(Error::Ends { inputs: facts.inputs.len(), outputs: facts.outputs.len() });
    };
    let is_picture = |slot: &Slot| {
        slot.rank().is_none_or(|rank| rank == 4) && matches!(slot.element, Element::F32 | Element::F16)
    };
    if let Some(slot) = [input, output].into_iter().find(|slot| !is_picture(slot)) {
        return Err(Error::Picture { slot: slot.to_string() });
    }
    let fixed =
        |axis: usize| matches!(input.dims.as_deref().and_then(|dims| dims.get(axis)), Some(Dim::Fixed(_)));
    if fixed(2) || fixed(3) {
        return Err(Error::OneSize { slot: input.to_string() });
    }
    let channels = input.fixed(1).and_then(|channels| i64::try_from(channels).ok());
    let channels = channels.ok_or_else(|| Error::Picture { slot: input.to_string() })?;
    Ok((input.name.clone(), channels))
}

/// Stages in the making, from the last to the first.
struct Cutting<'a, 'g> {
    emitter: &'a Emitter<'a, 'g>,
    planes: Vec<&'g str>,
    /// The stage that makes each plane, and the last that reads it; the result is read after the last stage.
    made: Vec<Option<usize>>,
    read: Vec<usize>,
}

// === impl Cutting ===

impl<'a, 'g> Cutting<'a, 'g> {
    fn new(emitter: &'a Emitter<'a, 'g>, input: &str, output: &'g str) -> Self {
        let count = emitter.levels.count;
        let names = emitter.net.graph.input.iter().map(|slot| slot.name());
        let mut this = Self { emitter, planes: Vec::new(), made: Vec::new(), read: Vec::new() };
        for name in names.filter(|name| *name == input) {
            this.plane(name, None, 0);
        }
        this.plane(output, Some(count - 1), count);
        for &picture in &emitter.levels.pictures {
            this.plane(picture, Some(emitter.levels.of(picture)), 0);
        }
        this
    }

    fn cut(mut self) -> Result<Staged, Error> {
        let (emitter, count) = (self.emitter, self.emitter.levels.count);
        let mut stages = Vec::new();
        for index in (0..count).rev() {
            let made_here: Vec<usize> =
                (0..self.planes.len()).filter(|&plane| self.made[plane] == Some(index)).collect();
            let levels = emitter.levels;
            let shared: Vec<usize> = (0..levels.shared.len())
                .filter(|&shared| levels.of(levels.shared[shared]) == index)
                .collect();
            let names: Vec<&str> = made_here.iter().map(|&plane| self.planes[plane]).collect();
            let names = [names, shared.iter().map(|&shared| levels.shared[shared]).collect()].concat();
            let selection = emitter.select(index, &names);
            let pictures: Vec<usize> = selection
                .pictures
                .iter()
                .map(|&name| {
                    let made = emitter.view.maker(name).map(|_| levels.of(name));
                    self.plane(name, made, index)
                })
                .collect();
            let norms = (0..levels.pictures.len()).filter(|&norm| levels.of(levels.pictures[norm]) == index);
            stages.push(Stage {
                model: emitter.model(&selection, &names)?,
                program: stage::program(emitter, &selection, &names),
                shared_inputs: position(&levels.shared, &selection.shared),
                planes: pictures,
                applies: selection.norms,
                gives: made_here,
                gives_shared: shared,
                counts: norms.collect(),
            });
        }
        stages.reverse();
        self.finish(stages)
    }

    /// The number of a plane, new or not, that a stage reads.
    fn plane(&mut self, name: &'g str, made: Option<usize>, read: usize) -> usize {
        if let Some(index) = self.planes.iter().position(|plane| *plane == name) {
            self.read[index] = self.read[index].max(read);
            return index;
        }
        self.planes.push(name);
        self.made.push(made);
        self.read.push(read);
        self.planes.len() - 1
    }

    fn finish(self, stages: Vec<Stage>) -> Result<Staged, Error> {
        let (emitter, levels) = (self.emitter, self.emitter.levels);
        let mut planes = Vec::new();
        for (index, &name) in self.planes.iter().enumerate() {
            let layout = emitter.layouts.get(name).expect("planes are followed");
            planes.push(Plane {
                name: name.to_owned(),
                channels: layout
                    .picture_channels()
                    .and_then(|count| usize::try_from(count).ok())
                    .unwrap_or(0),
                scale: layout.scale,
                element: emitter.element(name)?,
                made_by: self.made[index],
                read_until: self.read[index],
            });
        }
        let norm = |(normed, picture): (&net::Normed, &&'g str)| Norm {
            plane: self.planes.iter().position(|plane| plane == picture).expect("pictures are planes"),
            scale: normed.scale.clone(),
            shift: normed.shift.clone(),
            numbers: normed.norm.clone(),
        };
        let norms: Vec<Norm> = emitter.net.norms.iter().zip(&levels.pictures).map(norm).collect();
        let shared: Vec<Shared> = levels.shared.iter().map(|&name| Shared::of(emitter, name)).collect();
        let sections = section::sections(&stages, &planes, &shared, (0, 1));
        Ok(Staged { stages, planes, shared, norms, sections, input: 0, output: 1 })
    }
}

/// Where each name stands in a list.
fn position(list: &[&str], names: &[&str]) -> Vec<usize> {
    names.iter().filter_map(|name| list.iter().position(|listed| listed == name)).collect()
}
