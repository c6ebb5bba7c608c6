//! Reads the golden tensors of `tests/oracle/golden` and measures differences; for tests only.

use safetensors::SafeTensors;

/// One file of golden tensors with its notes.
pub(crate) struct Golden {
    tensors: SafeTensors<'static>,
    /// The JSON file beside it.
    pub(crate) notes: serde_json::Value,
}

impl Golden {
    /// What `solvers.py` wrote.
    pub(crate) fn solvers() -> Self {
        Self::parse(
            include_bytes!("../../../tests/oracle/golden/solvers.safetensors"),
            include_str!("../../../tests/oracle/golden/solvers.json"),
        )
    }

    /// What `noise.py` wrote.
    pub(crate) fn noise() -> Self {
        Self::parse(
            include_bytes!("../../../tests/oracle/golden/noise.safetensors"),
            include_str!("../../../tests/oracle/golden/noise.json"),
        )
    }

    fn parse(tensors: &'static [u8], notes: &str) -> Self {
        Self {
            tensors: SafeTensors::deserialize(tensors).unwrap(),
            notes: serde_json::from_str(notes).unwrap(),
        }
    }

    fn words(&self, name: &str) -> impl Iterator<Item = [u8; 4]> {
        let tensor = self.tensors.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        tensor.data().chunks_exact(4).map(|word| word.try_into().unwrap())
    }

    /// A tensor of f32, flattened.
    pub(crate) fn f32s(&self, name: &str) -> Vec<f32> {
        self.words(name).map(f32::from_le_bytes).collect()
    }

    /// A tensor of f32, flattened and widened.
    pub(crate) fn f64s(&self, name: &str) -> Vec<f64> {
        self.f32s(name).into_iter().map(f64::from).collect()
    }

    /// A tensor of i32 that are no negative numbers, flattened.
    pub(crate) fn u32s(&self, name: &str) -> Vec<u32> {
        self.words(name).map(u32::from_le_bytes).collect()
    }
}

/// The largest |a - b|.
pub(crate) fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "tensors to compare are equally long");
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst })
}

/// The largest |a - b| / |b|; equal zeros count as no difference.
pub(crate) fn worst_relative(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "tensors to compare are equally long");
    let relative = |(&a, &b): (&f64, &f64)| if a == b { 0.0 } else { (a - b).abs() / b.abs() };
    a.iter().zip(b).map(relative).fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst })
}
