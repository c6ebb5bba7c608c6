//! Which spellings of attention are understood, and which are left alone. That the result is the same is shown in
//! `engine/tests.rs` and `benches/fuse.rs`, where there is something to run it.

use bytes::Bytes;

use super::{
    super::sketch::{Sketch, committed},
    *,
};
use crate::graph::onnx::{DataType, NodeProto};

/// Choices in writing an attention of 2 heads of 16 on `[b, t, 32]`.
#[derive(Clone, Copy)]
struct Spelling {
    q_axes: [i64; 4],
    k_axes: [i64; 4],
    /// Factor on q, on k, and on the scores.
    factors: [f32; 3],
    /// Target of the first and of the last Reshape.
    split: [i64; 4],
    merge: [i64; 3],
    mask: bool,
    softmax_axis: i64,
}

/// As torch exports `scaled_dot_product_attention`, `1 / sqrt(16) = 0.25` as two factors of its root.
const USUAL: Spelling = Spelling {
    q_axes: [0, 2, 1, 3],
    k_axes: [0, 2, 3, 1],
    factors: [0.5, 0.5, 1.0],
    split: [0, -1, 2, 16],
    merge: [0, -1, 32],
    mask: false,
    softmax_axis: -1,
};

fn sketch(spelling: Spelling) -> Sketch {
    let [on_q, on_k, on_scores] = spelling.factors;
    let mut sketch = Sketch::default();
    for name in ["q", "k", "v"] {
        sketch = sketch.input(name, DataType::Float, &[-1, -1, 32]);
    }
    sketch = sketch.list("split", &spelling.split).list("merge", &spelling.merge);
    sketch = sketch.weight("on_q", &[], &[on_q]).weight("on_k", &[1], &[on_k]).weight(
        "on_scores",
        &[],
        &[on_scores],
    );
    for (name, axes) in [("q", spelling.q_axes), ("k", spelling.k_axes), ("v", [0, 2, 1, 3])] {
        let (split, turned) = (format!("{name}4"), format!("{name}t"));
        sketch = sketch.node("Reshape", &[name, "split"], &split);
        sketch = sketch.node_with("Transpose", &[&split], &turned, &[("perm", &axes)]);
    }
    sketch = sketch.node("Mul", &["qt", "on_q"], "qs").node("Mul", &["kt", "on_k"], "ks");
    sketch = sketch.node("MatMul", &["qs", "ks"], "product").node("Mul", &["product", "on_scores"], "scores");
    if spelling.mask {
        sketch = sketch.input("mask", DataType::Float, &[-1, 1, -1, -1]).node(
            "Add",
            &["scores", "mask"],
            "masked",
        );
    } else {
        sketch = sketch.node("Identity", &["scores"], "masked");
    }
    sketch = sketch.node_with("Softmax", &["masked"], "weights", &[("axis", &[spelling.softmax_axis])]);
    sketch = sketch.node("MatMul", &["weights", "vt"], "heads");
    sketch = sketch.node_with("Transpose", &["heads"], "tokens", &[("perm", &[0, 2, 1, 3])]);
    sketch.node("Reshape", &["tokens", "merge"], "out").output("out", DataType::Float, &[-1, -1, 32])
}

/// The only node left when everything was fused.
fn fused(sketch: Sketch) -> NodeProto {
    let mut model = sketch.model();
    assert_eq!(fuse(&mut model), Fused { fused: 1, left: 0 });
    assert_eq!(model.operator_set(DOMAIN), 1);
    let [node] = model.graph().node.as_slice() else { panic!("left over: {:?}", model.graph().node) };
    assert_eq!(
        (node.op_type(), node.domain(), node.output[0].as_str()),
        ("MultiHeadAttention", DOMAIN, "out")
    );
    assert_eq!(node.input, ["q", "k", "v"]);
    assert_eq!(node.int("num_heads"), Some(2));
    assert!(model.graph().initializer.is_empty(), "targets and factors are needed no more");
    node.clone()
}

fn scale(node: &NodeProto) -> Option<f32> {
    node.attribute("scale").and_then(|attribute| attribute.f)
}

fn is_left(sketch: Sketch) -> bool {
    let mut model = sketch.model();
    let before = model.clone();
    let done = fuse(&mut model);
    assert!(done.fused == 1 || model == before, "what is left alone is not touched");
    done == Fused { fused: 0, left: 1 }
}

#[test]
fn the_usual_spelling_is_fused() {
    assert_eq!(scale(&fused(sketch(USUAL))), None);
}

