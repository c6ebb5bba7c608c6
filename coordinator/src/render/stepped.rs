//! A latent that its solver steps row by row: blended predictions in, the next x in place. Pure.

use std::collections::VecDeque;

use crate::{
    canvas::blend::Row,
    sample::{Lane, NoiseSource, Sampling},
};

/// The latent in the solver's scale and all that the solver remembers; every tensor is row-major `[c, h, w]`.
#[derive(Debug)]
pub(super) struct Canvas {
    x: Vec<f32>,
    /// Width and height, latent px.
    size: (usize, usize),
    registers: [Vec<f32>; crate::sample::MAX_REGISTERS],
    noise: NoiseTape,
}

/// Whole-canvas draws in the order of the solver's calls, each kept while a cell still needs it.
///
/// Invariant: a draw is a function of (seed, its number); which cell asks first makes no difference.
#[derive(Debug)]
struct NoiseTape {
    source: NoiseSource,
    draws: VecDeque<Draw>,
    /// Number of the first draw that is kept.
    first: usize,
    /// Cells of the canvas.
    cells: usize,
}

#[derive(Debug)]
struct Draw {
    values: Vec<f32>,
    cells_left: usize,
}

// === impl Canvas ===

impl Canvas {
    /// A latent before its first call, on a canvas cut into `cells`.
    pub(super) fn new(
        x: Vec<f32>,
        size: (usize, usize),
        source: NoiseSource,
        sampling: &Sampling,
        cells: usize,
    ) -> Self {
        let length = x.len();
        let register = |index| {
            if index < sampling.registers() { vec![0.0; length] } else { Vec::new() }
        };
        let noise = NoiseTape { source, draws: VecDeque::new(), first: 0, cells };
        Self { registers: std::array::from_fn(register), x, size, noise }
    }

    pub(super) fn x(&self) -> &[f32] {
        &self.x
    }

    /// What the solver remembers; empty where it remembers nothing.
    pub(super) fn registers(&self) -> impl Iterator<Item = &[f32]> {
        self.registers.iter().map(Vec::as_slice)
    }

    /// Takes up a latent, and the registers that its solver uses, where they were set down.
    pub(super) fn resume(&mut self, x: Vec<f32>, registers: Vec<Vec<f32>>) {
        self.x = x;
        for (own, register) in self.registers.iter_mut().zip(registers) {
            *own = register;
        }
    }

    /// Takes the next draw, drawn again, that so many cells still need.
    pub(super) fn replay(&mut self, values: Vec<f32>, cells_left: usize) {
        self.noise.draws.push_back(Draw { values, cells_left });
        self.noise.trim();
    }

    /// Later draws come from here.
    pub(super) fn continue_noise(&mut self, source: NoiseSource) {
        self.noise.source = source;
    }

    pub(super) fn into_x(self) -> Vec<f32> {
        self.x
    }

    /// Makes sure that the noise of this call is there.
    pub(super) fn prepare(&mut self, sampling: &Sampling, call: usize) {
        if let Some(draw) = sampling.calls()[call].noise_draw {
            self.noise.reach(draw, self.x.len());
        }
    }

    /// Moves one row of a cell past a call, given its blended prediction.
    pub(super) fn advance(&mut self, sampling: &Sampling, call: usize, row: Row, prediction: &[f32]) {
        let (width, height) = self.size;
        let start = (row.channel * height + row.y as usize) * width + row.x0 as usize;
        let range = start..start + prediction.len();
        let [first, second] = &mut self.registers;
        let lane = Lane {
            x: &mut self.x[range.clone()],
            prediction,
            registers: [part(first, &range), part(second, &range)],
            noise: sampling.calls()[call].noise_draw.map(|draw| &self.noise.get(draw)[range]),
        };
        sampling.advance(call, lane);
    }

    /// Some cells have finished this call and need its noise no more.
    pub(super) fn release(&mut self, sampling: &Sampling, call: usize, cells: usize) {
        if let Some(draw) = sampling.calls()[call].noise_draw {
            self.noise.release(draw, cells);
        }
    }
}

/// The row of a register; nothing of one that the solver does not use.
fn part<'a>(register: &'a mut [f32], range: &std::ops::Range<usize>) -> &'a mut [f32] {
    if register.is_empty() { register } else { &mut register[range.clone()] }
}

// === impl NoiseTape ===

impl NoiseTape {
    fn reach(&mut self, draw: usize, length: usize) {
        while self.first + self.draws.len() <= draw {
            self.draws.push_back(Draw { values: self.source.draw(length), cells_left: self.cells });
        }
    }

    fn get(&self, draw: usize) -> &[f32] {
        &self.draws[draw - self.first].values
    }

    fn release(&mut self, draw: usize, cells: usize) {
        self.draws[draw - self.first].cells_left -= cells;
        self.trim();
    }

    /// Drops what no cell needs any more.
    fn trim(&mut self) {
        while self.draws.front().is_some_and(|draw| draw.cells_left == 0) {
            self.draws.pop_front();
            self.first += 1;
        }
    }
}
