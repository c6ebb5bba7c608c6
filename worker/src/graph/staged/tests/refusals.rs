//! Graphs that are not cut, and what is said about them.

use super::{
    super::super::{attention, onnx::DataType, sketch::Sketch},
    *,
};

fn refusal(sketch: Sketch) -> String {
    Staged::cut(&sketch.model()).unwrap_err().to_string()
}

/// A picture of three channels in; `y` out.
fn picture() -> Sketch {
    let free = [-1, 3, -1, -1];
    Sketch::default().input("x", DataType::Float, &free).output("y", DataType::Float, &free)
}

#[test]
fn not_a_vae() {
    let unet = Model::parse(Bytes::from_static(committed!("tiny-sd15/unet/model.onnx"))).unwrap();
    assert_eq!(
        Staged::cut(&unet).unwrap_err().to_string(),
        "not a VAE: the graph takes 3 inputs and gives 1 results, an encoder or decoder has one of each"
    );
    let list = Sketch::default().input("x", DataType::Float, &[-1, 3]).output("y", DataType::Float, &[-1, 3]);
    assert_eq!(
        refusal(list.node("Relu", &["x"], "y")),
        "not a VAE: x: f32 [free, 3] is no picture [n, c, h, w] of f32 or f16"
    );
    let ids = Sketch::default().input("x", DataType::Int64, &[-1, 3, -1, -1]).output(
        "y",
        DataType::Float,
        &[-1; 4],
    );
    assert!(refusal(ids.node_with("Cast", &["x"], "y", &[("to", &[1])])).contains("is no picture"));
    let fixed = Sketch::default().input("x", DataType::Float, &[-1, 3, 64, 64]).output(
        "y",
        DataType::Float,
        &[-1; 4],
    );
    assert_eq!(
        refusal(fixed.node("Relu", &["x"], "y")),
        "the graph takes pictures of one size only (x: f32 [free, 3, 64, 64]): export it with free height and width"
    );
    let size = picture().node("Shape", &["x"], "s").node_with("Cast", &["s"], "y", &[("to", &[1])]);
    assert!(refusal(size).contains("is no picture"));
}

