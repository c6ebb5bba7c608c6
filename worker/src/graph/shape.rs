//! Dimensions of a node's result, as far as they follow from its inputs' dimensions.

use super::{
    infer::{Inference, Known},
    onnx::NodeProto,
};

/// Lengths, each perhaps unknown.
type Dims = Vec<Option<i64>>;

/// Most dimensions that are followed.
const MAX_RANK: usize = 16;

/// Dimensions of the result of `node`; `None` when even the rank is unknown.
pub(super) fn dims(inference: &Inference<'_>, node: &NodeProto, inputs: &[&Known]) -> Option<Dims> {
    let first = inputs[0].dims.as_ref();
    match node.op_type() {
        "Identity"
        | "Cast"
        | "Sigmoid"
        | "Erf"
        | "Sqrt"
        | "Softmax"
        | "Relu"
        | "LeakyRelu"
        | "Tanh"
        | "Gelu"
        | "Exp"
        | "Neg"
        | "Sin"
        | "Cos"
        | "Reciprocal"
        | "Clip"
        | "Dropout"
        | "LayerNormalization"
        | "InstanceNormalization"
        | "GroupNormalization" => first.cloned(),
        "Where" => {
            broadcast(&broadcast(first?, inputs.get(1)?.dims.as_ref()?)?, inputs.get(2)?.dims.as_ref()?)
        }
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Equal" => broadcast(first?, inputs.get(1)?.dims.as_ref()?),
        "Shape" => Some(vec![first.and_then(|dims| i64::try_from(dims.len()).ok())]),
        "Expand" => broadcast(first?, &target(inference, node.input.get(1)?)?),
        "ConstantOfShape" => target(inference, node.input.first()?),
        "MatMul" => matmul(first?, inputs.get(1)?.dims.as_ref()?),
        "Gemm" => {
            let weights = inputs.get(1)?.dims.as_ref()?;
            let rows = *first?.get(usize::from(node.int("transA") == Some(1)))?;
            let columns = *weights.get(usize::from(node.int("transB") != Some(1)))?;
            Some(vec![rows, columns])
        }
        "Transpose" => {
            let axes = node.ints("perm")?;
            axes.iter().map(|&axis| first?.get(usize::try_from(axis).ok()?).copied()).collect()
        }
        "Reshape" => reshape(inference, node, first),
        "Unsqueeze" => unsqueeze(inference, node, first?),
        "Conv" => conv(first?, inputs.get(1)?.dims.as_ref()?),
        "ReduceMean" => reduce(inference, node, first?),
        "Resize" | "Pad" | "Slice" | "Concat" => Some(vec![None; first?.len()]),
        "Gather" => gather(node, first?, inputs.get(1)?.dims.as_ref()?),
        _ => None,
    }
}

/// Numpy's rule. An unknown length against a known one above 1 can only be 1 or the same.
fn broadcast(a: &Dims, b: &Dims) -> Option<Dims> {
    let rank = a.len().max(b.len());
    let length = |dims: &Dims, axis: usize| {
        let missing = rank - dims.len();
        if axis < missing { Some(1) } else { dims[axis - missing] }
    };
    let join = |axis| match (length(a, axis), length(b, axis)) {
        (Some(1), other) | (other, Some(1)) => other,
        (Some(known), _) | (_, Some(known)) => Some(known),
        (None, None) => None,
    };
    Some((0..rank).map(join).collect())
}

/// The lengths that a target shape names; when only the number of its entries is known, that many unknown lengths.
fn target(inference: &Inference<'_>, shape: &str) -> Option<Dims> {
    if let Some(entries) = inference.values(shape) {
        return Some(entries.iter().map(|entry| entry.whole()).collect());
    }
    let [Some(rank)] = inference.dims(shape)? else {
        return None;
    };
    Some(vec![None; usize::try_from(*rank).ok().filter(|&rank| rank <= MAX_RANK)?])
}

fn matmul(a: &Dims, b: &Dims) -> Option<Dims> {
    let ([batch_a @ .., rows, _], [batch_b @ .., _, columns]) = (a.as_slice(), b.as_slice()) else {
        return None;
    };
    let mut dims = broadcast(&batch_a.to_vec(), &batch_b.to_vec())?;
    dims.extend([*rows, *columns]);
    Some(dims)
}

/// `[n, c, h, w]` with weights `[k, c, kh, kw]` to `[n, k, ?, ?]`.
fn conv(from: &Dims, weights: &Dims) -> Option<Dims> {
    let mut dims: Dims = vec![None; from.len()];
    *dims.first_mut()? = *from.first()?;
    *dims.get_mut(1)? = *weights.first()?;
    Some(dims)
}

/// The picked axis is replaced by the dimensions of the list of places.
fn gather(node: &NodeProto, data: &Dims, picked: &Dims) -> Option<Dims> {
    let axis = node.int("axis").unwrap_or(0);
    let axis = usize::try_from(axis).ok().filter(|&axis| axis < data.len())?;
    Some([&data[..axis], picked, &data[axis + 1..]].concat())
}

fn reshape(inference: &Inference<'_>, node: &NodeProto, from: Option<&Dims>) -> Option<Dims> {
    let target = inference.values(node.input.get(1)?)?;
    let length = |(axis, entry): (usize, &super::Entry)| match entry.whole() {
        Some(0) => from.and_then(|from| from.get(axis).copied().flatten()),
        Some(length) if 0 < length => Some(length),
        _ => None,
    };
    Some(target.iter().enumerate().map(length).collect())
}

fn unsqueeze(inference: &Inference<'_>, node: &NodeProto, from: &Dims) -> Option<Dims> {
    let axes = axes(inference, node)?;
    let rank = from.len() + axes.len();
    let mut rest = from.iter().copied();
    let length = |axis| {
        if is_among(&axes, axis, rank) { Some(Some(1)) } else { rest.next() }
    };
    (0..rank).map(length).collect()
}

/// Reduced axes stay, with length 1.
fn reduce(inference: &Inference<'_>, node: &NodeProto, from: &Dims) -> Option<Dims> {
    let axes = axes(inference, node).filter(|_| node.int("keepdims") != Some(0))?;
    let length = |(axis, length): (usize, &Option<i64>)| {
        if is_among(&axes, axis, from.len()) { Some(1) } else { *length }
    };
    Some(from.iter().enumerate().map(length).collect())
}

/// The axes that a node works on: an attribute in older operator sets, the second input in newer ones.
fn axes(inference: &Inference<'_>, node: &NodeProto) -> Option<Vec<i64>> {
    match node.input.get(1) {
        Some(axes) => inference.wholes(axes),
        None => node.ints("axes").map(<[i64]>::to_vec),
    }
}

/// Whether `axis` of `rank` is in a list, where negative axes count from the end.
fn is_among(axes: &[i64], axis: usize, rank: usize) -> bool {
    let place = |axis: i64| {
        usize::try_from(if axis < 0 { axis.checked_add_unsigned(rank as u64)? } else { axis }).ok()
    };
    axes.iter().any(|&listed| place(listed) == Some(axis))
}
