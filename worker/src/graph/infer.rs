//! What can be said of a graph without running it: ranks, lengths and small constants of its values.
//!
//! One forward pass in topological order, so depth of the graph costs no stack. It knows the operators around
//! attention and norms in exported networks; what it does not know stays unknown, and is never guessed.

use std::collections::HashMap;

use super::{
    constant,
    onnx::{DataType, GraphProto, NodeProto, TensorProto, dimension, type_proto},
    shape,
};

/// What is known of one element of a small tensor, such as a target shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Entry {
    /// This number.
    Number(f64),
    /// Not known, but it was read from the shape of some tensor at this axis (0 = batch).
    Axis(usize),
    /// Nothing.
    Unknown,
}

/// What is known of one value of the graph.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Known {
    /// Length of each dimension; `None` outside when even the rank is unknown.
    pub(super) dims: Option<Vec<Option<i64>>>,
    /// The elements, for scalars and short lists.
    pub(super) values: Option<Vec<Entry>>,
    /// Whether this is the shape of a tensor, of perhaps unknown rank.
    pub(super) is_shape: bool,
}

/// What is known of every value of a graph, by name.
#[derive(Debug)]
pub struct Inference<'g> {
    known: HashMap<&'g str, Known>,
}

// === impl Entry ===

impl Entry {
    /// The number, if known.
    #[must_use]
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Axis(_) | Self::Unknown => None,
        }
    }

    /// The whole number, if known and whole. Beyond the range of `i64`, which stands for "to the end" in slices, it
    /// is that range's end.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "whole, and the cast saturates as documented")]
    pub fn whole(self) -> Option<i64> {
        let number = self.number()?;
        (number.fract() == 0.0).then_some(number as i64)
    }
}

// === impl Inference ===