#[test]
fn unknown_normalisations() {
    let text = |op: &str| format!(r#"{op} "{op} y": no group normalisation in a spelling that is known"#);
    let weights = || picture().weight("w", &[3], &[1.0; 3]).weight("b", &[3], &[0.0; 3]);
    for op in ["LayerNormalization", "BatchNormalization", "InstanceNormalization", "LpNormalization"] {
        let sketch = if op == "InstanceNormalization" {
            // Two groups of three channels.
            let target = weights().list("t", &[0, 2, -1]).node("Reshape", &["x", "t"], "g");
            target.node(op, &["g", "w", "b"], "y")
        } else {
            weights().node(op, &["x", "w", "b"], "y")
        };
        assert_eq!(refusal(sketch), text(op));
    }
    let mean = picture().list("axes", &[2, 3]).node("ReduceMean", &["x", "axes"], "y");
    assert_eq!(refusal(mean), text("ReduceMean"));
    let group = weights().node_with("GroupNormalization", &["x", "w", "b"], "y", &[("num_groups", &[2])]);
    assert_eq!(refusal(group), text("GroupNormalization"));
}

#[test]
fn the_input_itself_is_not_normalised() {
    let sketch = picture().weight("w", &[3], &[1.0; 3]).weight("b", &[3], &[0.0; 3]);
    let text = refusal(sketch.node("InstanceNormalization", &["x", "w", "b"], "y"));
    assert!(text.contains("it normalises something that is no picture made inside the network"), "{text}");
}

#[test]
fn unknown_operators_and_settings() {
    let text = |sketch: Sketch| refusal(sketch);
    let weights = || picture().weight("w", &[3, 3, 3, 3], &[0.1; 81]);
    assert_eq!(
        text(weights().node("ConvTranspose", &["x", "w"], "y")),
        r#"ConvTranspose "ConvTranspose y": nothing is known of how this operator moves pixels"#
    );
    assert_eq!(
        text(weights().node_with("Conv", &["x", "w"], "y", &[("strides", &[1, 2])])),
        r#"Conv "Conv y": its strides differ for rows and columns"#
    );
    let resized = |scales: &[f32]| picture().weight("s", &[4], scales).node("Resize", &["x", "", "s"], "y");
    assert!(text(resized(&[1.0, 1.0, 1.5, 1.5])).contains("by a factor that is not known or not whole"));
    assert!(text(resized(&[1.0, 1.0, 2.0, 4.0])).contains("it resizes rows and columns differently"));
    let padded = |pads: &[i64]| picture().list("p", pads).node("Pad", &["x", "p"], "y");
    assert!(text(padded(&[0, 0, -1, 0, 0, 0, 0, 0])).contains("its pads are negative"));
    assert!(text(padded(&[0, 1, 0, 0, 0, 1, 0, 0])).contains("its pads are not known, or not those of rows"));
    let joined = picture().node_with("Concat", &["x", "x"], "y", &[("axis", &[3])]);
    assert!(text(joined).contains("it joins along rows, columns or tokens"));
    let turned = picture().node_with("Transpose", &["x"], "t", &[("perm", &[0, 1, 3, 2])]);
    assert!(
        text(turned.node("Add", &["x", "t"], "y"))
            .contains("it joins pictures or tokens of different layouts")
    );
}

/// Tokens that change their order or their number would be torn by tiles.
#[test]
fn tokens_are_kept_together() {
    for target in [[0, -1, 4, 3], [1, 3, 2, -1], [3, -1, 8, 8]] {
        let sketch = picture().list("t", &target).node("Reshape", &["x", "t"], "y");
        assert!(refusal(sketch).contains("it does not keep rows, columns or tokens together"), "{target:?}");
    }
}

#[test]
fn unknown_attention() {
    let mut fused = Model::parse(Bytes::from_static(DECODER)).unwrap();
    assert_eq!(attention::fuse(&mut fused).fused, 1);
    let text = Staged::cut(&fused).unwrap_err().to_string();
    assert!(text.ends_with("its attention is fused already; give the graph as it was exported"), "{text}");

    let tokens = || picture().list("t", &[0, 3, -1]).node("Reshape", &["x", "t"], "c");
    let tokens = || tokens().node_with("Transpose", &["c"], "r", &[("perm", &[0, 2, 1])]);
    let linear = tokens().node("MatMul", &["c", "r"], "y");
    assert_eq!(
        refusal(linear),
        r#"MatMul "MatMul y": attention of unknown structure: tokens meet in a product that is neither q kᵀ nor softmax(...) v"#
    );
    let sideways = tokens().node("MatMul", &["r", "c"], "s");
    let sideways = sideways.node_with("Softmax", &["s"], "y", &[("axis", &[1])]);
    assert!(refusal(sideways).ends_with("its softmax is not over what the tokens look at"));
    let twice = tokens().node("Sigmoid", &["c"], "k").node("MatMul", &["r", "k"], "s");
    let twice = twice.node_with("Softmax", &["s"], "w", &[("axis", &[-1])]).node("MatMul", &["w", "r"], "m");
    let twice =
        twice.node_with("Transpose", &["m"], "n", &[("perm", &[0, 2, 1])]).node("Add", &["n", "k"], "o");
    let twice = twice.node("Shape", &["x"], "d").node("Reshape", &["o", "d"], "y");
    assert!(refusal(twice).ends_with("its keys or values are used elsewhere too"));
}

#[test]
fn numbers_that_depend_on_the_size() {
    let sketch = picture().node("Shape", &["x"], "s").list("last", &[3]).node("Gather", &["s", "last"], "w");
    let sketch = sketch.node_with("Cast", &["w"], "f", &[("to", &[1])]).node("Div", &["x", "f"], "y");
    assert_eq!(
        refusal(sketch),
        r#"Div "Div y": it computes with "f", which depends on the size of the picture"#
    );
}
