//! Stages on an engine: a stage and its inputs in, its results out, in fp32 where fp16 overflows.

use tessera_proto::Tensor;

use crate::{
    engine::{Engine, Error, Named, Network, Vae, Value},
    graph::staged::Run,
};

/// An engine as the stages of a network see it.
pub(super) struct Stager<'e> {
    pub(super) engine: &'e mut dyn Engine,
    pub(super) network: Vae,
}

// === impl Stager ===

impl Run for Stager<'_> {
    type Error = Error;

    /// In fp16 a stage can overflow: it is then run once more with all computation in fp32.
    fn run(
        &mut self,
        stage: usize,
        inputs: &[(&str, &Tensor)],
        outputs: &[&str],
    ) -> Result<Vec<Tensor>, Error> {
        let inputs: Vec<Named<'_>> =
            inputs.iter().map(|&(name, tensor)| Named { name, value: Value::Tensor(tensor) }).collect();
        let of = self.network;
        let network = Network::Stage { of, index: stage, widened: false };
        let results = self.engine.run(&network, &inputs, outputs)?;
        if results.iter().all(Tensor::is_finite) {
            return Ok(results);
        }
        tracing::warn!(network = of.noun(), stage, "a stage overflowed, it runs again in fp32");
        let network = Network::Stage { of, index: stage, widened: true };
        let results = self.engine.run(&network, &inputs, outputs)?;
        match results.iter().position(|tensor| !tensor.is_finite()) {
            None => Ok(results),
            Some(index) => Err(Error::NotFinite { network, output: outputs[index].to_owned() }),
        }
    }
}
