//! What the crate's own tests build small networks with, under the names that it has there.

pub(crate) use tessera_worker::graph::{Model, onnx};

#[path = "../../src/graph/sketch.rs"]
#[expect(dead_code, unused_imports, unused_macros, reason = "these tests need a part of it")]
pub(crate) mod sketch;
