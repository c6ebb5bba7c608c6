//! What goes into a graph and what comes out of it, by name, element type and dimensions.

use std::{collections::HashSet, fmt};

use super::onnx::{DataType, GraphProto, ValueInfoProto, dimension, type_proto};

/// The inputs that a caller must give and the outputs, in the graph's own order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GraphFacts {
    /// Inputs without those that have a stored default.
    pub inputs: Vec<Slot>,
    /// Outputs.
    pub outputs: Vec<Slot>,
}

/// One input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub element: Element,
    /// Its dimensions, outermost first; `None` when the graph does not say.
    pub dims: Option<Vec<Dim>>,
}

/// A dimension of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Always this long.
    Fixed(u64),
    /// Any length; the name that the graph gives it, perhaps empty.
    Free(String),
}

/// The types of values that our networks take and give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit float.
    F32,
    /// 16-bit float (IEEE).
    F16,
    /// 64-bit whole number.
    I64,
    /// 32-bit whole number.
    I32,
    /// Something else that no network of ours has.
    Other,
}

// === impl GraphFacts ===

impl GraphFacts {
    /// Reads the facts of a graph.
    #[must_use]
    pub fn of(graph: &GraphProto) -> Self {
        // Older files list every weight among the inputs too, as its default.
        let stored: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name()).collect();
        let given = graph.input.iter().filter(|value| !stored.contains(value.name()));
        Self { inputs: given.map(Slot::of).collect(), outputs: graph.output.iter().map(Slot::of).collect() }
    }

    /// The input called `name`.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<&Slot> {
        self.inputs.iter().find(|slot| slot.name == name)
    }

    /// The output called `name`.
    #[must_use]
    pub fn output(&self, name: &str) -> Option<&Slot> {
        self.outputs.iter().find(|slot| slot.name == name)
    }
}

// === impl Slot ===

impl Slot {
    fn of(value: &ValueInfoProto) -> Self {
        let tensor = value.r#type.as_ref().and_then(|kind| match &kind.value {
            Some(type_proto::Value::TensorType(tensor)) => Some(tensor),
            _ => None,
        });
        let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
        Self {
            name: value.name().to_owned(),
            element: tensor.map_or(Element::Other, |tensor| Element::of(tensor.elem_type())),
            dims: shape.map(|shape| shape.dim.iter().map(Dim::of).collect()),
        }
    }

    /// How many dimensions it has, when the graph says so.
    #[must_use]
    pub fn rank(&self) -> Option<usize> {
        self.dims.as_ref().map(Vec::len)
    }

    /// The length of dimension `axis`, when it is fixed.
    #[must_use]
    pub fn fixed(&self, axis: usize) -> Option<u64> {
        match self.dims.as_ref()?.get(axis)? {
            Dim::Fixed(length) => Some(*length),
            Dim::Free(_) => None,
        }
    }
}

impl fmt::Display for Slot {
    /// `sample: f32 [batch_size, 4, height, width]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.element)?;
        let Some(dims) = &self.dims else { return Ok(()) };
        f.write_str(" [")?;
        for (index, dim) in dims.iter().enumerate() {
            if index != 0 {
                f.write_str(", ")?;
            }
            match dim {
                Dim::Fixed(length) => write!(f, "{length}")?,
                Dim::Free(name) if name.is_empty() => f.write_str("?")?,
                Dim::Free(name) => f.write_str(name)?,
            }
        }
        f.write_str("]")
    }
}

// === impl Dim ===

impl Dim {
    fn of(dim: &dimension::Dimension) -> Self {
        match &dim.value {
            Some(dimension::Value::DimValue(length)) => {
                u64::try_from(*length).map_or_else(|_| Self::Free(String::new()), Self::Fixed)
            }
            Some(dimension::Value::DimParam(name)) => Self::Free(name.clone()),
            None => Self::Free(String::new()),
        }
    }
}

// === impl Element ===

impl Element {
    fn of(code: i32) -> Self {
        match DataType::try_from(code) {
            Ok(DataType::Float) => Self::F32,
            Ok(DataType::Float16) => Self::F16,
            Ok(DataType::Int64) => Self::I64,
            Ok(DataType::Int32) => Self::I32,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::Other => "other",
        })
    }
}
