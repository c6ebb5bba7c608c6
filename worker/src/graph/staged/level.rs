//! When each value can be computed: a graph without normalisations in, the number of the stage of each value out.
//!
//! A stage ends where statistics of the whole picture, or all keys and values of an attention, are needed; what reads
//! them belongs to the next stage. Values that end a stage are made as early as they can be; all others as late as
//! their first reader, because a skip connection is smaller before its convolution, and so that as few tensors as
//! can be are alive between two blocks of the network.

use std::collections::{HashMap, HashSet};

use super::{
    super::{View, onnx::NodeProto, view::for_each_read},
    Error,
    error::place,
    layout::{Axis, Layouts, Product},
    net::Normed,
};

/// Most nodes between an operand of attention and the value that it is a view of.
const MAX_STEPS: usize = 16;

/// The stages of a graph.
#[derive(Debug, Default)]
pub(super) struct Levels<'g> {
    /// The stage that makes each value.
    stage: HashMap<&'g str, usize>,
    /// For each normalisation, the picture that it normalises (its input, or what that is a view of).
    pub(super) pictures: Vec<&'g str>,
    /// Keys and values, in topological order, each once.
    pub(super) shared: Vec<&'g str>,
    /// How many stages there are.
    pub(super) count: usize,
}

/// A node that only looks at its first input in other dimensions or another order.
pub(super) fn is_view(node: &NodeProto) -> bool {
    ["Reshape", "Transpose", "Unsqueeze", "Squeeze", "Identity"].iter().any(|op| node.is(op))
}

// === impl Levels ===

impl<'g> Levels<'g> {
    /// Gives every value its stage. `output` is the graph's result.
    ///
    /// # Errors
    /// A normalisation works on no picture or on the graph's input; keys or values are used outside attention.
    pub(super) fn new(
        view: &View<'g>,
        layouts: &Layouts<'g>,
        norms: &'g [Normed],
        output: &'g str,
    ) -> Result<Self, Error> {
        let mut this = Self::default();
        for norm in norms {
            this.pictures.push(picture(view, layouts, &norm.input)?);
        }
        for product in &layouts.products {
            let root = root(view, layouts, product)?;
            if !this.shared.contains(&root) {
                this.shared.push(root);
            }
        }
        let earliest = this.earliest(view, norms);
        this.count = earliest.values().max().map_or(1, |last| last + 1);
        let mut ends: HashMap<&str, usize> = HashMap::new();
        for &end in this.pictures.iter().chain(&this.shared) {
            ends.insert(end, earliest.get(end).copied().unwrap_or(0));
        }
        ends.insert(output, this.count - 1);
        this.stage = latest(view, &ends, this.count - 1);
        Ok(this)
    }

    /// The stage that makes a value; inputs are there from the first on.
    pub(super) fn of(&self, value: &str) -> usize {
        self.stage.get(value).copied().unwrap_or(0)
    }

    /// The first stage in which each value can be computed.
    fn earliest(&self, view: &View<'g>, norms: &'g [Normed]) -> HashMap<&'g str, usize> {
        let mut made: HashMap<&str, usize> = HashMap::new();
        // What a reader of the value has to wait for, where that is more than its making.
        let mut ready: HashMap<&str, usize> = HashMap::new();
        let shared: HashSet<&str> = self.shared.iter().copied().collect();
        let mut of_picture: HashMap<&str, Vec<&'g Normed>> = HashMap::new();
        for (norm, picture) in norms.iter().zip(&self.pictures) {
            of_picture.entry(picture).or_default().push(norm);
        }
        for (_, node) in view.nodes() {
            let mut stage = 0;
            for_each_read(node, &mut |name| {
                stage = stage.max(ready.get(name).or(made.get(name)).copied().unwrap_or(0));
            });
            for output in node.output.iter().map(String::as_str) {
                made.insert(output, stage);
                if shared.contains(output) {
                    ready.insert(output, stage + 1);
                }
                for norm in of_picture.get(output).into_iter().flatten() {
                    ready.extend([(norm.scale.as_str(), stage + 1), (norm.shift.as_str(), stage + 1)]);
                }
            }
        }
        made
    }
}

