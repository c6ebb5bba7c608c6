//! Which axis of each value is which: a graph without normalisations in; rows, columns and tokens of its values out.
//!
//! One forward pass. A value is followed when it depends on what the picture shows; the others are constants, or
//! follow from the picture's size. Every operator on a followed value must be one whose effect on the picture's axes
//! is known: that is what makes a graph safe to run in tiles. The batch counts as 1.

mod space;
mod token;

use std::collections::{HashMap, HashSet};

use super::{
    super::{
        View,
        onnx::{GraphProto, NodeProto},
        view::for_each_read,
    },
    Error, Scale,
    error::place,
    fold::Constants,
    reach::Reach,
};

/// One axis of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Axis {
    /// Always this long: batch (1), channels, heads.
    Fixed(i64),
    Rows,
    Columns,
    /// All pixels, row by row.
    Tokens,
    /// All pixels once more: those that attention looks at.
    Keys,
}

/// The axes of a value, outermost first, and how large its pixels are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) axes: Vec<Axis>,
    pub(super) scale: Scale,
}

/// A product over all tokens, and its operand that all tokens are needed of: k or v.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Product<'g> {
    /// The node.
    pub(super) node: usize,
    /// The operand.
    pub(super) value: &'g str,
}

/// What is known of a graph's values.
#[derive(Debug, Default)]
pub(super) struct Layouts<'g> {
    /// Values that depend on what the picture shows.
    followed: HashMap<&'g str, Layout>,
    /// Values that depend on the picture's size.
    sized: HashSet<&'g str>,
    /// What nodes do to rows and columns, where that is not [`Reach::Same`].
    pub(super) reach: HashMap<usize, [Reach; 2]>,
    /// Products over tokens, in topological order.
    pub(super) products: Vec<Product<'g>>,
}

/// One node, seen with what is known before it.
struct Rule<'a, 'g> {
    view: &'a View<'g>,
    constants: &'a Constants<'g>,
    layouts: &'a Layouts<'g>,
    node: &'g NodeProto,
    /// The version of the standard operator set.
    operators: i64,
}

/// What a node gives.
struct Effect<'g> {
    layout: Layout,
    reach: Option<[Reach; 2]>,
    /// The operand that all tokens are needed of.
    product: Option<&'g str>,
}

// === impl Layout ===

impl Layout {
    /// `[1, c, rows, columns]`, the only layout that is handed from stage to stage; returns `c`.
    pub(super) fn picture_channels(&self) -> Option<i64> {
        match self.axes.as_slice() {
            [Axis::Fixed(1), Axis::Fixed(channels), Axis::Rows, Axis::Columns] => Some(*channels),
            _ => None,
        }
    }
}

// === impl Effect ===

impl Effect<'_> {
    fn plain(axes: Vec<Axis>, scale: Scale) -> Self {
        Self { layout: Layout { axes, scale }, reach: None, product: None }
    }
}

// === impl Layouts ===

