//! An engine that adds up the time spent in another one.

use std::time::Duration;

use tessera_proto::Tensor;
use tokio::time::Instant;

use super::{Engine, Error, Named, Network};
use crate::graph::GraphFacts;

/// Passes every call on, and measures those that run a network.
pub struct Timed<'e> {
    engine: &'e mut dyn Engine,
    busy: Duration,
    unspent: Duration,
}

// === impl Timed ===

impl<'e> Timed<'e> {
    /// Starts at zero.
    pub fn new(engine: &'e mut dyn Engine) -> Self {
        Self { engine, busy: Duration::ZERO, unspent: Duration::ZERO }
    }

    /// Time inside networks so far, with what is unspent of it.
    #[must_use]
    pub fn busy(&self) -> Duration {
        self.busy
    }

    fn measure<T>(&mut self, call: impl FnOnce(&mut dyn Engine) -> T) -> T {
        let start = Instant::now();
        let result = call(&mut *self.engine);
        let unspent = self.engine.unspent();
        self.busy += start.elapsed() + unspent;
        self.unspent += unspent;
        result
    }
}

impl Engine for Timed<'_> {
    fn facts(&mut self, network: &Network) -> Result<&GraphFacts, Error> {
        self.engine.facts(network)
    }

    fn run(
        &mut self,
        network: &Network,
        inputs: &[Named<'_>],
        outputs: &[&str],
    ) -> Result<Vec<Tensor>, Error> {
        self.measure(|engine| engine.run(network, inputs, outputs))
    }

    fn run_widened(
        &mut self,
        network: &Network,
        inputs: &[Named<'_>],
        outputs: &[&str],
    ) -> Result<Option<Vec<Tensor>>, Error> {
        self.measure(|engine| engine.run_widened(network, inputs, outputs))
    }

    /// That of all calls so far.
    fn unspent(&self) -> Duration {
        self.unspent
    }
}

impl std::fmt::Debug for Timed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timed").field("busy", &self.busy).finish_non_exhaustive()
    }
}
