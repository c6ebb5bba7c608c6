//! Emphasis: hidden states of a chunk and its tokens' weights in, weighted hidden states out.

use super::CHUNK;

/// Weighs the text encoder's result for one chunk, as A1111's "Original" emphasis does.
///
/// `hidden` is `[77, width]`, row-major. Each token's vector is multiplied by its weight; then all values are scaled so
/// that their mean is what it was. Where that mean would have to come from (nearly) nothing, it is left alone.
///
/// A1111 takes the mean over a whole batch of prompts; here every chunk stands for itself, so a prompt's embedding
/// does not depend on its company.
///
/// # Panics
/// `hidden` is not a whole number of values for each of 77 tokens.
pub fn emphasize(hidden: &mut [f32], weights: &[f32; CHUNK]) {
    assert!(hidden.len().is_multiple_of(CHUNK), "{} values are not {CHUNK} tokens", hidden.len());
    if weights.iter().all(|&weight| weight == 1.0) || hidden.is_empty() {
        return;
    }
    let before = sum(hidden);
    for (vector, weight) in hidden.chunks_mut(hidden.len() / CHUNK).zip(weights) {
        vector.iter_mut().for_each(|value| *value *= weight);
    }
    let ratio = single(before / sum(hidden));
    if ratio.is_finite() {
        hidden.iter_mut().for_each(|value| *value *= ratio);
    }
}

/// The sum in f64: means of embeddings lie near zero, where f32 would lose them to rounding.
fn sum(values: &[f32]) -> f64 {
    values.iter().copied().map(f64::from).sum()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "precision is lost on purpose; too large a ratio turns infinite"
)]
fn single(value: f64) -> f32 {
    value as f32
}
