//! Tensors and digests: little-endian bytes in, f32 values out, and back.

use bytes::Bytes;

use super::Error;
use crate::{Digest, Tensor, tensor, wire};

impl From<&Tensor> for wire::Tensor {
    fn from(tensor: &Tensor) -> Self {
        Self { shape: tensor.shape().iter().map(|&dim| dim as u64).collect(), data: to_bytes(tensor.data()) }
    }
}

impl TryFrom<wire::Tensor> for Tensor {
    type Error = Error;

    fn try_from(message: wire::Tensor) -> Result<Self, Error> {
        let wire::Tensor { shape, data } = message;
        if tensor::MAX_RANK < shape.len() {
            return Err(tensor::Error::Rank { rank: shape.len() }.into());
        }
        let dim = |dim| usize::try_from(dim).map_err(|_| Error::Range { field: "shape" });
        let shape = shape.into_iter().map(dim).collect::<Result<Vec<_>, _>>()?;
        // Checked before anything of that size is allocated: the data itself bounds it.
        let expected = tensor::element_count(&shape)?;
        if !data.len().is_multiple_of(4) || data.len() / 4 != expected {
            return Err(tensor::Error::Length { shape, expected, actual: data.len() / 4 }.into());
        }
        Ok(Self::new(shape, from_bytes(&data))?)
    }
}

impl From<Digest> for wire::Digest {
    fn from(digest: Digest) -> Self {
        Self { blake3: Bytes::copy_from_slice(digest.bytes()) }
    }
}

impl TryFrom<wire::Digest> for Digest {
    type Error = Error;

    fn try_from(message: wire::Digest) -> Result<Self, Error> {
        let wire::Digest { blake3 } = message;
        let bytes = blake3.as_ref().try_into().map_err(|_| Error::Range { field: "blake3" })?;
        Ok(Self::new(bytes))
    }
}

fn to_bytes(values: &[f32]) -> Bytes {
    if cfg!(target_endian = "little") {
        Bytes::copy_from_slice(bytemuck::cast_slice(values))
    } else {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }
}

fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    // Network buffers need not lie on a multiple of 4, so the values are copied out one by one; compilers make it a memcpy.
    bytes.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value)).collect()
}
