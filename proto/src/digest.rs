//! Content hashes of tensors and results: shapes and values in, 32 bytes out.

use std::fmt;

use crate::{Answer, Moments, Tensor};

/// The blake3 hash of a tensor's rank, shape and values, or of a result.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash of a tensor; equal tensors have equal digests on any machine.
    #[must_use]
    pub fn of(tensor: &Tensor) -> Self {
        let mut hasher = blake3::Hasher::new();
        add_tensor(&mut hasher, tensor);
        Self(*hasher.finalize().as_bytes())
    }

    /// The hash of a result, by which its receiver knows it whole.
    #[must_use]
    pub fn of_answer(answer: &Answer) -> Self {
        let mut hasher = blake3::Hasher::new();
        match answer {
            Answer::Tensors(tensors) => tensors.iter().for_each(|tensor| add_tensor(&mut hasher, tensor)),
            Answer::Moments(moments) => add_moments(&mut hasher, moments),
            Answer::Statistics(list) => list.iter().for_each(|moments| add_moments(&mut hasher, moments)),
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn add_tensor(hasher: &mut blake3::Hasher, tensor: &Tensor) {
    add_length(hasher, tensor.shape().len());
    tensor.shape().iter().for_each(|&length| add_length(hasher, length));
    if cfg!(target_endian = "little") {
        // The values lie in memory as they are hashed: all at once takes a tenth of the time.
        hasher.update(bytemuck::cast_slice(tensor.data()));
    } else {
        for value in tensor.data() {
            hasher.update(&value.to_le_bytes());
        }
    }
}

fn add_moments(hasher: &mut blake3::Hasher, moments: &Moments) {
    hasher.update(&moments.count().to_le_bytes());
    for values in [moments.mean(), moments.m2()] {
        add_length(hasher, values.len());
        for value in values {
            hasher.update(&value.to_le_bytes());
        }
    }
}

fn add_length(hasher: &mut blake3::Hasher, length: usize) {
    hasher.update(&(length as u64).to_le_bytes());
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(6).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_and_values_both_count() {
        let flat = Digest::of(&Tensor::new([4], vec![1.0; 4]).unwrap());
        assert_eq!(flat, Digest::of(&Tensor::new([4], vec![1.0; 4]).unwrap()));
        assert_ne!(flat, Digest::of(&Tensor::new([2, 2], vec![1.0; 4]).unwrap()));
        assert_ne!(flat, Digest::of(&Tensor::new([4], vec![2.0; 4]).unwrap()));
    }

    #[test]
    fn every_number_of_a_result_counts() {
        let moments = |m2| Answer::Moments(Moments::new(9, vec![1.0], vec![m2]).unwrap());
        assert_eq!(Digest::of_answer(&moments(2.0)), Digest::of_answer(&moments(2.0)));
        assert_ne!(Digest::of_answer(&moments(2.0)), Digest::of_answer(&moments(2.0_f64.next_up())));
        let tensors = |last| Answer::Tensors(vec![Tensor::new([2], vec![1.0, last]).unwrap()]);
        assert_ne!(Digest::of_answer(&tensors(0.0)), Digest::of_answer(&tensors(-0.0)));
    }
}