impl<'g> Layouts<'g> {
    /// Follows the picture `input` of `channels` channels through a graph.
    ///
    /// # Errors
    /// The first operator whose effect is not known.
    pub(super) fn new(
        graph: &'g GraphProto,
        view: &View<'g>,
        input: (&'g str, i64),
        operators: i64,
    ) -> Result<Self, Error> {
        let constants = Constants::new(graph);
        let mut this = Self::default();
        let axes = vec![Axis::Fixed(1), Axis::Fixed(input.1), Axis::Rows, Axis::Columns];
        this.followed.insert(input.0, Layout { axes, scale: Scale::ONE });
        for (index, node) in view.nodes() {
            if !this.reads(node, |this, name| this.followed.contains_key(name))
                || node.is("Shape")
                || node.is("Size")
            {
                if this
                    .reads(node, |this, name| this.followed.contains_key(name) || this.sized.contains(name))
                {
                    this.sized.extend(node.output.iter().map(String::as_str));
                }
                continue;
            }
            let rule = Rule { view, constants: &constants, layouts: &this, node, operators };
            let effect = rule.effect()?;
            this.reach.extend(effect.reach.map(|reach| (index, reach)));
            this.products.extend(effect.product.map(|value| Product { node: index, value }));
            this.followed.insert(node.output[0].as_str(), effect.layout);
        }
        Ok(this)
    }

    /// The layout of a value that depends on what the picture shows.
    pub(super) fn get(&self, value: &str) -> Option<&Layout> {
        self.followed.get(value)
    }

    /// Whether a node or a graph inside it reads a value of a kind.
    fn reads(&self, node: &NodeProto, is: impl Fn(&Self, &str) -> bool) -> bool {
        let mut found = false;
        for_each_read(node, &mut |name| found |= is(self, name));
        found
    }
}

// === impl Rule ===

impl<'g> Rule<'_, 'g> {
    fn effect(&self) -> Result<Effect<'g>, Error> {
        let node = self.node;
        let unknown = || Error::Operator { place: place(node) };
        if node.op_type().ends_with("Attention") {
            return Err(Error::Fused { place: place(node) });
        }
        let one_result = matches!(node.output.as_slice(), [output] if !output.is_empty());
        let standard = matches!(node.domain(), "" | "ai.onnx");
        let branches = node.attribute.iter().any(|attribute| attribute.subgraphs().next().is_some());
        if !standard || !one_result || branches {
            return Err(unknown());
        }
        match node.op_type() {
            "Identity" | "Cast" | "Sigmoid" | "Relu" | "LeakyRelu" | "Elu" | "Tanh" | "Erf" | "Gelu"
            | "Exp" | "Log" | "Neg" | "Abs" | "Sqrt" | "Reciprocal" | "HardSigmoid" | "HardSwish"
            | "Softplus" | "Swish" | "Mish" | "Clip" => self.unary(),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "PRelu" => self.binary(),
            "Conv" => self.conv(),
            "Pad" => self.pad(),
            "Resize" | "Upsample" => self.enlarge(),
            "Concat" => self.concat(),
            "Reshape" => self.reshape(),
            "Transpose" => self.transpose(),
            "Unsqueeze" | "Squeeze" => self.unit_axes(),
            "MatMul" => self.matmul(),
            "Softmax" => self.softmax(),
            op if op.ends_with("Normalization") || op.starts_with("Reduce") => {
                Err(Error::Normalisation { place: place(node) })
            }
            _ => Err(unknown()),
        }
    }

    /// The layout of an input that depends on what the picture shows.
    fn layout(&self, input: usize) -> Option<&Layout> {
        self.layouts.get(self.node.input.get(input)?)
    }

    /// An input's name.
    fn name(&self, input: usize) -> Option<&'g str> {
        self.node.input.get(input).map(String::as_str).filter(|name| !name.is_empty())
    }

    fn setting(&self, reason: &'static str) -> Error {
        Error::Setting { place: place(self.node), reason }
    }

    fn attention(&self, reason: &'static str) -> Error {
        Error::Attention { place: place(self.node), reason }
    }

    /// An operator on each number by itself; further inputs are bounds.
    fn unary(&self) -> Result<Effect<'g>, Error> {
        let from = self.layout(0).ok_or_else(|| self.setting("its first input is no picture"))?;
        Ok(Effect::plain(from.axes.clone(), from.scale))
    }

    /// An operator on pairs of numbers.
    fn binary(&self) -> Result<Effect<'g>, Error> {
        let (axes, scale) = match (self.layout(0), self.layout(1)) {
            (Some(a), Some(b)) if a.scale == b.scale => (broadcast(&a.axes, &b.axes), a.scale),
            (Some(_), Some(_)) => (None, Scale::ONE),
            (Some(picture), None) => (broadcast(&picture.axes, &self.constant_axes(1)?), picture.scale),
            (None, Some(picture)) => (broadcast(&self.constant_axes(0)?, &picture.axes), picture.scale),
            (None, None) => (None, Scale::ONE),
        };
        let axes = axes.ok_or_else(|| self.setting("it joins pictures or tokens of different layouts"))?;
        Ok(Effect::plain(axes, scale))
    }

    /// The dimensions of an operand that does not depend on what the picture shows. A nought that is made to the
    /// size of the picture changes nothing and counts as a scalar.
    fn constant_axes(&self, input: usize) -> Result<Vec<Axis>, Error> {
        let name = self.name(input).ok_or_else(|| self.setting("an input is left out"))?;
        let inference = self.view.inference();
        if self.layouts.sized.contains(name) {
            let known =
                inference.values(name).is_some_and(|all| all.iter().all(|one| one.number().is_some()));
            if !known && self.node.is("Add") && self.is_nought(name) {
                return Ok(Vec::new());
            }
            if !known {
                return Err(Error::SizeDependent {
                    place: place(self.node),
                    value: super::super::short(name),
                });
            }
        }
        let dims = inference.dims(name).and_then(|dims| dims.iter().copied().collect::<Option<Vec<i64>>>());
        let dims = dims.ok_or_else(|| self.setting("it reads a constant of unknown shape"))?;
        Ok(dims.into_iter().map(Axis::Fixed).collect())
    }

    /// Whether a value is all zeros, as torch writes `baddbmm` with beta = 0: `empty * 0`, or a tensor of zeros.
    fn is_nought(&self, value: &str) -> bool {
        let Some(node) = self.view.maker(value) else {
            return false;
        };
        match node.op_type() {
            "Mul" => node.input.iter().any(|input| self.view.inference().scalar(input) == Some(0.0)),
            "ConstantOfShape" => {
                let fill = node.attribute("value").and_then(|attribute| attribute.t.as_ref());
                fill.is_none_or(|tensor| super::super::constant::values(tensor) == Some(vec![0.0]))
            }
            _ => false,
        }
    }
}

/// numpy's rule, axis by axis from the last: equal, or one of them has length 1.
fn broadcast(a: &[Axis], b: &[Axis]) -> Option<Vec<Axis>> {
    let rank = a.len().max(b.len());
    let at = |axes: &[Axis], index: usize| {
        index.checked_sub(rank - axes.len()).map_or(Axis::Fixed(1), |index| axes[index])
    };
    let join = |index| match (at(a, index), at(b, index)) {
        (Axis::Fixed(1), other) | (other, Axis::Fixed(1)) => Some(other),
        (a, b) => (a == b).then_some(a),
    };
    (0..rank).map(join).collect()
}
