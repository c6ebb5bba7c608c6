//! Constants of a graph, computed: pads, scales and the weights of normalisations in, their numbers out.

use std::collections::HashMap;

use half::f16;

use super::super::{
    constant,
    onnx::{DataType, GraphProto, NodeProto, TensorProto},
};

/// Most values of a constant: the channels of a normalisation; the weights of convolutions are not looked at.
const MAX_VALUES: usize = 1 << 13;

/// A small tensor, row-major.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Small {
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<f64>,
}

/// Every small constant of a graph, by name.
#[derive(Debug, Default)]
pub(super) struct Constants<'g> {
    known: HashMap<&'g str, Small>,
}

// === impl Constants ===

impl<'g> Constants<'g> {
    /// Looks at every node once, in topological order.
    pub(super) fn new(graph: &'g GraphProto) -> Self {
        let mut this = Self::default();
        for tensor in &graph.initializer {
            this.known.extend(Small::of(tensor).map(|small| (tensor.name(), small)));
        }
        for node in &graph.node {
            if let ([output], Some(small)) = (node.output.as_slice(), this.result(node)) {
                this.known.insert(output, small);
            }
        }
        this
    }

    /// The constant of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Small> {
        self.known.get(name)
    }

    /// The whole numbers of a constant list.
    pub(super) fn wholes(&self, name: &str) -> Option<Vec<i64>> {
        self.get(name)?.wholes()
    }

    fn result(&self, node: &NodeProto) -> Option<Small> {
        if !matches!(node.domain(), "" | "ai.onnx") {
            return None;
        }
        if node.op_type() == "Constant" {
            return of_constant(node);
        }
        let first = self.get(node.input.first()?)?;
        let list = |index: usize| self.wholes(node.input.get(index)?);
        let axes = || list(1).or_else(|| node.ints("axes").map(<[i64]>::to_vec));
        match node.op_type() {
            "Identity" => Some(first.clone()),
            "Cast" => first.cast(node.int("to")?),
            "Reshape" => first.reshaped(&list(1)?),
            "Unsqueeze" => first.reshaped(&unsqueezed(&first.dims, &axes()?)?),
            "Squeeze" => first.reshaped(&squeezed(&first.dims, &axes()?)?),
            "Transpose" => first.transposed(node.ints("perm")),
            "Slice" => first.sliced(&list(1)?, &list(2)?, list(3), list(4)),
            "ConstantOfShape" => filled(node, &first.wholes()?),
            "Concat" => {
                let parts: Option<Vec<&Small>> = node.input.iter().map(|name| self.get(name)).collect();
                joined(&parts?)
            }
            _ => None,
        }
    }
}

// === impl Small ===

impl Small {
    fn of(tensor: &TensorProto) -> Option<Self> {
        let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let dims = dims?;
        let count = dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim))?;
        let values = if count <= MAX_VALUES { constant::all(tensor)? } else { return None };
        Some(Self { dims, values })
    }

    fn wholes(&self) -> Option<Vec<i64>> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole; beyond i64 the cast saturates: the very end"
        )]
        let whole = |&value: &f64| (value.fract() == 0.0).then_some(value as i64);
        self.values.iter().map(whole).collect()
    }

    fn cast(&self, to: i64) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "rounding is what the graph asks for")]
        let to_value: fn(f64) -> f64 = match DataType::try_from(i32::try_from(to).ok()?).ok()? {
            DataType::Float => |value| f64::from(value as f32),
            DataType::Float16 => |value| f16::from_f64(value).into(),
            DataType::Double => |value| value,
            DataType::Int64 | DataType::Int32 => f64::trunc,
            _ => return None,
        };
        Some(Self {
            dims: self.dims.clone(),
            values: self.values.iter().map(|&value| to_value(value)).collect(),
        })
    }

    fn reshaped(&self, target: &[i64]) -> Option<Self> {
        let mut dims = Vec::new();
        for (axis, &length) in target.iter().enumerate() {
            dims.push(match length {
                0 => *self.dims.get(axis)?,
                -1 => 0,
                length => usize::try_from(length).ok()?,
            });
        }
        let known: usize = dims.iter().filter(|&&length| 0 < length).product();
        for length in dims.iter_mut().filter(|length| **length == 0) {
            *length = self.values.len().checked_div(known)?;
        }
        let fits = dims.iter().product::<usize>() == self.values.len();
        fits.then(|| Self { dims, values: self.values.clone() })
    }

    fn transposed(&self, order: Option<&[i64]>) -> Option<Self> {
        let rank = self.dims.len();
        let order: Vec<usize> = match order {
            Some(order) => order.iter().map(|&axis| usize::try_from(axis).ok()).collect::<Option<_>>()?,
            None => (0..rank).rev().collect(),
        };
        let lengths: Option<Vec<usize>> = order.iter().map(|&axis| self.dims.get(axis).copied()).collect();
        let lengths = lengths.filter(|lengths| lengths.len() == rank)?;
        let stride = |axis: usize| self.dims[axis + 1..].iter().product::<usize>();
        let source = |mut index: usize| {
            let mut from = 0;
            for (&axis, &length) in order.iter().zip(&lengths).rev() {
                from += index % length * stride(axis);
                index /= length;
            }
            self.values.get(from).copied()
        };
        let values: Option<Vec<f64>> = (0..self.values.len()).map(source).collect();
        Some(Self { dims: lengths, values: values? })
    }

    fn sliced(
        &self,
        starts: &[i64],
        ends: &[i64],
        axes: Option<Vec<i64>>,
        steps: Option<Vec<i64>>,
    ) -> Option<Self> {
        let mut this = self.clone();
        for (index, (&start, &end)) in starts.iter().zip(ends).enumerate() {
            let axis = axes.as_ref().map_or(i64::try_from(index).ok(), |axes| axes.get(index).copied())?;
            let axis = place(axis, this.dims.len())?;
            let step = steps.as_ref().map_or(Some(1), |steps| steps.get(index).copied())?;
            let picked = picked(start, end, step, *this.dims.get(axis)?)?;
            this = this.taken(axis, &picked);
        }
        Some(this)
    }

    fn taken(&self, axis: usize, picked: &[usize]) -> Self {
        let inner: usize = self.dims[axis + 1..].iter().product();
        let outer: usize = self.dims[..axis].iter().product();
        let length = self.dims[axis];
        let mut values = Vec::new();
        for block in 0..outer {
            for &at in picked {
                let from = (block * length + at) * inner;
                values.extend_from_slice(&self.values[from..from + inner]);
            }
        }
        let mut dims = self.dims.clone();
        dims[axis] = picked.len();
        Self { dims, values }
    }
}