#[test]
fn a_factor_may_stand_anywhere() {
    for factors in [[0.25, 1.0, 1.0], [1.0, 0.25, 1.0], [1.0, 1.0, 0.25], [0.5, 1.0, 0.5]] {
        assert_eq!(scale(&fused(sketch(Spelling { factors, ..USUAL }))), None, "{factors:?}");
    }
}

#[test]
fn another_factor_becomes_an_attribute() {
    assert_eq!(scale(&fused(sketch(Spelling { factors: [1.0; 3], ..USUAL }))), Some(1.0));
    assert_eq!(scale(&fused(sketch(Spelling { factors: [0.5, 0.25, 1.0], ..USUAL }))), Some(0.125));
    // 0.25 off by two millionths is another factor, off by a tenth of one is not.
    let near = |error: f32| [0.5, 0.5, 1.0 + error];
    assert!(scale(&fused(sketch(Spelling { factors: near(2e-6), ..USUAL }))).is_some());
    assert!(scale(&fused(sketch(Spelling { factors: near(1.2e-7), ..USUAL }))).is_none());
}

#[test]
fn a_length_may_be_left_to_be_computed() {
    for split in [[0, -1, 2, 16], [0, 0, 2, 16], [0, 0, -1, 16], [0, 0, 2, -1]] {
        fused(sketch(Spelling { split, ..USUAL }));
    }
    for merge in [[0, -1, 32], [0, 0, 32], [0, 0, -1]] {
        fused(sketch(Spelling { merge, ..USUAL }));
    }
    fused(sketch(Spelling { softmax_axis: 3, ..USUAL }));
}

#[test]
fn what_does_not_fit_is_left_alone() {
    assert!(is_left(sketch(Spelling { mask: true, ..USUAL })), "masked");
    assert!(is_left(sketch(Spelling { softmax_axis: 2, ..USUAL })), "softmax over queries");
    assert!(is_left(sketch(Spelling { q_axes: [0, 1, 2, 3], ..USUAL })), "heads not in front");
    assert!(is_left(sketch(Spelling { k_axes: [0, 2, 1, 3], ..USUAL })), "k not transposed");
    assert!(
        is_left(sketch(Spelling { split: [2, -1, 2, 16], ..USUAL })),
        "tokens regrouped by a fixed batch"
    );
    assert!(is_left(sketch(Spelling { split: [0, -1, 2, 8], ..USUAL })), "heads that do not fill the width");
    assert!(is_left(sketch(Spelling { merge: [1, -1, 64], ..USUAL })), "another width of the result");
}

#[test]
fn weights_read_by_others_stay() {
    let sketch = sketch(USUAL).output("weights", DataType::Float, &[-1, 2, -1, -1]);
    let mut model = sketch.model();
    // The MatMul with v is still the only reader, so the attention is fused; the weights are computed besides.
    assert_eq!(fuse(&mut model), Fused { fused: 1, left: 1 });
    assert!(Model::parse(Bytes::from(model.encode())).is_ok());
}

