//! Element types: a graph in, the type of each of its values out, as far as operators pass them on.

use std::collections::HashMap;

use super::super::onnx::{DataType, GraphProto, NodeProto, ValueInfoProto, type_proto};

/// The element type of every value, by name.
#[derive(Debug, Default)]
pub(in crate::graph) struct Kinds<'g> {
    known: HashMap<&'g str, DataType>,
}

// === impl Kinds ===

impl<'g> Kinds<'g> {
    /// Looks at every node once, in topological order.
    pub(in crate::graph) fn new(graph: &'g GraphProto) -> Self {
        let mut this = Self::default();
        for input in &graph.input {
            this.known.insert(input.name(), declared(input));
        }
        for tensor in &graph.initializer {
            this.known.insert(tensor.name(), tensor.kind());
        }
        for node in &graph.node {
            let kind = this.result(node);
            this.known.extend(node.output.iter().map(|output| (output.as_str(), kind)));
        }
        this
    }

    /// The type of a value; `Undefined` where nothing is known.
    pub(in crate::graph) fn of(&self, value: &str) -> DataType {
        self.known.get(value).copied().unwrap_or(DataType::Undefined)
    }

    fn result(&self, node: &NodeProto) -> DataType {
        let input = |index: usize| node.input.get(index).map_or(DataType::Undefined, |name| self.of(name));
        let stored = || {
            let attribute = node.attribute.first();
            let whole = attribute.is_some_and(|attribute| attribute.name().starts_with("value_int"));
            match attribute.and_then(|attribute| attribute.t.as_ref()) {
                Some(tensor) => tensor.kind(),
                None if whole => DataType::Int64,
                None => DataType::Float,
            }
        };
        match node.op_type() {
            "Shape" | "Size" | "NonZero" | "ArgMax" | "ArgMin" => DataType::Int64,
            "Constant" | "ConstantOfShape" => stored(),
            "Cast" => {
                let to = node.int("to").and_then(|to| i32::try_from(to).ok());
                to.and_then(|to| DataType::try_from(to).ok()).unwrap_or(DataType::Undefined)
            }
            "Equal" | "Less" | "Greater" | "Not" | "And" | "Or" => DataType::Bool,
            "Where" | "CastLike" => input(1),
            _ => input(0),
        }
    }
}

/// The type that an input or output is declared with.
pub(in crate::graph) fn declared(value: &ValueInfoProto) -> DataType {
    match value.r#type.as_ref().and_then(|kind| kind.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => {
            DataType::try_from(tensor.elem_type()).unwrap_or(DataType::Undefined)
        }
        _ => DataType::Undefined,
    }
}

/// Declares another type.
pub(in crate::graph) fn declare(value: &mut ValueInfoProto, kind: DataType) {
    if let Some(type_proto::Value::TensorType(tensor)) =
        value.r#type.as_mut().and_then(|kind| kind.value.as_mut())
    {
        tensor.elem_type = Some(kind.into());
    }
}
