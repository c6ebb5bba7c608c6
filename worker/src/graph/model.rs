//! A model file as a value: checked on the way in, encoded again on the way out.

use std::{collections::BTreeSet, fmt};

use bytes::Bytes;
use prost::Message;

use super::{
    Error, GraphFacts, check, limits,
    onnx::{DataLocation, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto},
    widen,
};

/// A checked ONNX model.
///
/// Invariant: it has a graph, in which every value is given once and before it is read, and every stored tensor has
/// the bytes that its shape needs. Rewrites keep this.
#[derive(Clone, PartialEq)]
pub struct Model {
    proto: ModelProto,
}

// === impl Model ===

impl Model {
    /// Parses the bytes of a model file. Weights stored as raw bytes share `file`'s memory.
    ///
    /// # Errors
    /// The file is damaged, larger than our bounds, or names weights outside its own folder.
    pub fn parse(file: Bytes) -> Result<Self, Error> {
        limits::check(&file)?;
        let proto = ModelProto::decode(file).map_err(|source| Error::Decode { source })?;
        Self::new(proto)
    }

    /// Takes over messages made elsewhere.
    ///
    /// # Errors
    /// They are no sound graph.
    pub fn new(proto: ModelProto) -> Result<Self, Error> {
        check::check(&proto)?;
        Ok(Self { proto })
    }

    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    /// Inputs and outputs.
    #[must_use]
    pub fn facts(&self) -> GraphFacts {
        GraphFacts::of(self.graph())
    }

    /// Whether it computes in f16 anywhere. One that only stores weights so does not.
    #[must_use]
    pub fn is_half(&self) -> bool {
        widen::is_half(self.graph())
    }

    /// The same with all computation in f32, for where f16 overflowed; weights stay as they are stored.
    #[must_use]
    pub fn widened(self) -> Self {
        widen::widened(self)
    }

    /// The nodes, weights, inputs and outputs.
    #[must_use]
    pub fn graph(&self) -> &GraphProto {
        self.proto.graph.as_ref().expect("checked in new")
    }

    /// The graph, to be rewritten by this module's own passes.
    pub(super) fn graph_mut(&mut self) -> &mut GraphProto {
        self.proto.graph.as_mut().expect("checked in new")
    }

    /// An entry of the file's metadata.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.proto.metadata_props.iter().find(|entry| entry.key() == key).map(|entry| entry.value())
    }

    /// The version of an operator set, 0 when the model does not use it; the standard set's domain is empty.
    #[must_use]
    pub fn operator_set(&self, domain: &str) -> i64 {
        let set = self.proto.opset_import.iter().find(|set| set.domain() == domain);
        set.map_or(0, |set| set.version())
    }

    /// Declares that the model uses an operator set; no effect when it already does.
    pub(super) fn import_operators(&mut self, domain: &str, version: i64) {
        if self.operator_set(domain) == 0 {
            self.proto
                .opset_import
                .push(OperatorSetIdProto { domain: Some(domain.to_owned()), version: Some(version) });
        }
    }

    /// Names of the files beside the model that hold weights, sorted.
    #[must_use]
    pub fn external_files(&self) -> BTreeSet<&str> {
        let mut files = BTreeSet::new();
        collect_files(self.graph(), &mut files);
        files
    }
}

impl fmt::Debug for Model {
    /// Sizes only: a model's messages fill pages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("nodes", &self.graph().node.len())
            .field("initializers", &self.graph().initializer.len())
            .finish_non_exhaustive()
    }
}

fn collect_files<'a>(graph: &'a GraphProto, files: &mut BTreeSet<&'a str>) {
    let attributes = || graph.node.iter().flat_map(|node: &NodeProto| &node.attribute);
    let constants = attributes().flat_map(|attribute| attribute.t.iter().chain(&attribute.tensors));
    let stored = |tensor: &&TensorProto| tensor.data_location() == DataLocation::External;
    for tensor in graph.initializer.iter().chain(constants).filter(stored) {
        files.extend(tensor.external("location"));
    }
    for graph in attributes().flat_map(|attribute| attribute.subgraphs()) {
        collect_files(graph, files);
    }
}