#[test]
fn casts_keep_the_type_that_was_computed_in() {
    // Upcast attention: f16 in, scores in f32, weights back to f16 before they meet v.
    let mut sketch = Sketch::default().list("split", &[0, -1, 2, 16]).list("merge", &[0, -1, 32]);
    let (f32_code, f16_code) = (1, 10);
    for (name, axes) in [("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])] {
        let (split, turned) = (format!("{name}4"), format!("{name}t"));
        sketch =
            sketch.input(name, DataType::Float16, &[-1, -1, 32]).node("Reshape", &[name, "split"], &split);
        sketch = sketch.node_with("Transpose", &[&split], &turned, &[("perm", &axes)]);
    }
    for name in ["q", "k"] {
        sketch =
            sketch.node_with("Cast", &[&format!("{name}t")], &format!("{name}c"), &[("to", &[f32_code])]);
    }
    sketch = sketch.node("MatMul", &["qc", "kc"], "scores");
    sketch = sketch.node_with("Softmax", &["scores"], "weights", &[("axis", &[-1])]);
    sketch = sketch.node_with("Cast", &["weights"], "half", &[("to", &[f16_code])]);
    sketch = sketch.node("MatMul", &["half", "vt"], "heads");
    sketch = sketch.node_with("Transpose", &["heads"], "tokens", &[("perm", &[0, 2, 1, 3])]);
    sketch =
        sketch.node("Reshape", &["tokens", "merge"], "out").output("out", DataType::Float16, &[-1, -1, 32]);
    let mut model = sketch.model();
    assert_eq!(fuse(&mut model).fused, 1);
    let ops: Vec<(&str, Option<i64>)> =
        model.graph().node.iter().map(|node| (node.op_type(), node.int("to"))).collect();
    let (up, down) = (("Cast", Some(f32_code)), ("Cast", Some(f16_code)));
    assert_eq!(ops, [up, up, up, ("MultiHeadAttention", None), down]);
    assert_eq!(model.graph().node[4].output, ["out"]);
}

#[test]
fn merged_batch_and_heads_are_fused() {
    assert_eq!(scale(&fused(merged())), None);
}

/// As diffusers' first attention exports: batch and heads in one axis, `baddbmm` with beta 0, 1 / sqrt(16) outside.
fn merged() -> Sketch {
    let mut sketch = Sketch::default().list("split", &[0, 0, 2, 16]).list("merge", &[-1, 0, 32]);
    sketch = sketch.weight("factor", &[], &[0.25]).weight("nought", &[], &[0.0]);
    sketch = sketch.list("one", &[1]).list("depth", &[16]).list("free", &[-1]).list("two", &[2]);
    for name in ["q", "k", "v"] {
        sketch = sketch.input(name, DataType::Float, &[-1, -1, 32]);
        let [split, turned, shape, tokens, target, flat] =
            ["4", "t", "s", "n", "r", "3"].map(|suffix| format!("{name}{suffix}"));
        sketch = sketch.node("Reshape", &[name, "split"], &split);
        sketch = sketch.node_with("Transpose", &[&split], &turned, &[("perm", &[0, 2, 1, 3])]);
        sketch = sketch.node("Shape", &[name], &shape).node("Gather", &[&shape, "one"], &tokens);
        sketch = sketch.node_with("Concat", &["free", &tokens, "depth"], &target, &[("axis", &[0])]);
        sketch = sketch.node("Reshape", &[&turned, &target], &flat);
    }
    sketch = sketch.node_with("Transpose", &["k3"], "kt3", &[("perm", &[0, 2, 1])]);
    sketch = sketch.node("MatMul", &["q3", "kt3"], "product").node("Mul", &["product", "factor"], "scaled");
    sketch = sketch.node("Shape", &["product"], "ps").node("ConstantOfShape", &["ps"], "empty");
    sketch = sketch.node("Mul", &["empty", "nought"], "zeros").node("Add", &["scaled", "zeros"], "scores");
    sketch = sketch.node_with("Softmax", &["scores"], "weights", &[("axis", &[-1])]);
    sketch = sketch.node("MatMul", &["weights", "v3"], "heads");
    sketch = sketch.node("Shape", &["heads"], "hs").node("Gather", &["hs", "one"], "ht");
    sketch = sketch.node_with("Concat", &["free", "two", "ht", "depth"], "back", &[("axis", &[0])]);
    sketch = sketch.node("Reshape", &["heads", "back"], "heads4");
    sketch = sketch.node_with("Transpose", &["heads4"], "tokens", &[("perm", &[0, 2, 1, 3])]);
    sketch.node("Reshape", &["tokens", "merge"], "out").output("out", DataType::Float, &[-1, -1, 32])
}

#[test]
fn real_networks_are_fused_whole() {
    let fused = |fused, left| Fused { fused, left };
    for (name, bytes, expected) in [
        ("unet", committed!("tiny-sd15/unet/model.onnx"), fused(20, 0)),
        ("unet, weights beside", committed!("tiny-sd15-external/unet/model.onnx"), fused(20, 0)),
        ("unet of SDXL", committed!("tiny-sdxl/unet/model.onnx"), fused(22, 0)),
        ("decoder", committed!("tiny-sd15/vae_decoder/model.onnx"), fused(1, 0)),
        ("encoder", committed!("tiny-sd15/vae_encoder/model.onnx"), fused(1, 0)),
        ("text encoder", committed!("tiny-sd15/text_encoder/model.onnx"), fused(0, 3)),
    ] {
        let mut model = Model::parse(Bytes::from_static(bytes)).unwrap();
        let (facts, files) = (model.facts(), model.external_files().len());
        assert_eq!(fuse(&mut model), expected, "{name}");
        let again = Model::parse(Bytes::from(model.encode())).unwrap();
        assert_eq!((again.facts(), again.external_files().len()), (facts, files), "{name}");
    }
}
