//! From one Softmax node to the attention around it, or to nothing.

use super::{
    super::{Entry, View, onnx::NodeProto},
    Attention,
    operand::{self, Operand, factor, keeps_batch},
};

/// Places of `[B, T, N, d]` in the operands: q and v `[B, N, T, d]`, k `[B, N, d, S]`.
const PLAIN: [usize; 4] = [0, 2, 1, 3];
const TRANSPOSED: [usize; 4] = [0, 2, 3, 1];

/// Largest relative distance between a factor and `1 / sqrt(d)` that counts as the same.
const SCALE_TOLERANCE: f64 = 1e-6;

/// What follows the Softmax.
struct Result<'g> {
    /// v, split into heads.
    v: &'g str,
    /// The node that writes the 3-d result, and that result's target shape.
    last: usize,
    target: &'g str,
    /// N and d of the split of `[B * N, T, d]`, where there is one.
    split: Option<(i64, i64)>,
    /// Cast between Softmax and the MatMul with v (ONNX code).
    before: Option<i64>,
    /// The last cast after that MatMul (ONNX code).
    after: Option<i64>,
}

/// Understands the attention whose Softmax this is; `None` when anything about it is not as expected.
pub(super) fn find<'g>(view: &View<'g>, softmax: &'g NodeProto, axis_is_last: bool) -> Option<Attention<'g>> {
    let input = softmax.input.first()?;
    let rank = i64::try_from(view.inference().dims(input)?.len()).ok()?;
    let axis = softmax.int("axis").or(axis_is_last.then_some(-1))?;
    if axis != -1 && axis != rank - 1 {
        return None;
    }
    let (product, scale) = product(view, input)?;
    let [q, k] = product.input.as_slice() else {
        return None;
    };
    let result = result(view, softmax)?;
    let (q, k, v) = (operand::trace(view, q)?, operand::trace(view, k)?, operand::trace(view, result.v)?);
    if !fit(&q, &k, &v) || !merges(view, &result, &v) {
        return None;
    }
    let scale = scale * q.scale * k.scale;
    let inner = q.cast.or(k.cast).or(v.cast);
    Some(Attention {
        roots: [q.root, k.root, v.root],
        last: result.last,
        heads: q.heads,
        scale: explicit_scale(scale, q.head_dim),
        inner,
        outer: result.after.or(inner.and_then(|_| v.cast.or(result.before))),
    })
}

/// The factor as an attribute, unless it is the operator's default.
#[expect(clippy::cast_precision_loss, reason = "a head has a few hundred channels")]
fn explicit_scale(scale: f64, head_dim: i64) -> Option<f64> {
    let relative = scale * (head_dim as f64).sqrt();
    (SCALE_TOLERANCE < (relative - 1.0).abs()).then_some(scale)
}

/// Walks back from the Softmax to the MatMul of q and k, over casts, factors and an added nought.
fn product<'g>(view: &View<'g>, input: &'g str) -> Option<(&'g NodeProto, f64)> {
    let (mut value, mut scale) = (input, 1.0);
    for _ in 0..8 {
        let node = view.maker(value)?;
        value = match node.op_type() {
            "MatMul" => return Some((node, scale)),
            "Identity" | "Cast" => node.input.first()?,
            "Mul" | "Div" => {
                let (input, factor) = factor(view, node)?;
                scale *= factor;
                input
            }
            // torch writes `baddbmm` with beta = 0 as `q k * s + empty * 0`.
            "Add" => {
                let [a, b] = node.input.as_slice() else {
                    return None;
                };
                if is_nought(view, b) {
                    a
                } else if is_nought(view, a) {
                    b
                } else {
                    return None;
                }
            }
            _ => return None,
        };
    }
    None
}

/// Whether a value is all zeros: a product with the constant 0, or a tensor filled with it.
fn is_nought(view: &View<'_>, value: &str) -> bool {
    let Some(node) = view.maker(value) else {
        return false;
    };
    match node.op_type() {
        "Mul" => node.input.iter().any(|input| view.inference().scalar(input) == Some(0.0)),
        "ConstantOfShape" => {
            let fill = node.attribute("value").and_then(|attribute| attribute.t.as_ref());
            fill.is_none_or(|tensor| super::super::constant::values(tensor) == Some(vec![0.0]))
        }
        _ => false,
    }
}

/// Walks on from the Softmax to the 3-d result: MatMul with v, perhaps a split of batch and heads, Transpose, Reshape.
fn result<'g>(view: &View<'g>, softmax: &'g NodeProto) -> Option<Result<'g>> {
    let mut value = softmax.output.first()?.as_str();
    let (mut before, mut after, mut v, mut split, mut transposed) = (None, None, None, None, false);
    for _ in 0..10 {
        let (index, node) = next(view, value)?;
        match (node.op_type(), v, transposed) {
            ("Identity", ..) => {}
            ("Cast", None, _) => before = node.int("to"),
            ("Cast", Some(_), _) => after = node.int("to"),
            ("MatMul", None, _) if node.input.first()? == value => v = Some(node.input.get(1)?.as_str()),
            ("Transpose", Some(_), false) if node.ints("perm")? == [0, 2, 1, 3] => transposed = true,
            ("Reshape", Some(_), false) if split.is_none() => {
                let target = view.inference().values(node.input.get(1)?)?;
                let [_, heads, Entry::Axis(1), depth] = target else {
                    return None;
                };
                split = Some((heads.whole()?, depth.whole()?));
            }
            ("Reshape", Some(v), true) => {
                let target = node.input.get(1)?;
                return Some(Result { v, last: index, target, split, before, after });
            }
            _ => return None,
        }
        value = node.output.first()?;
    }
    None
}

/// The only node that reads a value, apart from those that read its shape.
fn next<'g>(view: &View<'g>, value: &str) -> Option<(usize, &'g NodeProto)> {
    let mut readers = view.readers(value).iter().map(|&index| (index, view.node(index)));
    let mut readers = readers.by_ref().filter(|(_, node)| !node.is("Shape"));
    let first = readers.next();
    first.filter(|_| readers.next().is_none())
}

/// Whether q, k and v are one attention's.
fn fit(q: &Operand<'_>, k: &Operand<'_>, v: &Operand<'_>) -> bool {
    let axes = q.axes == PLAIN && k.axes == TRANSPOSED && v.axes == PLAIN;
    let heads = q.heads == k.heads && k.heads == v.heads;
    axes && heads && q.head_dim == k.head_dim && v.scale == 1.0
}

/// Whether the result is brought back to `[B, T, N * e]`: when two of the three lengths are kept, so is the third.
fn merges(view: &View<'_>, result: &Result<'_>, v: &Operand<'_>) -> bool {
    let Some([batch, tokens, width]) = view.inference().values(result.target) else {
        return false;
    };
    let split_fits = result.split.is_none_or(|split| split == (v.heads, v.head_dim));
    let batch_kept = keeps_batch(*batch, None);
    let tokens_kept = matches!(tokens, Entry::Axis(1)) || tokens.whole() == Some(0);
    let width_kept = width.whole().is_some() && width.whole() == v.heads.checked_mul(v.head_dim);
    let kept = [batch_kept, tokens_kept, width_kept];
    split_fits && 2 <= kept.into_iter().filter(|kept| *kept).count()
}
