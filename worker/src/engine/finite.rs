//! A network's results, in fp32 where fp16 overflows: a call in, finite numbers out.
//!
//! Whether a call overflows follows from its inputs, so every worker runs the same ones again: a result stays a function
//! of its task.

use tessera_proto::Tensor;

use super::{Engine, Error, Named, Network};

/// Runs a network; where it returns NaN or infinity and computes in fp16, it runs once more in fp32.
///
/// # Errors
/// As [`Engine::run`], or the results are not finite in fp32 either.
pub fn run_finite(
    engine: &mut dyn Engine,
    network: &Network,
    inputs: &[Named<'_>],
    outputs: &[&str],
) -> Result<Vec<Tensor>, Error> {
    let results = engine.run(network, inputs, outputs)?;
    let Some(broken) = broken(&results) else { return Ok(results) };
    let error = |output: usize, widened| Error::NotFinite {
        network: network.clone(),
        output: outputs.get(output).copied().unwrap_or_default().to_owned(),
        widened,
    };
    match engine.run_widened(network, inputs, outputs) {
        Ok(Some(results)) => match self::broken(&results) {
            None => Ok(results),
            Some(output) => Err(error(output, Some("in fp32 too".to_owned()))),
        },
        Ok(None) => Err(error(broken, None)),
        Err(reason) => Err(error(broken, Some(format!("and cannot be run in fp32: {reason}")))),
    }
}

/// The first result with NaN or infinity.
fn broken(results: &[Tensor]) -> Option<usize> {
    results.iter().position(|tensor| !tensor.is_finite())
}
