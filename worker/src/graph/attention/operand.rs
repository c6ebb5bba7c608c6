//! Where an operand of attention comes from: a 3-d or 4-d value in, the value before the split into heads out.

use super::super::{Entry, View, onnx::NodeProto};

/// Most nodes between an operand and its root; exporters write five or six.
const MAX_STEPS: usize = 16;

/// An operand `[B, N, T, d]` (in some order of axes), traced back to `root` `[B, T, N * d]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operand<'g> {
    /// The 3-d value.
    pub(super) root: &'g str,
    /// N.
    pub(super) heads: i64,
    /// d.
    pub(super) head_dim: i64,
    /// For each axis of the 4-d operand, its place in `[B, T, N, d]`.
    pub(super) axes: [usize; 4],
    /// What its values were multiplied by on the way.
    pub(super) scale: f64,
    /// The last element type it was cast to (ONNX code).
    pub(super) cast: Option<i64>,
}

/// What has been stepped over so far, walking back.
struct Trail {
    /// For each axis of the operand (heads and batch apart), its axis in the value walked to.
    axes: Vec<usize>,
    /// Whether batch and heads are one axis in the value walked to.
    merged: bool,
    scale: f64,
    cast: Option<i64>,
}

/// Walks back from an operand of a MatMul over views, casts and factors; `None` when anything else is in the way.
pub(super) fn trace<'g>(view: &View<'g>, operand: &'g str) -> Option<Operand<'g>> {
    let rank = view.inference().dims(operand)?.len();
    let mut trail = Trail { axes: (0..rank).collect(), merged: rank == 3, scale: 1.0, cast: None };
    let mut value = operand;
    for _ in 0..MAX_STEPS {
        let node = view.maker(value)?;
        let input = node.input.first()?.as_str();
        value = match node.op_type() {
            "Identity" => input,
            "Cast" => {
                trail.cast = trail.cast.or(node.int("to"));
                input
            }
            "Mul" | "Div" => {
                let (input, factor) = factor(view, node)?;
                trail.scale *= factor;
                input
            }
            "Transpose" => {
                let order = node.ints("perm")?;
                let back = |&axis: &usize| usize::try_from(*order.get(axis)?).ok();
                trail.axes = trail.axes.iter().map(back).collect::<Option<_>>()?;
                input
            }
            "Reshape" if trail.merged => {
                unmerge(view, node, &mut trail)?;
                input
            }
            "Reshape" => return split(view, node, trail),
            _ => return None,
        };
    }
    None
}

/// The other operand and the factor of a multiplication or division by a known scalar.
pub(super) fn factor<'g>(view: &View<'_>, node: &'g NodeProto) -> Option<(&'g str, f64)> {
    let [a, b] = node.input.as_slice() else {
        return None;
    };
    let scalar = |name: &str| view.inference().scalar(name);
    match (node.op_type(), scalar(a), scalar(b)) {
        ("Mul", _, Some(factor)) => Some((a, factor)),
        ("Mul", Some(factor), None) => Some((b, factor)),
        ("Div", _, Some(divisor)) if divisor != 0.0 => Some((a, 1.0 / divisor)),
        _ => None,
    }
}

/// Whether an entry of a target shape keeps the batch axis: copied, or read from the first axis of a tensor.
pub(super) fn keeps_batch(entry: Entry, batch: Option<i64>) -> bool {
    match entry {
        Entry::Axis(axis) => axis == 0,
        Entry::Number(number) => number == 0.0 || (batch.is_some() && entry.whole() == batch),
        Entry::Unknown => false,
    }
}

/// Steps over `[B, N, T, d] -> [B * N, T, d]`.
fn unmerge(view: &View<'_>, node: &NodeProto, trail: &mut Trail) -> Option<()> {
    let from = view.inference().dims(node.input.first()?)?;
    let [_, tokens, depth] = view.inference().values(node.input.get(1)?)? else {
        return None;
    };
    let [_, _, from_tokens, from_depth] = from else {
        return None;
    };
    // With the last two axes kept, the first can only be the product of the other two.
    let kept = |entry: &Entry, length: &Option<i64>| length.is_some() && entry.whole() == *length;
    let tokens_kept = matches!(tokens, Entry::Axis(1)) || kept(tokens, from_tokens);
    if trail.axes.first() != Some(&0) || !tokens_kept || !kept(depth, from_depth) {
        return None;
    }
    trail.axes = [0, 1].into_iter().chain(trail.axes.iter().skip(1).map(|axis| axis + 1)).collect();
    trail.merged = false;
    Some(())
}

/// Ends the walk at `[B, T, N * d] -> [B, T, N, d]`.
fn split<'g>(view: &View<'g>, node: &'g NodeProto, trail: Trail) -> Option<Operand<'g>> {
    let root = node.input.first()?;
    let [batch, _, width] = view.inference().dims(root)? else {
        return None;
    };
    let [first, _, heads, head_dim] = view.inference().values(node.input.get(1)?)? else {
        return None;
    };
    if !keeps_batch(*first, *batch) {
        return None;
    }
    let width = (*width)?;
    let known = |entry: &Entry| entry.whole().filter(|&length| 0 < length);
    let (heads, head_dim) = match (known(heads), known(head_dim)) {
        (Some(heads), Some(head_dim)) => (heads, head_dim),
        (Some(heads), None) => (heads, width / heads),
        (None, Some(head_dim)) => (width / head_dim, head_dim),
        (None, None) => return None,
    };
    // Batch and N * d kept means that the token axis is kept as well.
    (heads.checked_mul(head_dim) == Some(width)).then_some(())?;
    let axes = trail.axes.try_into().ok()?;
    Some(Operand { root, heads, head_dim, axes, scale: trail.scale, cast: trail.cast })
}
