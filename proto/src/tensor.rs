//! Dense f32 tensors in row-major order: what tasks carry and results bring back.

use std::fmt;

/// Most dimensions that a tensor may have; ours have 2 to 4.
pub(crate) const MAX_RANK: usize = 6;

/// A dense tensor of f32 values in row-major order, last dimension fastest.
#[derive(Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

/// Why a shape and some values are no tensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than 6 dimensions.
    #[error("tensor of {rank} dimensions, at most {MAX_RANK} are allowed")]
    Rank {
        /// Dimensions received.
        rank: usize,
    },
    /// A dimension is 0, or the product of all overflows.
    #[error("tensor shape {shape:?} is empty or too large to address")]
    Shape {
        /// The shape received.
        shape: Vec<usize>,
    },
    /// The number of values is not the product of the shape.
    #[error("tensor of shape {shape:?} needs {expected} values, got {actual}")]
    Length {
        /// The shape received.
        shape: Vec<usize>,
        /// Product of the shape.
        expected: usize,
        /// Values received.
        actual: usize,
    },
}

// === impl Tensor ===

impl Tensor {
    /// A tensor from its shape and its values in row-major order.
    ///
    /// # Errors
    /// The shape has more than 6 dimensions or an empty one, or does not hold `data.len()` values.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<Self, Error> {
        let shape = shape.into();
        let expected = element_count(&shape)?;
        if expected != data.len() {
            return Err(Error::Length { shape, expected, actual: data.len() });
        }
        Ok(Self { shape, data })
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn zeros(shape: impl Into<Vec<usize>>) -> Result<Self, Error> {
        let shape = shape.into();
        let count = element_count(&shape)?;
        Ok(Self { shape, data: vec![0.0; count] })
    }

    /// Length of each dimension.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, row-major.
    #[must_use]
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values, row-major, to be changed in place.
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Takes the values out.
    #[must_use]
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// The four dimensions of an `[n, c, h, w]` tensor; `None` for any other rank.
    #[must_use]
    pub fn nchw(&self) -> Option<[usize; 4]> {
        self.shape.as_slice().try_into().ok()
    }

    /// Whether no value is NaN or infinite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        // Without a way out at each value the compiler looks at many at a time.
        self.data.chunks(4096).all(|some| some.iter().fold(true, |fine, value| fine & value.is_finite()))
    }

    /// Size of the values in bytes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        size_of_val(self.data.as_slice())
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor{:?}", self.shape)
    }
}

/// Checks a shape and returns how many values it holds.
///
/// # Errors
/// As [`Tensor::new`].
pub(crate) fn element_count(shape: &[usize]) -> Result<usize, Error> {
    if shape.len() > MAX_RANK {
        return Err(Error::Rank { rank: shape.len() });
    }
    let count = shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
    match count {
        Some(count) if 0 < count && count <= isize::MAX.unsigned_abs() / 4 => Ok(count),
        _ => Err(Error::Shape { shape: shape.to_vec() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_and_length_must_agree() {
        assert!(Tensor::new([2, 3], vec![0.0; 6]).is_ok());
        let error = Tensor::new([2, 3], vec![0.0; 5]).unwrap_err();
        assert_eq!(error.to_string(), "tensor of shape [2, 3] needs 6 values, got 5");
    }

    #[test]
    fn hostile_shapes_are_refused() {
        assert!(matches!(Tensor::zeros([usize::MAX, 2]), Err(Error::Shape { .. })));
        assert!(matches!(Tensor::zeros([0]), Err(Error::Shape { .. })));
        assert!(matches!(Tensor::zeros([1; 7]), Err(Error::Rank { rank: 7 })));
    }
}
