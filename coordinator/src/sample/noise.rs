//! Unit normal noise: a named generator and a seed in, the draws of a job out, one after another.

use std::fmt;

use tessera_proto::job::Rng;

use philox::Philox;
use torch_cpu::TorchCpu;

mod philox;
mod torch_cpu;

/// The noise of one pass: successive draws from one generator, as the program whose pictures we match makes
/// them.
///
/// The first draw is the noise that the pass starts from; later draws are the sampler's, in the order of its
/// calls. A source is a function of (generator, seed, sizes drawn before), so it is resumed by drawing the
/// same sizes again.
#[derive(Clone)]
pub struct NoiseSource(Generator);

#[derive(Clone)]
enum Generator {
    Cpu(Box<TorchCpu>),
    Nv(Philox),
}

// === impl NoiseSource ===

impl NoiseSource {
    /// Starts a generator. `Cpu` uses the low 32 bits of `seed`, as torch does; `Nv` all 64.
    #[must_use]
    pub fn new(rng: Rng, seed: u64) -> Self {
        Self(match rng {
            Rng::Cpu => Generator::Cpu(Box::new(TorchCpu::new(seed))),
            Rng::Nv => Generator::Nv(Philox::new(seed)),
        })
    }

    /// The next `len` values, the noise of one canvas in row-major order `[channel, y, x]`.
    #[must_use]
    pub fn draw(&mut self, len: usize) -> Vec<f32> {
        match &mut self.0 {
            Generator::Cpu(torch) => torch.randn(len),
            Generator::Nv(philox) => philox.randn(len),
        }
    }
}

// === impl Debug ===

impl fmt::Debug for NoiseSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Generator::Cpu(_) => "NoiseSource(cpu)",
            Generator::Nv(_) => "NoiseSource(nv)",
        })
    }
}