/// The stage of each value when only `ends` are made early.
fn latest<'g>(view: &View<'g>, ends: &HashMap<&'g str, usize>, last: usize) -> HashMap<&'g str, usize> {
    let mut stage: HashMap<&str, usize> = HashMap::new();
    let mut wanted: HashMap<&str, usize> = HashMap::new();
    let nodes: Vec<_> = view.nodes().collect();
    for (_, node) in nodes.into_iter().rev() {
        let own = |output: &str| ends.get(output).or(wanted.get(output)).copied().unwrap_or(last);
        let mine = node.output.iter().map(|output| own(output)).min().unwrap_or(last);
        stage.extend(node.output.iter().map(|output| (output.as_str(), mine)));
        for_each_read(node, &mut |name| {
            let first = wanted.entry(name).or_insert(mine);
            *first = mine.min(*first);
        });
    }
    stage
}

/// The picture `[1, c, h, w]` that a value is, or is a view of with all its channels in order.
fn picture<'g>(view: &View<'g>, layouts: &Layouts<'g>, input: &'g str) -> Result<&'g str, Error> {
    let mut value = input;
    let refused = |value: &str| {
        let node = view.readers(input).first().map(|&index| view.node(index));
        let place = node.map_or_else(|| value.to_owned(), place);
        Error::Setting { place, reason: "it normalises something that is no picture made inside the network" }
    };
    for _ in 0..MAX_STEPS {
        let layout = layouts.get(value).ok_or_else(|| refused(value))?;
        let maker = view.maker(value).ok_or_else(|| refused(value))?;
        if layout.picture_channels().is_some() {
            return Ok(value);
        }
        if !matches!(layout.axes.as_slice(), [Axis::Fixed(1), Axis::Fixed(_), Axis::Tokens])
            || !is_view(maker)
        {
            return Err(refused(value));
        }
        value = maker.input.first().ok_or_else(|| refused(value))?;
    }
    Err(refused(value))
}

/// The value to share with all tiles for an operand of attention: the operand itself, or what it is a view of (where
/// the views need no size of anything but the value itself), so that the attention is left in the spelling in which
/// it can still be fused.
fn root<'g>(view: &View<'g>, layouts: &Layouts<'g>, product: &Product<'g>) -> Result<&'g str, Error> {
    let read_by_one = |value: &str| {
        let readers = view.readers(value).iter().map(|&index| view.node(index));
        readers.filter(|node| !node.is("Shape")).count() == 1
    };
    let mut value = product.value;
    if !read_by_one(value) {
        let reason = "its keys or values are used elsewhere too";
        return Err(Error::Attention { place: place(view.node(product.node)), reason });
    }
    for _ in 0..MAX_STEPS {
        let Some(node) = view.maker(value) else { break };
        let followed = |name: &&String| layouts.get(name).is_some();
        let Some(input) = node.input.iter().find(followed) else { break };
        let scaled = (node.is("Mul") || node.is("Div")) && node.input.iter().filter(followed).count() == 1;
        let fixed = node.is("Reshape") && by_itself(view, node);
        let turned = is_view(node) && !node.is("Reshape");
        if !(scaled || fixed || turned || node.is("Cast"))
            || !read_by_one(input)
            || view.maker(input).is_none()
        {
            break;
        }
        value = input;
    }
    Ok(value)
}

/// Whether a Reshape's target holds no length but known ones, the batch, and what is left.
fn by_itself(view: &View<'_>, node: &NodeProto) -> bool {
    let target = node.input.get(1).and_then(|name| view.inference().values(name));
    target.is_some_and(|target| {
        target.iter().all(|entry| matches!(entry, super::super::Entry::Axis(0)) || entry.whole().is_some())
    })
}
