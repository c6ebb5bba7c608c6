//! Bounds on a model file: its raw bytes in, a refusal before anything is allocated for them.
//!
//! Decoding turns two bytes into a message of hundreds (an empty node, say), so a small hostile file could ask for
//! all memory. This pass walks the wire format with the format's own nesting and counts first.

use super::{
    Error,
    wire::{Field, Fields},
};

/// Most bytes of a model file: protobuf itself stops at 2 GiB; larger models keep their weights beside the file.
pub const MAX_FILE_BYTES: usize = (1 << 31) - 1;

/// Most nodes, in subgraphs and functions too. The UNet of SDXL has about 7,000.
pub const MAX_NODES: usize = 200_000;

/// Most tensors stored in the file, weights and constants together. The UNet of SDXL has about 10,000.
pub const MAX_TENSORS: usize = 200_000;

/// Most messages and names of all kinds; decoded, each takes up to 400 bytes.
pub const MAX_ELEMENTS: usize = 2_000_000;

/// Most bytes in lists of packed whole numbers, which grow eightfold when decoded; exporters write weights as raw
/// bytes instead.
pub const MAX_PACKED_BYTES: usize = 64 << 20;

/// Most messages inside each other: model, graph, node, attribute, branch, ...
pub const MAX_DEPTH: usize = 32;

/// A kind of message, as far as its nesting goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    ValueInfo,
    Type,
    /// A list, an option or a map: the element's type inside.
    Holder,
    TensorType,
    Shape,
    Function,
    Training,
    NodeDevice,
    Sharding,
    ShardedDim,
    Annotation,
    /// Without messages or lists inside.
    Leaf,
    /// A list of texts: one entry.
    Text,
    /// A packed list of whole numbers.
    Packed,
}

#[derive(Debug, Default)]
struct Count {
    nodes: usize,
    tensors: usize,
    elements: usize,
    packed: usize,
}

/// Refuses a file that is larger than our bounds, nested deeper, or cut short.
///
/// # Errors
/// [`Error::Limit`] or [`Error::Wire`].
pub fn check(file: &[u8]) -> Result<(), Error> {
    at_most("bytes", file.len(), MAX_FILE_BYTES)?;
    walk(Kind::Model, file, 1, &mut Count::default())
}

/// Refuses a file by its length alone, before it is read into memory.
///
/// # Errors
/// It is longer than [`MAX_FILE_BYTES`].
pub fn check_length(bytes: u64) -> Result<(), Error> {
    at_most("bytes", usize::try_from(bytes).unwrap_or(usize::MAX), MAX_FILE_BYTES)
}

fn walk(kind: Kind, message: &[u8], depth: usize, count: &mut Count) -> Result<(), Error> {
    at_most("messages inside each other", depth, MAX_DEPTH)?;
    for field in Fields::new(message) {
        let Field { number, content: Some(content) } = field? else {
            continue;
        };
        let Some(child) = child(kind, number) else {
            continue;
        };
        if child == Kind::Packed {
            count.packed += content.len();
            at_most("bytes in lists of whole numbers", count.packed, MAX_PACKED_BYTES)?;
            continue;
        }
        count.elements += 1;
        at_most("messages and names", count.elements, MAX_ELEMENTS)?;
        match child {
            Kind::Node => {
                count.nodes += 1;
                at_most("nodes", count.nodes, MAX_NODES)?;
            }
            Kind::Tensor => {
                count.tensors += 1;
                at_most("tensors", count.tensors, MAX_TENSORS)?;
            }
            Kind::Leaf | Kind::Text => continue,
            _ => {}
        }
        walk(child, content, depth + 1, count)?;
    }
    Ok(())
}

/// What the length-delimited field `number` of a message holds; `None` for one text, one run of bytes, and lists
/// that take no more room decoded than encoded.
fn child(kind: Kind, number: u64) -> Option<Kind> {
    use Kind::*;
    Some(match (kind, number) {
        (Model, 7) | (Attribute, 6 | 11) | (Training, 1 | 2) => Graph,
        (Model, 20) => Training,
        (Model, 25) => Function,
        (Graph, 1) | (Function, 7) => Node,
        (Graph, 5) | (Attribute, 5 | 10) | (SparseTensor, 1 | 2) => Tensor,
        (Graph, 11..=13) | (Function, 12) => ValueInfo,
        (Graph, 14) => Annotation,
        (Graph, 15) | (Attribute, 22 | 23) => SparseTensor,
        (Node, 5) | (Function, 11) => Attribute,
        (Node, 10) => NodeDevice,
        (NodeDevice, 2) => Sharding,
        (Sharding, 4) => ShardedDim,
        (ValueInfo, 2) | (Attribute, 14 | 15) | (Holder, 1 | 2) => Type,
        (Type, 4 | 5 | 9) => Holder,
        (Type, 1 | 8) => TensorType,
        (TensorType, 2) => Shape,
        (Node, 1 | 2) | (Function, 4..=6) | (Attribute, 9) | (Tensor, 6) => Text,
        (Tensor, 1 | 5 | 7 | 11) | (Attribute, 8) | (SparseTensor, 3) => Packed,
        (Model, 8 | 14 | 26) | (Graph, 16) | (Node, 9) | (Tensor, 3 | 13 | 16) | (ValueInfo, 4) => Leaf,
        (Function, 9 | 14) | (Training, 3 | 4) | (Shape, 1) | (Type, 7) | (Annotation, 2) => Leaf,
        (Sharding, 3) | (ShardedDim, 2) => Leaf,
        _ => return None,
    })
}

fn at_most(what: &'static str, value: usize, limit: usize) -> Result<(), Error> {
    if limit < value {
        return Err(Error::Limit { what, value, limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` fields of number `number`, each holding `content`.
    fn repeat(number: u8, content: &[u8], count: usize) -> Vec<u8> {
        let mut one = vec![number << 3 | 2];
        let mut length = content.len();
        while 0x80 <= length {
            one.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        one.push(u8::try_from(length).unwrap());
        one.extend_from_slice(content);
        one.repeat(count)
    }

    #[test]
    fn empty_nodes_are_counted_before_they_cost_memory() {
        let graph = repeat(1, b"", MAX_NODES + 1);
        let error = check(&repeat(7, &graph, 1)).unwrap_err();
        assert_eq!(error.to_string(), "damaged ONNX file: it has 200001 nodes, at most 200000 are allowed");
        check(&repeat(7, &repeat(1, b"", 100), 1)).unwrap();
    }

    #[test]
    fn packed_numbers_and_names_are_counted() {
        let tensor = repeat(7, &vec![0; MAX_PACKED_BYTES + 1], 1);
        let error = check(&repeat(7, &repeat(5, &tensor, 1), 1)).unwrap_err().to_string();
        assert!(error.contains("67108865 bytes in lists of whole numbers"), "{error}");
        let node = repeat(1, b"", MAX_ELEMENTS);
        let error = check(&repeat(7, &repeat(1, &node, 1), 1)).unwrap_err().to_string();
        assert!(error.contains("messages and names"), "{error}");
    }

    #[test]
    fn nesting_is_bounded() {
        let mut graph = Vec::new();
        for _ in 0..MAX_DEPTH {
            graph = repeat(1, &repeat(5, &repeat(6, &graph, 1), 1), 1);
        }
        let error = check(&repeat(7, &graph, 1)).unwrap_err().to_string();
        assert!(error.contains("33 messages inside each other, at most 32"), "{error}");
    }
}
