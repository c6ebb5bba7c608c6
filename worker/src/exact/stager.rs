//! Stages on an engine: a stage and its inputs in, its results out, in fp32 where fp16 overflows.

use tessera_proto::Tensor;

use crate::{
    engine::{Engine, Error, Named, Network, Vae, Value, run_finite},
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

    fn run(
        &mut self,
        stage: usize,
        inputs: &[(&str, &Tensor)],
        outputs: &[&str],
    ) -> Result<Vec<Tensor>, Error> {
        let inputs: Vec<Named<'_>> =
            inputs.iter().map(|&(name, tensor)| Named { name, value: Value::Tensor(tensor) }).collect();
        run_finite(self.engine, &Network::Stage { of: self.network, index: stage }, &inputs, outputs)
    }
}
