//! Views of tensors as stacks of planes: `[c, h, w]` values in, rows out.

/// A row-major `[channels, height, width]` tensor that lies somewhere else.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Planes<'a> {
    shape: [usize; 3],
    data: &'a [f32],
}

/// Why values and a shape are no planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A dimension is 0.
    #[error("planes of shape {shape:?} are empty")]
    Empty {
        /// Channels, rows, columns.
        shape: [usize; 3],
    },
    /// The number of values is not the product of the shape.
    #[error("planes of shape {shape:?} need as many values as their product, got {actual}")]
    Length {
        /// Channels, rows, columns.
        shape: [usize; 3],
        /// Values received.
        actual: usize,
    },
}

// === impl Planes ===

impl<'a> Planes<'a> {
    /// Reads `data` as `[channels, height, width]`.
    ///
    /// # Errors
    /// A dimension is 0, or their product is not `data.len()`.
    pub fn new(shape: [usize; 3], data: &'a [f32]) -> Result<Self, Error> {
        if shape.contains(&0) {
            return Err(Error::Empty { shape });
        }
        let length = shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
        if length != Some(data.len()) {
            return Err(Error::Length { shape, actual: data.len() });
        }
        Ok(Self { shape, data })
    }

    /// Channels, rows, columns; none is 0.
    #[must_use]
    pub const fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// All values, row-major.
    #[must_use]
    pub const fn data(&self) -> &'a [f32] {
        self.data
    }

    /// One plane, row-major.
    #[must_use]
    pub fn plane(&self, channel: usize) -> &'a [f32] {
        let [_, height, width] = self.shape;
        &self.data[channel * height * width..][..height * width]
    }

    /// One row of one plane.
    #[must_use]
    pub fn row(&self, channel: usize, y: usize) -> &'a [f32] {
        let [_, height, width] = self.shape;
        &self.data[(channel * height + y) * width..][..width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_and_length_must_agree() {
        let data = [0.0; 12];
        assert!(Planes::new([2, 2, 3], &data).is_ok());
        assert_eq!(Planes::new([2, 0, 3], &data), Err(Error::Empty { shape: [2, 0, 3] }));
        assert_eq!(Planes::new([2, 2, 2], &data), Err(Error::Length { shape: [2, 2, 2], actual: 12 }));
        assert!(Planes::new([usize::MAX, 2, 2], &data).is_err());
    }

    #[test]
    fn rows_and_planes_are_row_major() {
        let data: Vec<f32> = (0..12_u8).map(f32::from).collect();
        let planes = Planes::new([2, 2, 3], &data).unwrap();
        assert_eq!(planes.row(1, 0), [6.0, 7.0, 8.0]);
        assert_eq!(planes.plane(1), [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
    }
}
