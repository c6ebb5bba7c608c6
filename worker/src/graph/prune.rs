//! What nothing needs any more, dropped: a rewritten graph in, the same function with fewer nodes and weights out.

use std::collections::HashSet;

use super::{onnx::GraphProto, view::for_each_read};

/// Drops nodes that no output depends on, and weights that nothing reads. Order and inputs stay.
pub fn prune(graph: &mut GraphProto) {
    let needed = needed(graph);
    let is_needed = |name: &str| needed.contains(name);
    graph.node.retain(|node| node.output.iter().any(|output| is_needed(output)));
    // A weight that is also listed as an input is that input's default, and stays.
    let inputs: HashSet<&str> = graph.input.iter().map(|input| input.name()).collect();
    graph.initializer.retain(|tensor| is_needed(tensor.name()) || inputs.contains(tensor.name()));
    graph.value_info.retain(|value| is_needed(value.name()));
}

/// Every value that an output depends on. Nodes are in topological order, so one backward sweep finds them all.
fn needed(graph: &GraphProto) -> HashSet<String> {
    let mut needed: HashSet<&str> = graph.output.iter().map(|output| output.name()).collect();
    for node in graph.node.iter().rev() {
        if node.output.iter().any(|output| needed.contains(output.as_str())) {
            for_each_read(node, &mut |name| {
                needed.insert(name);
            });
        }
    }
    needed.into_iter().map(str::to_owned).collect()
}
