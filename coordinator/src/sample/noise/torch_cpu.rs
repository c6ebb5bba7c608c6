//! `torch.randn` on a CPU generator: a seed in, torch's own values out, size after size.
//!
//! torch fills 16 values or more in blocks: one MT19937 word a value, whose low 24 bits are u in [0, 1); then
//! in each block of 16 the pairs (j, j + 8) become `r cos a` and `r sin a` with `r = sqrt(-2 ln(1 - u[j]))`
//! and `a = 2 pi u[j + 8]`. If the size is no multiple of 16, the last 16 values are drawn anew, overlapping
//! the last block. Fewer than 16 values are made one at a time in f64, two words a uniform, and the second
//! value of a pair waits for whoever asks next.

use std::f32::consts::PI;
use std::f64::consts::TAU as TAU_F64;

use rand_mt::Mt;

use crate::sample::single;

const BLOCK: usize = 16;

/// torch's CPU generator, as far as `randn` uses it.
#[derive(Clone)]
pub(super) struct TorchCpu {
    words: Mt,
    /// The second value of the last pair made one at a time; it outlives draws that are made in blocks.
    waiting: Option<f64>,
}

// === impl TorchCpu ===

impl TorchCpu {
    /// `torch.Generator().manual_seed(seed)`, which seeds MT19937 with the low 32 bits.
    pub(super) fn new(seed: u64) -> Self {
        let [low @ .., _, _, _, _] = seed.to_le_bytes();
        Self { words: Mt::new(u32::from_le_bytes(low)), waiting: None }
    }

    /// `torch.randn(len)` in f32, from where the last call ended.
    pub(super) fn randn(&mut self, len: usize) -> Vec<f32> {
        if len < BLOCK {
            return (0..len).map(|_| single(self.one())).collect();
        }
        let mut values: Vec<f32> = (0..len).map(|_| self.uniform()).collect();
        let (blocks, tail) = values.as_chunks_mut();
        blocks.iter_mut().for_each(box_muller);
        if !tail.is_empty() {
            let mut last: [f32; BLOCK] = std::array::from_fn(|_| self.uniform());
            box_muller(&mut last);
            values[len - BLOCK..].copy_from_slice(&last);
        }
        values
    }

    /// 24 bits in [0, 1).
    fn uniform(&mut self) -> f32 {
        (self.words.next_u32() & 0x00FF_FFFF) as f32 * 2.0_f32.powi(-24)
    }

    /// 53 bits in [0, 1).
    fn uniform_f64(&mut self) -> f64 {
        let high = u64::from(self.words.next_u32()) << 32;
        let bits = (high | u64::from(self.words.next_u32())) & ((1 << 53) - 1);
        bits as f64 * 2.0_f64.powi(-53)
    }

    /// One value in f64.
    fn one(&mut self) -> f64 {
        if let Some(value) = self.waiting.take() {
            return value;
        }
        let (turn, u) = (self.uniform_f64(), self.uniform_f64());
        let radius = (-2.0 * (-u).ln_1p()).sqrt();
        let (sin, cos) = (TAU_F64 * turn).sin_cos();
        self.waiting = Some(radius * sin);
        radius * cos
    }
}

/// Turns 16 uniform values into normal ones, in torch's pairing.
fn box_muller(block: &mut [f32; BLOCK]) {
    let (first, second) = block.split_at_mut(BLOCK / 2);
    for (a, b) in first.iter_mut().zip(second) {
        let radius = (-2.0 * (1.0 - *a).ln()).sqrt();
        let (sin, cos) = (2.0 * PI * *b).sin_cos();
        (*a, *b) = (radius * cos, radius * sin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::golden::{Golden, worst};

    const LIMIT: f32 = 1e-6;

    fn list(golden: &Golden, name: &str) -> Vec<u64> {
        golden.notes[name].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect()
    }

    #[test]
    fn draws_the_integers_of_torch() {
        let golden = Golden::noise();
        for seed in list(&golden, "seeds") {
            let mut generator = TorchCpu::new(seed);
            let theirs = golden.u32s(&format!("cpu.{seed}.words"));
            let ours: Vec<u32> = theirs.iter().map(|_| generator.words.next_u32() & 0x00FF_FFFF).collect();
            assert_eq!(ours, theirs, "seed {seed}");
        }
    }

    /// Sizes on both sides of 16, so that the waiting value and redrawn tails are met in every order.
    #[test]
    fn draws_one_after_another() {
        let golden = Golden::noise();
        for seed in list(&golden, "seeds") {
            let mut generator = TorchCpu::new(seed);
            let sizes = list(&golden, "draws");
            let ours: Vec<f32> =
                sizes.iter().flat_map(|&n| generator.randn(usize::try_from(n).unwrap())).collect();
            let worst = worst(&ours, &golden.f32s(&format!("cpu.{seed}.draws")));
            assert!(worst <= LIMIT, "seed {seed}: off by {worst:e}");
        }
    }

    #[test]
    fn every_size_up_to_200() {
        let ours: Vec<f32> = (1..=200).flat_map(|n| TorchCpu::new(42).randn(n)).collect();
        let worst = worst(&ours, &Golden::noise().f32s("cpu.sizes"));
        assert!(worst <= LIMIT, "off by {worst:e}");
    }

    #[test]
    fn canvases_of_odd_sizes() {
        let golden = Golden::noise();
        for canvas in golden.notes["canvases"].as_array().unwrap() {
            let [h, w] = [0, 1].map(|i| usize::try_from(canvas[i].as_u64().unwrap()).unwrap());
            let x = TorchCpu::new(42).randn(4 * h * w);
            let tail = &x[x.len().saturating_sub(40)..];
            let kept: Vec<f32> = x.iter().step_by(61).chain(tail).copied().collect();
            let worst = worst(&kept, &golden.f32s(&format!("cpu.canvas.{h}.{w}")));
            assert!(worst <= LIMIT, "{h}x{w}: off by {worst:e}");
        }
    }
}
