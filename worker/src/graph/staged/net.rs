//! A graph in, the same graph with each group normalisation replaced by `x * scale + shift` out; both factors are new
//! inputs `[1, c, 1, 1]` of f32.
//!
//! Where the graph computes in f16, this multiplication is done in f32 between two casts: `x * scale` and `shift` can
//! be a hundred times their sum, and the normalisation that they replace computes in f32 inside as well.

use tessera_proto::GroupNorm;

use super::{
    super::{
        Model, View,
        onnx::{
            AttributeProto, DataType, GraphProto, NodeProto, TensorProto, TensorShapeProto, TensorType,
            TypeProto, ValueInfoProto, dimension, type_proto,
        },
        prune::prune,
    },
    Error,
    error::place,
    fold::Constants,
    kinds::Kinds,
    norm::{Found, Search, is_heart},
};

/// A normalisation of the rewritten graph.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Normed {
    /// The value that it normalises: a picture or a view of one.
    pub(super) input: String,
    /// The new inputs: factors and addends.
    pub(super) scale: String,
    pub(super) shift: String,
    pub(super) norm: GroupNorm,
}

/// A graph without normalisations.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) graph: GraphProto,
    pub(super) norms: Vec<Normed>,
}

/// Rewrites a graph.
///
/// # Errors
/// A normalisation is spelled in an unknown way.
pub(super) fn rewritten(model: &Model) -> Result<Net, Error> {
    let graph = model.graph();
    let (view, constants, kinds) = (View::new(graph), Constants::new(graph), Kinds::new(graph));
    let operators = model.operator_set("").max(model.operator_set("ai.onnx"));
    let search = Search { view: &view, constants: &constants, operators };
    let mut found = Vec::new();
    for (index, node) in view.nodes().filter(|(_, node)| is_heart(node)) {
        found.push(search.find(index, node).ok_or_else(|| Error::Normalisation { place: place(node) })?);
    }
    found.sort_by_key(|found| found.last);
    let mut net = Net { graph: graph.clone(), norms: Vec::new() };
    let (mut nodes, mut next) = (Vec::new(), found.iter().peekable());
    for (index, node) in view.nodes() {
        match next.next_if(|found| found.last == index) {
            Some(found) => {
                let writer = Writer { view: &view, kinds: &kinds, net: &mut net, found };
                nodes.extend(writer.write(node));
            }
            None => nodes.push(node.clone()),
        }
    }
    net.graph.node = nodes;
    prune(&mut net.graph);
    Ok(net)
}

/// Writes the replacement of one normalisation.
struct Writer<'a, 'g> {
    view: &'a View<'g>,
    kinds: &'a Kinds<'g>,
    net: &'a mut Net,
    found: &'a Found<'g>,
}

// === impl Writer ===

impl Writer<'_, '_> {
    fn write(self, last: &NodeProto) -> Vec<NodeProto> {
        let index = self.net.norms.len();
        let name = |part: &str| unused(self.view, &format!("norm_{index}_{part}"));
        let (scale, shift) = (name("scale"), name("shift"));
        let channels = i64::try_from(self.found.norm.channels()).expect("a length of a tensor in memory");
        let mut nodes = Vec::new();
        let mut factors = [scale.clone(), shift.clone()];
        for factor in &mut factors {
            let input = value(factor, DataType::Float, &[Some(1), Some(channels), Some(1), Some(1)]);
            self.net.graph.input.push(input);
            if self.found.rank != 4 {
                let (target, view) = (unused(self.view, &format!("{factor}_dims")), format!("{factor}_view"));
                let mut dims = vec![1; self.found.rank];
                dims[1] = channels;
                self.net.graph.initializer.push(list(&target, &dims));
                nodes.push(node("Reshape", &[factor, &target], &unused(self.view, &view)));
                *factor = unused(self.view, &view);
            }
        }
        let output = last.output.first().map_or("", String::as_str);
        let (from, to) = (self.kinds.of(self.found.input), self.kinds.of(output));
        let mut input = self.found.input.to_owned();
        if from != DataType::Float {
            let wide = name("input");
            nodes.push(cast(&input, &wide, DataType::Float));
            input = wide;
        }
        let result = if to == DataType::Float { output.to_owned() } else { name("result") };
        nodes.push(node("Mul", &[&input, &factors[0]], &name("product")));
        nodes.push(node("Add", &[&name("product"), &factors[1]], &result));
        if to != DataType::Float {
            nodes.push(cast(&result, output, to));
        }
        let input = self.found.input.to_owned();
        self.net.norms.push(Normed { input, scale, shift, norm: self.found.norm.clone() });
        nodes
    }
}

/// A node of the standard operator set with one result.
fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|&input| input.to_owned()).collect(),
        output: vec![output.to_owned()],
        name: Some(format!("{output}_{op}")),
        op_type: Some(op.to_owned()),
        ..NodeProto::default()
    }
}

/// A node that changes the element type.
pub(in crate::graph) fn cast(input: &str, output: &str, to: DataType) -> NodeProto {
    NodeProto {
        attribute: vec![AttributeProto::of_int("to", i32::from(to).into())],
        ..node("Cast", &[input], output)
    }
}

fn list(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: vec![i64::try_from(values.len()).expect("a few dimensions")],
        data_type: Some(DataType::Int64.into()),
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// An input or output; `None` = any length.
pub(super) fn value(name: &str, kind: DataType, dims: &[Option<i64>]) -> ValueInfoProto {
    let dim = |length: &Option<i64>| dimension::Dimension {
        value: length.map(dimension::Value::DimValue),
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

/// The wished name, lengthened until no value of the graph has it.
fn unused(view: &View<'_>, wish: &str) -> String {
    let mut name = wish.to_owned();
    while view.has_value(&name) {
        name.push('_');
    }
    name
}
