//! Philox 4x32-10 (Salmon et al. 2011): a seed in, normal values out.
//!
//! They are those of A1111's "NV" source and of stable-diffusion.cpp. Counter based: value i of draw n
//! depends on (seed, n, i) alone, through the counter (n, 0, i, 0).

use std::f64::consts::TAU;

use crate::sample::single;

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// The generator: its key and the number of the next draw.
#[derive(Clone)]
pub(super) struct Philox {
    key: [u32; 2],
    draw: u32,
}

// === impl Philox ===

impl Philox {
    pub(super) fn new(seed: u64) -> Self {
        Self { key: [low(seed), low(seed >> 32)], draw: 0 }
    }

    /// The next draw of `len` values; past 2^32 values the pattern repeats, as it does in the programs
    /// matched.
    pub(super) fn randn(&mut self, len: usize) -> Vec<f32> {
        let draw = self.draw;
        self.draw = draw.wrapping_add(1);
        (0..len as u64).map(|i| normal(philox([draw, 0, low(i), 0], self.key))).collect()
    }
}

/// The low 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "cutting a word in half is the purpose")]
fn low(value: u64) -> u32 {
    value as u32
}

/// Ten rounds of the bijection on `counter` under `key`.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let a = u64::from(counter[0]) * u64::from(MULTIPLIERS[0]);
        let b = u64::from(counter[2]) * u64::from(MULTIPLIERS[1]);
        counter = [low(b >> 32) ^ counter[1] ^ key[0], low(b), low(a >> 32) ^ counter[3] ^ key[1], low(a)];
        key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
    }
    counter
}

/// Box and Muller 1958, the sine half; in f64, because near u = 1 the logarithm would lose its digits in f32.
fn normal(words: [u32; 4]) -> f32 {
    let [u, turn] = [words[0], words[1]].map(|word| (f64::from(word) + 0.5) * 2.0_f64.powi(-32));
    single((-2.0 * u.ln()).sqrt() * sine_of_turn(turn))
}

/// sin(2 pi `turn`) for a turn in (0, 1), to 1e-9; three times as fast as the general function, which must
/// first find the turn that we already have.
fn sine_of_turn(turn: f64) -> f64 {
    // sin(2 pi turn) = -sin(2 pi centred), and the outer quarters mirror the inner ones.
    let centred = turn - 0.5;
    let folded = if centred.abs() > 0.25 { 0.5_f64.copysign(centred) - centred } else { centred };
    let angle = TAU * folded;
    let square = angle * angle;
    // Taylor's series; its first term left out is (pi / 2)^15 / 15! = 7e-10.
    let series = [13.0, 11.0, 9.0, 7.0, 5.0, 3.0]
        .into_iter()
        .fold(1.0, |inner, n: f64| 1.0 - square * (1.0 / (n * (n - 1.0))) * inner);
    -angle * series
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::golden::{Golden, worst};

    /// Random123's `kat_vectors` for philox4x32 with 10 rounds.
    #[test]
    fn published_vectors() {
        let max = u32::MAX;
        let vectors = [
            ([0; 4], [0; 2], [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]),
            ([max; 4], [max; 2], [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]),
            (
                [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344],
                [0xA409_3822, 0x299F_31D0],
                [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1],
            ),
        ];
        for (counter, key, expected) in vectors {
            assert_eq!(philox(counter, key), expected, "counter {counter:08x?}, key {key:08x?}");
        }
    }

    #[test]
    fn sine_is_accurate_over_the_turn() {
        for i in 0..=100_000 {
            let turn = f64::from(i) / 100_000.0;
            let off = (sine_of_turn(turn) - (TAU * turn).sin()).abs();
            assert!(off < 1e-9, "sin of {turn} turns is off by {off:e}");
        }
    }

    #[test]
    fn equals_the_formula_in_numpy() {
        let golden = Golden::noise();
        for seed in golden.notes["seeds"].as_array().unwrap() {
            let seed = seed.as_u64().unwrap();
            let mut generator = Philox::new(seed);
            for draw in 0..=7 {
                let ours = generator.randn(300);
                if matches!(draw, 0 | 1 | 7) {
                    let worst = worst(&ours, &golden.f32s(&format!("nv.{seed}.{draw}")));
                    assert!(worst <= 1e-6, "seed {seed}, draw {draw}: off by {worst:e}");
                }
            }
        }
    }

    #[test]
    fn a_value_depends_on_its_index_not_on_the_size() {
        let (small, large) = (Philox::new(9).randn(100), Philox::new(9).randn(1000));
        assert_eq!(small, large[..100], "the first hundred of a thousand are the same");
    }
}
