//! A graph that computes in f16 in, whether it does and the same graph computing in f32 out.
//!
//! Stored weights stay as they are, perhaps in a file beside the model, and are cast where they are read; engines do
//! that once, when they load the graph.

use super::{
    Model,
    onnx::{AttributeProto, DataType, GraphProto, NodeProto},
    staged::{Kinds, cast, declare, declared},
};

/// Whether a step of the graph gives f16. Weights that are stored so and cast where they are read do not count.
pub(super) fn is_half(graph: &GraphProto) -> bool {
    let kinds = Kinds::new(graph);
    let steps = graph.node.iter().filter(|node| !node.is("Constant"));
    steps.flat_map(|node| &node.output).any(|output| kinds.of(output) == DataType::Float16)
}

/// Rewrites a graph.
pub(super) fn widened(mut model: Model) -> Model {
    let graph = model.graph_mut();
    let mut casts = Vec::new();
    for tensor in graph.initializer.iter_mut().filter(|tensor| tensor.kind() == DataType::Float16) {
        let name = tensor.name().to_owned();
        let stored = format!("{name}_stored_f16");
        casts.push(cast(&stored, &name, DataType::Float));
        tensor.name = Some(stored);
    }
    let nodes = std::mem::take(&mut graph.node);
    graph.node = casts.into_iter().chain(nodes.into_iter().flat_map(widened_node)).collect();
    for value in graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info) {
        if declared(value) == DataType::Float16 {
            declare(value, DataType::Float);
        }
    }
    model
}

/// A node whose results are f32 where they were f16.
fn widened_node(mut node: NodeProto) -> Vec<NodeProto> {
    let half = i64::from(i32::from(DataType::Float16));
    if node.is("Cast") && node.int("to") == Some(half) {
        node.attribute = vec![AttributeProto::of_int("to", i32::from(DataType::Float).into())];
        return vec![node];
    }
    let stores_half = node.attribute.iter().filter_map(|attribute| attribute.t.as_ref());
    let constant = (node.is("Constant") || node.is("ConstantOfShape"))
        && stores_half.into_iter().any(|tensor| tensor.kind() == DataType::Float16);
    if !constant {
        return vec![node];
    }
    let name = node.output.first().cloned().unwrap_or_default();
    let stored = format!("{name}_stored_f16");
    node.output = vec![stored.clone()];
    vec![node, cast(&stored, &name, DataType::Float)]
}
