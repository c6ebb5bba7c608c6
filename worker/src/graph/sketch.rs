//! Small graphs for tests: a few lines in, a model out.

use bytes::Bytes;

use super::{
    Model,
    onnx::{
        AttributeKind, AttributeProto, DataType, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
        TensorProto, TensorShapeProto, TensorType, TypeProto, ValueInfoProto, dimension, type_proto,
    },
};

/// A graph under construction; operator set 18.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sketch {
    graph: GraphProto,
}

// === impl Sketch ===

impl Sketch {
    /// An input; length -1 = free.
    pub(crate) fn input(mut self, name: &str, kind: DataType, dims: &[i64]) -> Self {
        self.graph.input.push(value(name, kind, dims));
        self
    }

    /// An output; length -1 = free.
    pub(crate) fn output(mut self, name: &str, kind: DataType, dims: &[i64]) -> Self {
        self.graph.output.push(value(name, kind, dims));
        self
    }

    /// A weight of f32.
    pub(crate) fn weight(mut self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        let mut raw = Vec::with_capacity(size_of_val(values));
        values.iter().for_each(|value| raw.extend_from_slice(&value.to_le_bytes()));
        self.graph.initializer.push(TensorProto {
            name: Some(name.to_owned()),
            dims: dims.to_vec(),
            data_type: Some(DataType::Float.into()),
            raw_data: Some(Bytes::from(raw)),
            ..TensorProto::default()
        });
        self
    }

    /// A constant list of whole numbers.
    pub(crate) fn list(mut self, name: &str, values: &[i64]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: Some(name.to_owned()),
            dims: vec![i64::try_from(values.len()).unwrap()],
            data_type: Some(DataType::Int64.into()),
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    /// A node with one output.
    pub(crate) fn node(self, op: &str, inputs: &[&str], output: &str) -> Self {
        self.node_with(op, inputs, output, &[])
    }

    /// A node with attributes of whole numbers: one number is stored as such, several as a list.
    pub(crate) fn node_with(
        mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, &[i64])],
    ) -> Self {
        let attribute = |(name, values): &(&str, &[i64])| match values {
            [value] => AttributeProto::of_int(name, *value),
            values => AttributeProto {
                name: Some((*name).to_owned()),
                ints: values.to_vec(),
                r#type: Some(AttributeKind::Ints.into()),
                ..AttributeProto::default()
            },
        };
        self.graph.node.push(NodeProto {
            name: Some(format!("{op} {output}")),
            op_type: Some(op.to_owned()),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute: attributes.iter().map(attribute).collect(),
            ..NodeProto::default()
        });
        self
    }

    /// The messages, unchecked.
    pub(crate) fn proto(self) -> ModelProto {
        let set = OperatorSetIdProto { domain: Some(String::new()), version: Some(18) };
        let mut graph = self.graph;
        graph.name = Some("sketch".to_owned());
        ModelProto {
            ir_version: Some(8),
            opset_import: vec![set],
            graph: Some(graph),
            ..ModelProto::default()
        }
    }

    /// The model.
    pub(crate) fn model(self) -> Model {
        Model::new(self.proto()).unwrap()
    }
}

fn value(name: &str, kind: DataType, dims: &[i64]) -> ValueInfoProto {
    let dim = |&length: &i64| dimension::Dimension {
        value: Some(if length < 0 {
            dimension::Value::DimParam("free".to_owned())
        } else {
            dimension::Value::DimValue(length)
        }),
        denotation: None,
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = TensorType { elem_type: Some(kind.into()), shape: Some(shape) };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), denotation: None }),
        ..ValueInfoProto::default()
    }
}

/// The bytes of a model that is committed for tests, by its path there. Read when this crate is compiled: nothing in
/// this folder opens files.
macro_rules! committed {
    ($path:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/models/", $path)).as_slice()
    };
}

pub(crate) use committed;
