//! Attention as exporters write it out, replaced by one operator: a graph in, the same function with less memory out.
//!
//! Exported attention computes `softmax(s q kᵀ) v` with a MatMul, a Softmax and a MatMul, and so holds
//! heads × tokens² numbers, several times over. ONNX Runtime's `com.microsoft.MultiHeadAttention` works in blocks and
//! takes q, k and v before they are split into heads. Two spellings are known:
//!
//! ```text
//! q [B,T,N·d] ─ Reshape [B,T,N,d] ─ Transpose [B,N,T,d] ─ (· √s) ─┐
//! k [B,S,N·d] ─ Reshape [B,S,N,d] ─ Transpose [B,N,d,S] ─ (· √s) ─┴ MatMul ─ (· s) ─ Softmax ─┐
//! v [B,S,N·d] ─ Reshape [B,S,N,d] ─ Transpose [B,N,S,d] ───────────────────────────────────────┴ MatMul
//!                                                         ─ Transpose [B,T,N,d] ─ Reshape [B,T,N·d]
//! ```
//!
//! and the same with batch and heads merged by one more Reshape, `[B·N,T,d]`, as attention was written before torch
//! had an operator for it. Identity nodes and Casts may stand anywhere on the way. Whatever does not fit exactly,
//! masked attention for one, is left alone.

mod emit;
mod operand;
mod scores;

#[cfg(test)]
mod tests;

use super::{Model, View, prune::prune};

/// The domain of ONNX Runtime's own operators.
const DOMAIN: &str = "com.microsoft";

/// What [`fuse`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fused {
    /// Attentions replaced.
    pub fused: usize,
    /// Softmax nodes still in the graph: masked or unknown attention.
    pub left: usize,
}

/// One attention of the graph, understood.
#[derive(Debug, Clone, PartialEq)]
struct Attention<'g> {
    /// The 3-d values before the split into heads: q `[B, T, heads * d]`, k `[B, S, heads * d]`, v `[B, S, heads * e]`.
    roots: [&'g str; 3],
    /// The node that writes the 3-d result.
    last: usize,
    /// N.
    heads: i64,
    /// The factor of the scores; `None` when it is the operator's own `1 / sqrt(d)`.
    scale: Option<f64>,
    /// The element type (ONNX code) to compute in, when it is not that of the roots.
    inner: Option<i64>,
    /// The element type (ONNX code) of the result, when it is not that of the computation.
    outer: Option<i64>,
}

/// Replaces every attention that it understands, and drops what nothing needs any more.
pub fn fuse(model: &mut Model) -> Fused {
    let softmax_axis_is_last = 13 <= model.operator_set("");
    let graph = model.graph();
    let view = View::new(graph);
    let mut found: Vec<_> = view
        .nodes()
        .filter(|(_, node)| node.is("Softmax"))
        .filter_map(|(_, softmax)| scores::find(&view, softmax, softmax_axis_is_last))
        .collect();
    found.sort_by_key(|attention| attention.last);
    let nodes = emit::rewritten(&view, &found);
    let fused = found.len();
    let graph = model.graph_mut();
    graph.node = nodes;
    if 0 < fused {
        prune(graph);
        model.import_operators(DOMAIN, 1);
    }
    Fused { fused, left: model.graph().node.iter().filter(|node| node.is("Softmax")).count() }
}
