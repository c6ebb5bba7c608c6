//! The rewritten list of nodes: attentions found in, nodes in topological order out.

use super::{
    super::{
        View,
        onnx::{AttributeProto, NodeProto},
    },
    Attention, DOMAIN,
};

/// All nodes of the graph, the last node of each attention replaced. `found` is sorted by that node.
///
/// The order stays topological: the new nodes stand where the attention's last node stood, and everything they read
/// was read, directly or not, by that node.
pub(super) fn rewritten(view: &View<'_>, found: &[Attention<'_>]) -> Vec<NodeProto> {
    let mut nodes = Vec::new();
    let mut next = found.iter().peekable();
    for (index, node) in view.nodes() {
        match next.next_if(|attention| attention.last == index) {
            Some(attention) => nodes.extend(replacement(view, attention, node)),
            None => nodes.push(node.clone()),
        }
    }
    nodes
}

/// `MultiHeadAttention`, with Casts around it when it computes in another type than its surroundings.
fn replacement(view: &View<'_>, attention: &Attention<'_>, last: &NodeProto) -> Vec<NodeProto> {
    let output = last.output.first().map_or("", String::as_str);
    let mut nodes = Vec::new();
    let mut inputs: Vec<String> = attention.roots.iter().map(|&root| root.to_owned()).collect();
    if let Some(inner) = attention.inner {
        for (input, role) in inputs.iter_mut().zip(["q", "k", "v"]) {
            let name = unused(view, &format!("{output}_fused_{role}"));
            nodes.push(cast(input, &name, inner));
            *input = name;
        }
    }
    let result = match attention.outer {
        Some(_) => unused(view, &format!("{output}_fused")),
        None => output.to_owned(),
    };
    let mut attribute = vec![AttributeProto::of_int("num_heads", attention.heads)];
    if let Some(scale) = attention.scale {
        #[expect(clippy::cast_possible_truncation, reason = "the attribute is an f32")]
        attribute.push(AttributeProto::of_float("scale", scale as f32));
    }
    nodes.push(NodeProto {
        input: inputs,
        output: vec![result.clone()],
        name: Some(format!("{output}_fused_attention")),
        op_type: Some("MultiHeadAttention".to_owned()),
        domain: Some(DOMAIN.to_owned()),
        attribute,
        ..NodeProto::default()
    });
    nodes.extend(attention.outer.map(|outer| cast(&result, output, outer)));
    nodes
}

fn cast(input: &str, output: &str, to: i64) -> NodeProto {
    NodeProto {
        input: vec![input.to_owned()],
        output: vec![output.to_owned()],
        name: Some(format!("{output}_cast")),
        op_type: Some("Cast".to_owned()),
        attribute: vec![AttributeProto::of_int("to", to)],
        ..NodeProto::default()
    }
}

/// The wished name, lengthened until no value of the graph has it.
fn unused(view: &View<'_>, wish: &str) -> String {
    let mut name = wish.to_owned();
    while view.has_value(&name) {
        name.push('_');
    }
    name
}
