//! The constants that exporters leave to be computed.

use super::{super::super::sketch::Sketch, *};
use crate::graph::onnx::DataType;

fn folded(sketch: Sketch, name: &str) -> Option<Small> {
    let proto = sketch.proto();
    Constants::new(proto.graph.as_ref().unwrap()).get(name).cloned()
}

/// torch's `pad(x, (0, 1, 0, 1))`: innermost axes first, filled up with zeros, turned around by a slice of step -1.
#[test]
fn pads_as_torch_writes_them() {
    let sketch = Sketch::default()
        .list("given", &[0, 1, 2, 3])
        .list("missing", &[4])
        .list("pairs", &[-1, 2])
        .list("flat", &[-1])
        .list("axis", &[0])
        .list("last", &[-1])
        .list("before", &[-i64::MAX])
        .node("ConstantOfShape", &["missing"], "zeros")
        .node_with("Concat", &["given", "zeros"], "all", &[("axis", &[0])])
        .node("Reshape", &["all", "pairs"], "by_axis")
        .node("Slice", &["by_axis", "last", "before", "axis", "last"], "turned")
        .node_with("Transpose", &["turned"], "sides", &[("perm", &[1, 0])])
        .node("Reshape", &["sides", "flat"], "line")
        .node_with("Cast", &["line"], "pads", &[("to", &[7])]);
    let pads = folded(sketch, "pads").unwrap();
    assert_eq!(pads.wholes().unwrap(), [0, 0, 2, 0, 0, 0, 3, 1]);
}

#[test]
fn weights_behind_casts_and_views_are_read() {
    let sketch = Sketch::default()
        .weight("w", &[4], &[1.0, 0.1, 2.5, -3.0])
        .list("axes", &[1, 2])
        .node("Identity", &["w"], "shared")
        .node_with("Cast", &["shared"], "half", &[("to", &[10])])
        .node_with("Cast", &["half"], "single", &[("to", &[1])])
        .node("Unsqueeze", &["single", "axes"], "column");
    let column = folded(sketch, "column").unwrap();
    assert_eq!(column.dims, [4, 1, 1]);
    assert_eq!(column.values, [1.0, 0.099_975_585_937_5, 2.5, -3.0]);
}

#[test]
fn what_depends_on_an_input_or_is_large_is_no_constant() {
    let sketch = || Sketch::default().input("x", DataType::Float, &[-1]);
    assert_eq!(folded(sketch().node("Identity", &["x"], "y"), "y"), None);
    assert_eq!(folded(sketch().node("Shape", &["x"], "y"), "y"), None);
    let wide = vec![0.0; MAX_VALUES + 1];
    let length = i64::try_from(wide.len()).unwrap();
    assert_eq!(folded(sketch().weight("w", &[length], &wide), "w"), None);
    let misfit = sketch().list("l", &[1, 2, 3]).list("two", &[2]).node("Reshape", &["l", "two"], "y");
    assert_eq!(folded(misfit, "y"), None);
}
