//! Content hashes of tensors: a shape and its values in, 32 bytes out.

use std::fmt;

use crate::Tensor;

/// The blake3 hash of a tensor's rank, shape and values.
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
        let mut number = |value: usize| {
            hasher.update(&(value as u64).to_le_bytes());
        };
        number(tensor.shape().len());
        tensor.shape().iter().copied().for_each(number);
        if cfg!(target_endian = "little") {
            // The values lie in memory as they are hashed: all at once takes a tenth of the time.
            hasher.update(bytemuck::cast_slice(tensor.data()));
        } else {
            for value in tensor.data() {
                hasher.update(&value.to_le_bytes());
            }
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
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
}
