//! Whether a decoded file is a sound graph: names, order, sizes; a sentence when it is not.

use std::collections::HashSet;

use super::{
    Error,
    onnx::{DataLocation, DataType, GraphProto, ModelProto, NodeProto, TensorProto},
    short,
};

/// Most dimensions of a stored tensor.
const MAX_RANK: usize = 16;

/// The names that a graph may read: its own so far, and those of the graphs around it.
struct Scope<'a> {
    outer: Option<&'a Scope<'a>>,
    names: HashSet<&'a str>,
}

/// Checks everything that the rest of this module relies on: every value is given once and before it is read, and
/// every stored tensor has as many bytes as its shape and type say.
///
/// # Errors
/// The first thing that does not fit.
pub(super) fn check(model: &ModelProto) -> Result<(), Error> {
    let graph = model.graph.as_ref().ok_or(Error::Missing { what: "graph" })?;
    if !model.opset_import.iter().any(|set| matches!(set.domain(), "" | "ai.onnx") && 0 < set.version()) {
        return Err(Error::Missing { what: "standard operator set" });
    }
    if graph.node.is_empty() {
        return Err(Error::Missing { what: "node" });
    }
    if graph.output.is_empty() {
        return Err(Error::Missing { what: "output" });
    }
    check_graph(graph, None)
}

fn check_graph<'a>(graph: &'a GraphProto, outer: Option<&'a Scope<'a>>) -> Result<(), Error> {
    let mut scope = Scope { outer, names: HashSet::new() };
    for tensor in &graph.initializer {
        check_tensor(tensor)?;
        scope.give(tensor.name())?;
    }
    // A weight may be listed as an input too: then it is that input's default.
    let stored = scope.names.clone();
    for sparse in &graph.sparse_initializer {
        let values = sparse.values.as_ref().ok_or(Error::Missing { what: "values in a sparse tensor" })?;
        scope.give(values.name())?;
    }
    for input in &graph.input {
        if !stored.contains(input.name()) {
            scope.give(input.name())?;
        }
    }
    for node in &graph.node {
        check_node(node, &scope)?;
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            scope.give(output)?;
        }
    }
    for output in &graph.output {
        scope.read(output.name(), "graph output")?;
    }
    Ok(())
}

fn check_node(node: &NodeProto, scope: &Scope<'_>) -> Result<(), Error> {
    if node.op_type().is_empty() {
        return Err(Error::Missing { what: "operator in one of its nodes" });
    }
    for input in node.input.iter().filter(|name| !name.is_empty()) {
        scope.read(input, if node.name().is_empty() { node.op_type() } else { node.name() })?;
    }
    for attribute in &node.attribute {
        for tensor in attribute.t.iter().chain(&attribute.tensors) {
            check_tensor(tensor)?;
        }
        for graph in attribute.subgraphs() {
            check_graph(graph, Some(scope))?;
        }
    }
    Ok(())
}

fn check_tensor(tensor: &TensorProto) -> Result<(), Error> {
    let misfit = |reason: String| Error::Tensor { name: short(tensor.name()), reason };
    if MAX_RANK < tensor.dims.len() {
        return Err(misfit(format!("{} dimensions, at most {MAX_RANK} are allowed", tensor.dims.len())));
    }
    let count =
        tensor.dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim.try_into().ok()?));
    let count = count.ok_or_else(|| misfit(format!("impossible shape {:?}", tensor.dims)))?;
    let kind = tensor.kind();
    if kind == DataType::Undefined {
        return Err(misfit("no known element type".to_owned()));
    }
    let bytes = bits(kind).and_then(|bits| Some(count.checked_mul(bits)?.div_ceil(8)));
    if tensor.data_location() == DataLocation::External {
        return check_external(tensor, bytes);
    }
    let (found, expected, unit) = match (&tensor.raw_data, bytes) {
        (Some(raw), Some(bytes)) => (raw.len(), bytes, "bytes"),
        (Some(_), None) => return Err(misfit("texts stored as raw bytes".to_owned())),
        // Types of less than a byte share list entries, in ways that differ: left to the engine.
        (None, Some(_)) if bits(kind).is_some_and(|bits| bits < 8) => return Ok(()),
        (None, _) => (listed(tensor, kind), count, "values"),
    };
    if found != expected {
        return Err(misfit(format!("shape {:?} needs {expected} {unit}, it has {found}", tensor.dims)));
    }
    Ok(())
}

/// Checks a reference to a file beside the model: a plain name, and the length that the shape needs.
fn check_external(tensor: &TensorProto, bytes: Option<usize>) -> Result<(), Error> {
    let location = tensor.external("location").unwrap_or_default();
    if !is_plain_name(location) {
        return Err(Error::External { name: short(tensor.name()), location: short(location) });
    }
    let misfit = |reason: String| Error::Tensor { name: short(tensor.name()), reason };
    for key in ["offset", "length"] {
        let Some(text) = tensor.external(key) else {
            continue;
        };
        let number: usize =
            text.parse().map_err(|_| misfit(format!("{key} {:?} is no number", short(text))))?;
        if key == "length" && bytes.is_some_and(|bytes| bytes != number) {
            let needed = bytes.unwrap_or_default();
            return Err(misfit(format!("shape {:?} needs {needed} bytes, {number} are stored", tensor.dims)));
        }
    }
    Ok(())
}

/// Whether a location names a file in the model's own folder on every system: no separator, drive or parent.
fn is_plain_name(location: &str) -> bool {
    let strange = |character: char| matches!(character, '/' | '\\' | ':') || character.is_control();
    !matches!(location, "" | "." | "..") && !location.contains(strange)
}

/// Bits of one value; `None` for texts.
fn bits(kind: DataType) -> Option<usize> {
    use DataType::*;
    Some(match kind {
        Undefined | String => return None,
        Uint2 | Int2 => 2,
        Uint4 | Int4 | Float4E2m1 => 4,
        Float6E2m3 | Float6E3m2 => 6,
        Uint8 | Int8 | Bool | Float8E4m3fn | Float8E4m3fnuz | Float8E5m2 | Float8E5m2fnuz | Float8E8m0 => 8,
        Uint16 | Int16 | Float16 | Bfloat16 => 16,
        Float | Int32 | Uint32 => 32,
        Int64 | Uint64 | Double | Complex64 => 64,
        Complex128 => 128,
    })
}

/// How many values the typed list of this kind holds.
fn listed(tensor: &TensorProto, kind: DataType) -> usize {
    use DataType::*;
    match kind {
        Float => tensor.float_data.len(),
        Complex64 => tensor.float_data.len() / 2,
        Double => tensor.double_data.len(),
        Complex128 => tensor.double_data.len() / 2,
        Int64 => tensor.int64_data.len(),
        Uint32 | Uint64 => tensor.uint64_data.len(),
        String => tensor.string_data.len(),
        _ => tensor.int32_data.len(),
    }
}

// === impl Scope ===

impl<'a> Scope<'a> {
    fn give(&mut self, name: &'a str) -> Result<(), Error> {
        if name.is_empty() {
            return Err(Error::Missing { what: "name for one of its values" });
        }
        if !self.names.insert(name) {
            return Err(Error::Twice { name: short(name) });
        }
        Ok(())
    }

    fn read(&self, name: &str, reader: &str) -> Result<(), Error> {
        let mut scope = Some(self);
        while let Some(here) = scope {
            if here.names.contains(name) {
                return Ok(());
            }
            scope = here.outer;
        }
        Err(Error::Undefined { reader: short(reader), name: short(name) })
    }
}
