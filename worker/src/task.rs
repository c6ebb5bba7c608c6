//! What a worker can be asked for, one file each: plain functions over an engine.
//!
//! **Invariant: a result is a function of the task's arguments alone.** Every result is checked here for NaN, infinity
//! and shape; engines do not check.

pub mod decode;
pub mod denoise;
pub mod embed;
pub mod encode;
pub mod upscale;

#[cfg(test)]
mod tests;

use tessera_proto::Tensor;

use crate::engine::{Engine, Error, Named, Network, run_finite};

/// Runs a network for its first output (the only one, or the one that all exporters put first), in fp32 where fp16
/// overflows.
///
/// # Errors
/// As [`run_finite`].
fn call(engine: &mut dyn Engine, network: &Network, inputs: &[Named<'_>]) -> Result<Tensor, Error> {
    let missing = || Error::Failed { network: network.clone(), reason: "the graph has no output".to_owned() };
    let output = engine.facts(network)?.outputs.first().ok_or_else(missing)?.name.clone();
    run_finite(engine, network, inputs, &[&output])?.pop().ok_or_else(missing)
}

/// The name of the only input of a network that takes images or latents.
///
/// # Errors
/// It cannot be loaded, or takes more than one input.
fn only_input(engine: &mut dyn Engine, network: &Network) -> Result<String, Error> {
    match engine.facts(network)?.inputs.as_slice() {
        [input] => Ok(input.name.clone()),
        inputs => {
            let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
            let reason = format!("the graph takes {} inputs, this task gives one", names.len());
            Err(Error::Input { network: network.clone(), input: names.join(", "), reason })
        }
    }
}

/// Refuses a result of another shape.
fn expect_shape(network: &Network, result: Tensor, expected: &[usize]) -> Result<Tensor, Error> {
    if result.shape() == expected {
        return Ok(result);
    }
    let (expected, actual) = (expected.to_vec(), result.shape().to_vec());
    Err(Error::WrongShape { network: network.clone(), expected, actual })
}

/// The four dimensions of an argument.
fn nchw(network: &Network, input: &str, tensor: &Tensor) -> Result<[usize; 4], Error> {
    tensor.nchw().ok_or_else(|| Error::Input {
        network: network.clone(),
        input: input.to_owned(),
        reason: format!("four dimensions are needed, got shape {:?}", tensor.shape()),
    })
}