fn of_constant(node: &NodeProto) -> Option<Small> {
    let attribute = node.attribute.first()?;
    #[expect(clippy::cast_precision_loss, reason = "constants of shapes are far below 2^53")]
    let whole = |&value: &i64| value as f64;
    match (attribute.name(), &attribute.t) {
        ("value", Some(tensor)) => Small::of(tensor),
        ("value_float", _) => Some(Small { dims: Vec::new(), values: vec![attribute.f().into()] }),
        ("value_int", _) => Some(Small { dims: Vec::new(), values: vec![whole(&attribute.i())] }),
        ("value_ints", _) => Some(listed(attribute.ints.iter().map(whole).collect())),
        ("value_floats", _) => Some(listed(attribute.floats.iter().map(|&value| value.into()).collect())),
        _ => None,
    }
}

fn listed(values: Vec<f64>) -> Small {
    Small { dims: vec![values.len()], values }
}

fn filled(node: &NodeProto, dims: &[i64]) -> Option<Small> {
    let dims: Option<Vec<usize>> = dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let dims = dims?;
    let count = dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim))?;
    let fill = match node.attribute("value").and_then(|attribute| attribute.t.as_ref()) {
        Some(tensor) => *constant::values(tensor)?.first()?,
        None => 0.0,
    };
    (count <= MAX_VALUES).then(|| Small { dims, values: vec![fill; count] })
}

/// Lists joined end to end; tensors of higher rank are not needed.
fn joined(parts: &[&Small]) -> Option<Small> {
    let flat = parts.iter().all(|part| part.dims.len() == 1);
    let values: Vec<f64> = parts.iter().flat_map(|part| part.values.iter().copied()).collect();
    (flat && values.len() <= MAX_VALUES).then(|| listed(values))
}

fn unsqueezed(dims: &[usize], axes: &[i64]) -> Option<Vec<i64>> {
    let rank = dims.len() + axes.len();
    let axes: Option<Vec<usize>> = axes.iter().map(|&axis| place(axis, rank)).collect();
    let axes = axes?;
    let mut rest = dims.iter().map(|&dim| i64::try_from(dim).ok());
    (0..rank).map(|axis| if axes.contains(&axis) { Some(1) } else { rest.next()? }).collect()
}

fn squeezed(dims: &[usize], axes: &[i64]) -> Option<Vec<i64>> {
    let axes: Option<Vec<usize>> = axes.iter().map(|&axis| place(axis, dims.len())).collect();
    let axes = axes?;
    let kept = dims.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
    kept.map(|(_, &dim)| i64::try_from(dim).ok()).collect()
}

/// An axis that may be counted from the end.
pub(super) fn place(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.checked_add(i64::try_from(rank).ok()?)? } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < rank)
}

/// The places that a slice takes of an axis, by the rules of `Slice`: negative from the end, clamped.
fn picked(start: i64, end: i64, step: i64, length: usize) -> Option<Vec<usize>> {
    let length = i64::try_from(length).ok()?;
    let from_end = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
    let (start, end) = (from_end(start), from_end(end));
    let mut places = Vec::new();
    let mut at = if 0 < step { start.clamp(0, length) } else { start.clamp(-1, length - 1) };
    let end = if 0 < step { end.clamp(0, length) } else { end.clamp(-1, length - 1) };
    while step != 0 && (if 0 < step { at < end } else { end < at }) {
        places.push(usize::try_from(at).ok()?);
        at = at.checked_add(step)?;
    }
    Some(places)
}

#[cfg(test)]
mod tests;
