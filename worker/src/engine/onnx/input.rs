//! Inputs of a call: our values in, ONNX Runtime's tensors of the graph's own types out.

use half::{f16, slice::HalfFloatSliceExt};
use ort::{
    session::SessionInputValue,
    value::{Tensor as OrtTensor, TensorRef},
};

use super::super::{Error, Named, Network, Value};
use crate::graph::{Element, GraphFacts, Slot};

/// Matches the given inputs with the graph's, and converts each.
///
/// # Errors
/// One is missing or superfluous, or does not fit in type, rank or a fixed length.
pub(super) fn convert<'v>(
    network: &Network,
    facts: &'v GraphFacts,
    inputs: &[Named<'v>],
) -> Result<Vec<(&'v str, SessionInputValue<'v>)>, Error> {
    let error = |input: &str, reason: String| Error::Input {
        network: network.clone(),
        input: input.to_owned(),
        reason,
    };
    if let Some(extra) = inputs.iter().find(|input| facts.input(input.name).is_none()) {
        let known: Vec<String> = facts.inputs.iter().map(Slot::to_string).collect();
        return Err(error(extra.name, format!("the graph has no such input, it takes {}", known.join("; "))));
    }
    let mut converted = Vec::with_capacity(inputs.len());
    for slot in &facts.inputs {
        let given = inputs.iter().find(|input| input.name == slot.name);
        let given = given
            .ok_or_else(|| error(&slot.name, "the graph needs it, this task does not give it".to_owned()))?;
        let value = one(slot, &given.value).map_err(|reason| error(&slot.name, reason))?;
        converted.push((slot.name.as_str(), value));
    }
    Ok(converted)
}

/// Names and shapes of inputs, for messages: `sample [2, 4, 64, 64], timestep`.
pub(super) fn describe(inputs: &[Named<'_>]) -> String {
    let one = |input: &Named<'_>| match input.value {
        Value::Tensor(tensor) => format!("{} {:?}", input.name, tensor.shape()),
        Value::Ids { shape, .. } => format!("{} {shape:?}", input.name),
        Value::PerItem { .. } => input.name.to_owned(),
    };
    inputs.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn one<'v>(slot: &Slot, value: &Value<'v>) -> Result<SessionInputValue<'v>, String> {
    match *value {
        Value::Tensor(tensor) => {
            check_shape(slot, tensor.shape())?;
            reals(slot, tensor.shape().to_vec(), tensor.data())
        }
        Value::Ids { shape, ids } => {
            check_shape(slot, &shape)?;
            wholes(slot, shape.to_vec(), ids)
        }
        Value::PerItem { value, count } => {
            let (shape, count) = match slot.rank() {
                Some(0) => (Vec::new(), 1),
                // Some graphs fix the length at 1 and repeat the number themselves.
                _ if slot.fixed(0) == Some(1) => (vec![1], 1),
                _ => (vec![count], count),
            };
            check_shape(slot, &shape)?;
            per_item(slot, shape, value, count)
        }
    }
}

fn check_shape(slot: &Slot, shape: &[usize]) -> Result<(), String> {
    let fits = slot.rank().is_none_or(|rank| rank == shape.len());
    let length_fits = |(axis, &length): (usize, &usize)| {
        slot.fixed(axis).is_none_or(|fixed| u64::try_from(length).is_ok_and(|length| length == fixed))
    };
    if fits && shape.iter().enumerate().all(length_fits) {
        Ok(())
    } else {
        Err(format!("the graph takes {slot}, got shape {shape:?}"))
    }
}

fn reals<'v>(slot: &Slot, shape: Vec<usize>, values: &'v [f32]) -> Result<SessionInputValue<'v>, String> {
    match slot.element {
        Element::F32 => {
            TensorRef::from_array_view((shape, values)).map(SessionInputValue::from).map_err(text)
        }
        Element::F16 => {
            let mut half = vec![f16::ZERO; values.len()];
            half.convert_from_f32_slice(values);
            OrtTensor::from_array((shape, half)).map(SessionInputValue::from).map_err(text)
        }
        _ => Err(format!("the graph takes {slot}, got real numbers")),
    }
}

fn wholes<'v>(slot: &Slot, shape: Vec<usize>, ids: &'v [i64]) -> Result<SessionInputValue<'v>, String> {
    match slot.element {
        Element::I64 => TensorRef::from_array_view((shape, ids)).map(SessionInputValue::from).map_err(text),
        Element::I32 => {
            let narrow: Result<Vec<i32>, _> = ids.iter().map(|&id| i32::try_from(id)).collect();
            let narrow = narrow.map_err(|_| "a number is beyond 32 bits".to_owned())?;
            OrtTensor::from_array((shape, narrow)).map(SessionInputValue::from).map_err(text)
        }
        _ => Err(format!("the graph takes {slot}, got whole numbers")),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounded to what the graph takes, as documented on Value::PerItem"
)]
fn per_item<'v>(
    slot: &Slot,
    shape: Vec<usize>,
    value: f64,
    count: usize,
) -> Result<SessionInputValue<'v>, String> {
    let tensor = match slot.element {
        Element::F32 => {
            OrtTensor::from_array((shape, vec![value as f32; count])).map(SessionInputValue::from)
        }
        Element::F16 => {
            OrtTensor::from_array((shape, vec![f16::from_f64(value); count])).map(SessionInputValue::from)
        }
        Element::I64 => {
            OrtTensor::from_array((shape, vec![value.round() as i64; count])).map(SessionInputValue::from)
        }
        Element::I32 => {
            OrtTensor::from_array((shape, vec![value.round() as i32; count])).map(SessionInputValue::from)
        }
        Element::Other => return Err(format!("the graph takes {slot}, got a number")),
    };
    tensor.map_err(text)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn text(error: ort::Error) -> String {
    super::super::error::one_line(error.message())
}
