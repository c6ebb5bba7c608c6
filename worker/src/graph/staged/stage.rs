//! A stage and what is handed from one to the next.

use tessera_proto::GroupNorm;

use super::{
    super::{Element, Model, onnx::NodeProto},
    Reach, Scale,
    emit::{Emitter, Selection},
    layout::Axis,
    level::is_view,
    program::Program,
};

/// A picture `[1, c, h, w]` that stages hand over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plane {
    /// Its name in the graph.
    pub name: String,
    /// Its channels.
    pub channels: usize,
    /// Its pixels for each of the network's input.
    pub scale: Scale,
    /// The type of its values in the graph, in f16 graphs f16; engines convert from and to f32.
    pub element: Element,
    /// The stage that makes it; `None` for the network's input.
    pub made_by: Option<usize>,
    /// The last stage that reads it; for the network's result, the number of stages.
    pub read_until: usize,
}

/// Keys or values of an attention: a tensor of the whole picture that every tile reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Its name in the graph.
    pub name: String,
    /// The stage that makes it.
    pub made_by: usize,
    /// Values for each pixel.
    pub channels: usize,
    /// Pixels, for each of the network's input.
    pub scale: Scale,
    /// The axis along which pixels stand, row by row, or rows.
    pub axis: usize,
}

/// A normalisation over the whole picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// The plane that statistics are counted of.
    pub plane: usize,
    /// The input `[1, c, 1, 1]` of f32 that takes the factors.
    pub scale: String,
    /// The input `[1, c, 1, 1]` of f32 that takes the addends.
    pub shift: String,
    /// Groups, weight and bias: from statistics to factors and addends.
    pub numbers: GroupNorm,
}

/// A part of the network that runs without a look at the rest of the picture.
///
/// Its inputs, by the names that the planes, shared tensors and norms have: [`Stage::planes`],
/// [`Stage::shared_inputs`], and of each norm in [`Stage::applies`] the factors and addends.
#[derive(Debug, Clone)]
pub struct Stage {
    pub(super) model: Model,
    pub(super) program: Program,
    pub(super) planes: Vec<usize>,
    pub(super) shared_inputs: Vec<usize>,
    pub(super) applies: Vec<usize>,
    pub(super) gives: Vec<usize>,
    pub(super) gives_shared: Vec<usize>,
    pub(super) counts: Vec<usize>,
}

// === impl Stage ===

impl Stage {
    /// The stage's graph. Weights that lay beside the file still do.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The stage's graph with all computation in f32, for where f16 overflowed; weights stay as they are stored.
    #[must_use]
    pub fn widened(&self) -> Model {
        self.model.clone().widened()
    }

    /// The planes that it reads.
    #[must_use]
    pub fn planes(&self) -> &[usize] {
        &self.planes
    }

    /// The shared tensors that it reads.
    #[must_use]
    pub fn shared_inputs(&self) -> &[usize] {
        &self.shared_inputs
    }

    /// The normalisations whose factors it reads.
    #[must_use]
    pub fn applies(&self) -> &[usize] {
        &self.applies
    }

    /// The planes that it makes.
    #[must_use]
    pub fn gives(&self) -> &[usize] {
        &self.gives
    }

    /// The shared tensors that it makes: such a stage runs on the whole picture.
    #[must_use]
    pub fn gives_shared(&self) -> &[usize] {
        &self.gives_shared
    }

    /// The normalisations whose statistics are counted when it is done.
    #[must_use]
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }
}

// === impl Shared ===

impl Shared {
    pub(super) fn of(emitter: &Emitter<'_, '_>, name: &str) -> Self {
        let layout = emitter.layouts.get(name).expect("shared tensors are followed");
        let channels = layout.axes.iter().map(|axis| match axis {
            Axis::Fixed(length) => usize::try_from(*length).unwrap_or(1),
            _ => 1,
        });
        Self {
            name: name.to_owned(),
            made_by: emitter.levels.of(name),
            channels: channels.product(),
            scale: layout.scale,
            axis: layout.axes.iter().position(|axis| !matches!(axis, Axis::Fixed(_))).unwrap_or(0),
        }
    }

    /// Size in bytes for so many pixels.
    #[must_use]
    pub fn bytes(&self, pixels: u64) -> u64 {
        let values = u64::try_from(self.channels).unwrap_or(u64::MAX).saturating_mul(pixels);
        values.saturating_mul(4)
    }
}

/// The places and sizes of a stage's values.
pub(super) fn program(emitter: &Emitter<'_, '_>, selection: &Selection<'_>, outputs: &[&str]) -> Program {
    let mut program = Program::default();
    let mut known = std::collections::HashMap::new();
    for (names, whole) in [(&selection.pictures, false), (&selection.shared, true)] {
        for &name in names {
            let layout = emitter.layouts.get(name).expect("what is handed over is followed");
            known.insert(name, program.value(layout, whole));
            if !whole {
                program.inputs.push(known[name]);
            }
        }
    }
    for &index in &selection.nodes {
        let node: &NodeProto = emitter.view.node(index);
        let Some(layout) = node.output.first().and_then(|output| emitter.layouts.get(output)) else {
            continue;
        };
        let inputs = node.input.iter().filter_map(|input| known.get(input.as_str()).copied()).collect();
        let reach = emitter.layouts.reach.get(&index).copied().unwrap_or([Reach::Same; 2]);
        let view = is_view(node) && !node.is("Transpose");
        known.insert(&node.output[0], program.step(inputs, layout, reach, view));
    }
    program.outputs = outputs.iter().filter_map(|output| known.get(output).copied()).collect();
    program
}
