//! Tensors in a safetensors file: a path in, f32 values and their differences out.

use std::{fs, path::Path};

use safetensors::{Dtype, SafeTensors};

/// The bytes of a file of tensors.
#[derive(Debug, Clone)]
pub struct Tensors(Vec<u8>);

/// One tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f32>,
}

// === impl Tensors ===

impl Tensors {
    /// Reads a file.
    ///
    /// # Panics
    /// It is absent.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        Self(fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// The names, sorted.
    ///
    /// # Panics
    /// The file is damaged.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.parsed().names().into_iter().map(ToOwned::to_owned).collect();
        names.sort();
        names
    }

    /// One tensor of f32.
    ///
    /// # Panics
    /// There is none of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Tensor {
        let file = self.parsed();
        let view = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(view.dtype(), Dtype::F32, "{name}");
        let (values, _) = view.data().as_chunks();
        Tensor {
            shape: view.shape().to_vec(),
            values: values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        }
    }

    /// One tensor of bytes: its shape and values.
    ///
    /// # Panics
    /// There is none of this name.
    #[must_use]
    pub fn bytes(&self, name: &str) -> (Vec<usize>, Vec<u8>) {
        let file = self.parsed();
        let view = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(view.dtype(), Dtype::U8, "{name}");
        (view.shape().to_vec(), view.data().to_vec())
    }

    fn parsed(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).expect("a file of tensors")
    }
}

// === impl Tensor ===

impl Tensor {
    /// The shift of each channel's mean from another picture `[1, c, h, w]`, and the PSNR, dB; both of values in -1..1
    /// brought to 0..1.
    ///
    /// # Panics
    /// The shapes differ.
    #[must_use]
    pub fn apart(&self, other: &Self) -> (Vec<f64>, f64) {
        assert_eq!(self.shape, other.shape, "the shapes");
        let plane = self.shape[2] * self.shape[3];
        let count = |length: usize| f64::from(u32::try_from(length).expect("a small picture"));
        let unit = |values: &[f32]| -> Vec<f64> {
            values.iter().map(|value| (f64::from(*value).clamp(-1.0, 1.0) + 1.0) / 2.0).collect()
        };
        let (ours, theirs) = (unit(&self.values), unit(&other.values));
        let differences: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| b - a).collect();
        let shifts = differences.chunks(plane).map(|plane| plane.iter().sum::<f64>() / count(plane.len()));
        let square = differences.iter().map(|apart| apart * apart).sum::<f64>() / count(differences.len());
        (shifts.collect(), -10.0 * square.log10())
    }

    /// The largest absolute difference of two values in the same place.
    ///
    /// # Panics
    /// The shapes differ, or a value is not finite.
    #[must_use]
    pub fn max_abs_difference(&self, other: &Self) -> f64 {
        assert_eq!(self.shape, other.shape, "the shapes");
        let pairs = self.values.iter().zip(&other.values);
        pairs
            .map(|(one, other)| {
                let difference = (f64::from(*one) - f64::from(*other)).abs();
                assert!(difference.is_finite(), "{one} and {other}");
                difference
            })
            .fold(0.0, f64::max)
    }
}
