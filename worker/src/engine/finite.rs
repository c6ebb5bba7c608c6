//! A network's results, in fp32 where fp16 overflows: a call in, finite numbers out.
//!
//! Whether a call overflows follows from its inputs, so every worker runs the same ones again: a result stays a function
//! of its task. A device that errs now and then does not, and must not be taken for one: what overflows does so twice.

use tessera_proto::Tensor;

use super::{Engine, Error, Named, Network};

/// Runs a network; where it returns NaN or infinity and computes in fp16, it runs again in fp32.
///
/// # Errors
/// As [`Engine::run`], or the results are not finite in fp32 either, or the same call gives finite ones in fp16 another
/// time.
pub fn run_finite(
    engine: &mut dyn Engine,
    network: &Network,
    inputs: &[Named<'_>],
    outputs: &[&str],
) -> Result<Vec<Tensor>, Error> {
    let results = engine.run(network, inputs, outputs)?;
    let Some(broken) = first_broken(&results) else { return Ok(results) };
    let error = |output: usize, widened| Error::NotFinite {
        network: network.clone(),
        output: outputs.get(output).copied().unwrap_or_default().to_owned(),
        widened,
    };
    let results = match engine.run_widened(network, inputs, outputs) {
        Ok(Some(results)) => results,
        Ok(None) => return Err(error(broken, None)),
        Err(reason) => return Err(error(broken, Some(format!("and cannot be run in fp32: {reason}")))),
    };
    if let Some(output) = first_broken(&results) {
        return Err(error(output, Some("in fp32 too".to_owned())));
    }
    match first_broken(&engine.run(network, inputs, outputs)?) {
        Some(_) => Ok(results),
        None => Err(error(broken, Some("and another time did not: the device errs".to_owned()))),
    }
}

/// The first result with NaN or infinity.
fn first_broken(results: &[Tensor]) -> Option<usize> {
    results.iter().position(|tensor| !tensor.is_finite())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::graph::GraphFacts;

    /// What calls return, one after another; `None` in fp32: the network computes so anyway.
    struct Script {
        half: VecDeque<f32>,
        full: Option<f32>,
    }

    impl Engine for Script {
        fn facts(&mut self, network: &Network) -> Result<&GraphFacts, Error> {
            Err(Error::Absent { network: network.clone() })
        }

        fn run(&mut self, _: &Network, _: &[Named<'_>], _: &[&str]) -> Result<Vec<Tensor>, Error> {
            Ok(vec![value(self.half.pop_front().expect("one more call"))])
        }

        fn run_widened(
            &mut self,
            _: &Network,
            _: &[Named<'_>],
            _: &[&str],
        ) -> Result<Option<Vec<Tensor>>, Error> {
            Ok(self.full.map(|full| vec![value(full)]))
        }
    }

    fn value(value: f32) -> Tensor {
        Tensor::new([1], vec![value]).unwrap()
    }

    fn run(half: &[f32], full: Option<f32>) -> Result<f32, String> {
        let mut script = Script { half: half.iter().copied().collect(), full };
        let results = run_finite(&mut script, &Network::Unet, &[], &["out"]);
        assert!(script.half.is_empty(), "as many calls as needed");
        results.map(|results| results[0].data()[0]).map_err(|error| error.to_string())
    }

    #[test]
    fn what_overflows_twice_is_run_in_fp32() {
        const NAN: f32 = f32::NAN;
        assert_eq!(run(&[1.0], Some(2.0)), Ok(1.0));
        assert_eq!(run(&[NAN, f32::INFINITY], Some(2.0)), Ok(2.0));
        let refused = |half: &[f32], full| run(half, full).unwrap_err();
        let of_itself = "unet returned NaN or infinity in \"out\"";
        assert_eq!(refused(&[NAN], None), of_itself);
        assert_eq!(refused(&[NAN], Some(NAN)), format!("{of_itself} in fp32 too"));
        let errs = refused(&[NAN, 1.0], Some(2.0));
        assert_eq!(errs, format!("{of_itself} and another time did not: the device errs"));
    }
}