impl<'g> Inference<'g> {
    /// Looks at every node once.
    #[must_use]
    pub(super) fn new(graph: &'g GraphProto) -> Self {
        let mut this = Self { known: HashMap::new() };
        for input in &graph.input {
            this.known
                .insert(input.name(), Known { dims: declared(input.r#type.as_ref()), ..Known::default() });
        }
        for tensor in &graph.initializer {
            this.known.insert(tensor.name(), Known::of(tensor));
        }
        for node in &graph.node {
            let known = this.infer(node);
            // Only operators with one output are known to this pass.
            if let [output] = node.output.as_slice() {
                this.known.insert(output, known);
            }
        }
        this
    }

    /// Length of each dimension of a value; `None` outside when its rank is unknown.
    #[must_use]
    pub fn dims(&self, value: &str) -> Option<&[Option<i64>]> {
        self.known.get(value)?.dims.as_deref()
    }

    /// The elements of a scalar or a short list.
    #[must_use]
    pub fn values(&self, value: &str) -> Option<&[Entry]> {
        self.known.get(value)?.values.as_deref()
    }

    /// The only element of a value, when it has one and it is known.
    #[must_use]
    pub fn scalar(&self, value: &str) -> Option<f64> {
        match self.values(value)? {
            [entry] => entry.number(),
            _ => None,
        }
    }

    /// The whole numbers in a value, when all are known.
    #[must_use]
    pub fn wholes(&self, value: &str) -> Option<Vec<i64>> {
        self.values(value)?.iter().map(|entry| entry.whole()).collect()
    }

    fn infer(&self, node: &NodeProto) -> Known {
        if !matches!(node.domain(), "" | "ai.onnx") {
            return Known::default();
        }
        let op = node.op_type();
        if op == "Constant" {
            return constant_of(node);
        }
        let nothing = Known::default();
        let known = |name: &String| self.known.get(name.as_str()).unwrap_or(&nothing);
        let inputs: Vec<&Known> = node.input.iter().map(known).collect();
        if inputs.is_empty() {
            return nothing;
        }
        let values = values(self, node, &inputs);
        let mut dims = shape::dims(self, node, &inputs);
        if let (Some([length]), Some(values)) = (dims.as_deref_mut(), &values) {
            *length = i64::try_from(values.len()).ok();
        }
        Known { dims, values, is_shape: op == "Shape" && node.attribute.is_empty() }
    }
}

// === impl Known ===

impl Known {
    fn of(tensor: &TensorProto) -> Self {
        let values = constant::values(tensor);
        Self {
            dims: Some(tensor.dims.iter().map(|&dim| Some(dim)).collect()),
            values: values.map(|values| values.into_iter().map(Entry::Number).collect()),
            is_shape: false,
        }
    }
}

fn declared(kind: Option<&super::onnx::TypeProto>) -> Option<Vec<Option<i64>>> {
    let Some(type_proto::Value::TensorType(tensor)) = &kind?.value else {
        return None;
    };
    let length = |dim: &dimension::Dimension| match dim.value {
        Some(dimension::Value::DimValue(length)) if 0 < length => Some(length),
        _ => None,
    };
    Some(tensor.shape.as_ref()?.dim.iter().map(length).collect())
}

#[expect(clippy::cast_precision_loss, reason = "constants of shapes are far below 2^53")]
fn constant_of(node: &NodeProto) -> Known {
    let Some(attribute) = node.attribute.first() else {
        return Known::default();
    };
    let scalar =
        |number| Known { dims: Some(Vec::new()), values: Some(vec![Entry::Number(number)]), is_shape: false };
    let list = |numbers: Vec<f64>| Known {
        dims: Some(vec![i64::try_from(numbers.len()).ok()]),
        values: (numbers.len() <= constant::MAX_VALUES)
            .then(|| numbers.into_iter().map(Entry::Number).collect()),
        is_shape: false,
    };
    match (attribute.name(), &attribute.t) {
        ("value", Some(tensor)) => Known::of(tensor),
        ("value_float", _) => scalar(f64::from(attribute.f())),
        ("value_int", _) => scalar(attribute.i() as f64),
        ("value_ints", _) => list(attribute.ints.iter().map(|&value| value as f64).collect()),
        ("value_floats", _) => list(attribute.floats.iter().map(|&value| value.into()).collect()),
        _ => Known::default(),
    }
}

/// Elements of a node's result, when they follow from its inputs' elements or shapes.
fn values(inference: &Inference<'_>, node: &NodeProto, inputs: &[&Known]) -> Option<Vec<Entry>> {
    let first = inputs[0].values.as_ref();
    match node.op_type() {
        "Shape" => shape_of(node, inputs[0].dims.as_ref()?),
        "Identity" | "Unsqueeze" | "Squeeze" | "Reshape" => first.cloned(),
        "Cast" => {
            let target = DataType::try_from(node.int("to").and_then(|to| i32::try_from(to).ok())?).ok()?;
            let whole = matches!(target, DataType::Int64 | DataType::Int32);
            // The length of an axis stays one, whatever type it is given.
            let cast = |entry: &Entry| match entry {
                Entry::Number(number) if whole => Entry::Number(number.trunc()),
                other => *other,
            };
            Some(first?.iter().map(cast).collect())
        }
        "Sqrt" => map(first?, f64::sqrt),
        "Neg" => map(first?, |number| -number),
        "Reciprocal" => map(first?, |number| 1.0 / number),
        "Add" => combine(inputs, |a, b| a + b),
        "Sub" => combine(inputs, |a, b| a - b),
        "Mul" => combine(inputs, |a, b| a * b),
        "Div" => combine(inputs, |a, b| a / b),
        "Concat" => {
            let parts: Option<Vec<&Vec<Entry>>> = inputs.iter().map(|input| input.values.as_ref()).collect();
            let joined: Vec<Entry> = parts?.into_iter().flatten().copied().collect();
            (joined.len() <= constant::MAX_VALUES).then_some(joined)
        }
        "Gather" => {
            let pick = |index: &Entry| {
                let index = index.whole()?;
                match first {
                    Some(entries) => at(entries, index),
                    None => {
                        inputs[0].is_shape.then(|| usize::try_from(index).map_or(Entry::Unknown, Entry::Axis))
                    }
                }
            };
            inputs.get(1)?.values.as_ref()?.iter().map(pick).collect()
        }
        "Slice" => {
            let bound = |index: usize| inference.wholes(node.input.get(index)?);
            let (start, end) = (bound(1)?, bound(2)?);
            let forward = node.input.get(4).is_none_or(|_| bound(4).is_some_and(|step| step == [1]));
            let entries = first?;
            let place = |at: &[i64]| match at {
                [at] => Some(clamp(*at, entries.len())),
                _ => None,
            };
            let range = place(&start)?..place(&end)?;
            if forward { entries.get(range).map(<[Entry]>::to_vec) } else { None }
        }
        _ => None,
    }
}

fn shape_of(node: &NodeProto, dims: &[Option<i64>]) -> Option<Vec<Entry>> {
    let entry = |(axis, dim): (usize, &Option<i64>)| match dim {
        #[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
        Some(length) => Entry::Number(*length as f64),
        None => Entry::Axis(axis),
    };
    let entries: Vec<Entry> = dims.iter().enumerate().map(entry).collect();
    let bound = |name, default| clamp(node.int(name).unwrap_or(default), dims.len());
    entries.get(bound("start", 0)..bound("end", i64::MAX)).map(<[Entry]>::to_vec)
}

/// A place in a list of `length` entries as `Slice` and `Shape` count: negative from the end, clamped to the list.
fn clamp(at: i64, length: usize) -> usize {
    let length_i64 = i64::try_from(length).unwrap_or(i64::MAX);
    let at = if at < 0 { at.saturating_add(length_i64) } else { at };
    usize::try_from(at.clamp(0, length_i64)).unwrap_or(length)
}

fn at(entries: &[Entry], index: i64) -> Option<Entry> {
    let length = i64::try_from(entries.len()).ok()?;
    let index = if index < 0 { index + length } else { index };
    entries.get(usize::try_from(index).ok()?).copied()
}

fn map(entries: &[Entry], change: impl Fn(f64) -> f64) -> Option<Vec<Entry>> {
    let change =
        |entry: &Entry| entry.number().map_or(Entry::Unknown, |number| Entry::Number(change(number)));
    Some(entries.iter().map(change).collect())
}

fn combine(inputs: &[&Known], join: impl Fn(f64, f64) -> f64) -> Option<Vec<Entry>> {
    let [a, b] = inputs else { return None };
    let (a, b) = (a.values.as_ref()?, b.values.as_ref()?);
    let length = a.len().max(b.len());
    let pick = |entries: &[Entry], index: usize| match entries {
        [one] => Some(*one),
        _ => entries.get(index).copied(),
    };
    let one = |index| {
        let (a, b) = (pick(a, index)?, pick(b, index)?);
        Some(match (a.number(), b.number()) {
            (Some(a), Some(b)) => Entry::Number(join(a, b)),
            _ => Entry::Unknown,
        })
    };
    (0..length).map(one).collect()
}
