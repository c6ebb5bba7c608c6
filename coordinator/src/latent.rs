//! Latent files: safetensors bytes in, a latent out, and back. Pure.
//!
//! A latent file holds one tensor `latent`, `[1, c, h, w]`, scaled as the UNet sees it (multiplied by the model's
//! `scaling_factor`), as diffusers' pipelines return it with `output_type="latent"`.

use std::collections::HashMap;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use tessera_proto::{Tensor, job::Size, limits};

/// Name of the tensor.
pub const LATENT: &str = "latent";

/// A latent that can be decoded: `[1, c, h, w]`, every value a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Latent {
    tensor: Tensor,
    size: Size,
}

/// Why bytes are no latent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They are no safetensors file.
    #[error("it is no safetensors file: {0}")]
    Safetensors(#[from] SafeTensorError),
    /// It holds something else.
    #[error("it has no tensor {LATENT:?}: it holds {found}; save the latent under that name")]
    Absent {
        /// What it holds instead.
        found: String,
    },
    /// The tensor has another shape.
    #[error(
        "tensor {LATENT:?} has shape {shape:?}, must have [1, channels, height, width]: save one latent a file, and its \
         first dimension of 1 with it"
    )]
    Shape {
        /// The shape found.
        shape: Vec<usize>,
    },
    /// The latent is larger than any picture that we render.
    #[error("the latent is {width}x{height} latent px, at most {limit} a side are allowed")]
    Side {
        /// Columns, latent px.
        width: usize,
        /// Rows, latent px.
        height: usize,
        /// Longest side, latent px.
        limit: u32,
    },
    /// The tensor's numbers are of another kind.
    #[error("tensor {LATENT:?} holds {0:?}, must hold float32, float16 or bfloat16")]
    Dtype(Dtype),
    /// A value is NaN or infinite.
    #[error("tensor {LATENT:?} holds NaN or infinity: the picture would be black")]
    NotFinite,
    /// Shape and values do not agree.
    #[error(transparent)]
    Tensor(#[from] tessera_proto::TensorError),
}

// === impl Latent ===

impl Latent {
    /// Reads a latent file.
    ///
    /// # Errors
    /// The bytes are no safetensors file, or its `latent` is none that can be decoded.
    pub fn read(file: &[u8]) -> Result<Self, Error> {
        let tensors = SafeTensors::deserialize(file)?;
        let Ok(view) = tensors.tensor(LATENT) else {
            let names = tensors.names();
            let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(Error::Absent { found });
        };
        let shape = view.shape();
        let (&[1, _, height, width], false) = (shape, shape.contains(&0)) else {
            return Err(Error::Shape { shape: shape.to_vec() });
        };
        // Every VAE enlarges; the plan checks the picture itself.
        let limit = limits::SIDE;
        let side = |side: usize| u32::try_from(side).ok().filter(|side| *side <= limit);
        let (Some(columns), Some(rows)) = (side(width), side(height)) else {
            return Err(Error::Side { width, height, limit });
        };
        let tensor = Tensor::new(shape, values(&view)?)?;
        if !tensor.is_finite() {
            return Err(Error::NotFinite);
        }
        Ok(Self { tensor, size: Size { width: columns, height: rows } })
    }

    /// Its values, `[c, h, w]`, scaled as the UNet sees it.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        self.tensor.data()
    }

    /// Its values, to keep.
    #[must_use]
    pub fn into_values(self) -> Vec<f32> {
        self.tensor.into_data()
    }

    /// Its channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.tensor.shape()[1]
    }

    /// Bytes of it.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.tensor.byte_len() as u64
    }

    /// Its size, latent px.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }
}

/// Writes a latent file from a latent `[1, c, h, w]`, scaled as the UNet sees it; `about` says where it comes from.
///
/// # Errors
/// None in practice: a tensor's shape and values agree.
pub fn write(latent: &Tensor, about: &[(&str, String)]) -> Result<Vec<u8>, SafeTensorError> {
    let bytes: Vec<u8> = latent.data().iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, latent.shape().to_vec(), &bytes)?;
    // One pair alone: a map's order would change from run to run, and the same latent shall be the same file.
    let text: Vec<String> = about.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let metadata = HashMap::from([("tessera".to_owned(), text.join("; "))]);
    safetensors::serialize([(LATENT, view)], Some(metadata))
}

fn values(view: &TensorView<'_>) -> Result<Vec<f32>, Error> {
    let bytes = view.data();
    let pairs = || bytes.as_chunks().0.iter();
    Ok(match view.dtype() {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect(),
        Dtype::F16 => pairs().map(|&two| f16::from_le_bytes(two).to_f32()).collect(),
        Dtype::BF16 => pairs().map(|&two| bf16::from_le_bytes(two).to_f32()).collect(),
        other => return Err(Error::Dtype(other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
        let view = TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
        safetensors::serialize([(name, view)], None).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let tensor = Tensor::new([1, 2, 1, 3], vec![0.5, -1.0, 2.0, 1e-9, 3.0, 1e9]).unwrap();
        let bytes = write(&tensor, &[("model", "m".to_owned()), ("seed", "1".to_owned())]).unwrap();
        assert_eq!(bytes, write(&tensor, &[("model", "m".to_owned()), ("seed", "1".to_owned())]).unwrap());
        let latent = Latent::read(&bytes).unwrap();
        assert_eq!(latent.values(), tensor.data());
        assert_eq!((latent.channels(), latent.size()), (2, Size { width: 3, height: 1 }));
    }

    #[test]
    fn half_precision_is_widened() {
        let half: Vec<u8> = [0.5_f32, -2.0].iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        let latent = Latent::read(&file(LATENT, Dtype::F16, &[1, 1, 1, 2], &half)).unwrap();
        assert_eq!(latent.values(), [0.5, -2.0]);
        let brain: Vec<u8> = [0.5_f32, -2.0].iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect();
        let latent = Latent::read(&file(LATENT, Dtype::BF16, &[1, 1, 2, 1], &brain)).unwrap();
        assert_eq!(latent.values(), [0.5, -2.0]);
    }

    #[test]
    fn other_files_are_refused_in_a_sentence() {
        let refusal = |bytes: &[u8]| Latent::read(bytes).unwrap_err().to_string();
        assert!(refusal(b"a picture").starts_with("it is no safetensors file"));
        let other = file("samples", Dtype::F32, &[1], &[0; 4]);
        assert_eq!(
            refusal(&other),
            "it has no tensor \"latent\": it holds samples; save the latent under that name"
        );
        let flat = file(LATENT, Dtype::F32, &[1, 1], &[0; 4]);
        assert!(refusal(&flat).contains("has shape [1, 1], must have [1, channels, height, width]"));
        let empty = file(LATENT, Dtype::F32, &[1, 4, 0, 8], &[]);
        assert!(refusal(&empty).contains("has shape [1, 4, 0, 8]"));
        let long = file(LATENT, Dtype::U8, &[1, 1, 1, 20_000], &[0; 20_000]);
        assert!(refusal(&long).contains("20000x1 latent px, at most 16384"));
        let whole = file(LATENT, Dtype::I64, &[1, 1, 1, 1], &[0; 8]);
        assert!(refusal(&whole).contains("holds I64, must hold float32"));
        let nan = file(LATENT, Dtype::F32, &[1, 1, 1, 1], &f32::NAN.to_le_bytes());
        assert!(refusal(&nan).contains("holds NaN or infinity"));
    }
}
