//! A graph as passes look at it: for each value, the node that makes it and the nodes that read it.

use std::collections::HashMap;

use super::{
    infer::Inference,
    onnx::{GraphProto, NodeProto},
};

/// Look-ups over a graph that is not being changed. Nodes are named by their index.
#[derive(Debug)]
pub struct View<'g> {
    nodes: &'g [NodeProto],
    maker: HashMap<&'g str, usize>,
    readers: HashMap<&'g str, Vec<usize>>,
    inference: Inference<'g>,
}

// === impl View ===

impl<'g> View<'g> {
    /// Indexes a graph and infers what it can of its shapes; linear in the graph's size.
    #[must_use]
    pub fn new(graph: &'g GraphProto) -> Self {
        let mut maker = HashMap::new();
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, node) in graph.node.iter().enumerate() {
            for output in node.output.iter().filter(|name| !name.is_empty()) {
                maker.insert(output.as_str(), index);
            }
            for_each_read(node, &mut |name| readers.entry(name).or_default().push(index));
        }
        Self { nodes: &graph.node, maker, readers, inference: Inference::new(graph) }
    }

    /// The node at an index.
    ///
    /// # Panics
    /// The index is not one of this graph's.
    #[must_use]
    pub fn node(&self, index: usize) -> &'g NodeProto {
        &self.nodes[index]
    }

    /// Every node with its index, in topological order.
    pub fn nodes(&self) -> impl Iterator<Item = (usize, &'g NodeProto)> {
        self.nodes.iter().enumerate()
    }

    /// The node that makes a value; `None` for inputs and weights.
    #[must_use]
    pub fn maker(&self, value: &str) -> Option<&'g NodeProto> {
        self.maker.get(value).map(|&index| &self.nodes[index])
    }

    /// Indices of the nodes that read a value, in topological order, those included whose branches read it.
    #[must_use]
    pub fn readers(&self, value: &str) -> &[usize] {
        self.readers.get(value).map_or(&[], Vec::as_slice)
    }

    /// The only node that reads a value, with its index; `None` when there are none or several.
    #[must_use]
    pub fn only_reader(&self, value: &str) -> Option<(usize, &'g NodeProto)> {
        match self.readers(value) {
            [index] => Some((*index, &self.nodes[*index])),
            _ => None,
        }
    }

    /// What is known of shapes and small constants.
    #[must_use]
    pub fn inference(&self) -> &Inference<'g> {
        &self.inference
    }

    /// Whether any value of the graph has this name.
    #[must_use]
    pub fn has_value(&self, name: &str) -> bool {
        self.maker.contains_key(name) || self.readers.contains_key(name)
    }
}

/// Calls `read` with every value that a node reads: its inputs, and whatever the graphs in its attributes read
/// (their own values too, which does no harm: names are unique across nested graphs).
pub(super) fn for_each_read<'g>(node: &'g NodeProto, read: &mut impl FnMut(&'g str)) {
    for input in node.input.iter().filter(|name| !name.is_empty()) {
        read(input);
    }
    for graph in node.attribute.iter().flat_map(|attribute| attribute.subgraphs()) {
        for output in &graph.output {
            read(output.name());
        }
        for inner in &graph.node {
            // A trait object, because a closure type of its own for each depth would never end.
            for_each_read(inner, &mut (&mut *read as &mut dyn FnMut(&'g str)));
        }
    }
}
