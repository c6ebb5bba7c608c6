//! Numbers of a stored tensor: its message in, values as f64 out.

use half::{bf16, f16};

use super::onnx::{DataLocation, DataType, TensorProto};

/// Most values that are read: shapes, axes and scalars, never weights.
pub(super) const MAX_VALUES: usize = 16;

/// The values of a small tensor of numbers; `None` when it is large, lies outside the file, or holds no numbers.
///
/// Whole numbers beyond 2^53 are rounded, which turns "to the very end" into "far beyond the end": the same thing.
#[must_use]
pub(super) fn values(tensor: &TensorProto) -> Option<Vec<f64>> {
    if MAX_VALUES < count(tensor)? { None } else { all(tensor) }
}

/// The values of a tensor of numbers, however many; `None` when it lies outside the file or holds no numbers.
#[must_use]
pub(super) fn all(tensor: &TensorProto) -> Option<Vec<f64>> {
    if tensor.data_location() == DataLocation::External {
        return None;
    }
    let count = count(tensor)?;
    let values = match &tensor.raw_data {
        Some(raw) => from_raw(tensor.kind(), raw)?,
        None => from_list(tensor)?,
    };
    (values.len() == count).then_some(values)
}

fn count(tensor: &TensorProto) -> Option<usize> {
    let count = tensor.dims.iter().try_fold(1_i64, |product, &dim| product.checked_mul(dim))?;
    usize::try_from(count).ok()
}

#[expect(clippy::cast_precision_loss, reason = "rounding beyond 2^53 is documented above")]
fn from_raw(kind: DataType, raw: &[u8]) -> Option<Vec<f64>> {
    fn each<const N: usize>(raw: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        raw.as_chunks().0.iter().map(|&bytes| read(bytes)).collect()
    }
    Some(match kind {
        DataType::Float => each(raw, |bytes| f32::from_le_bytes(bytes).into()),
        DataType::Double => each(raw, f64::from_le_bytes),
        DataType::Float16 => each(raw, |bytes| f16::from_le_bytes(bytes).into()),
        DataType::Bfloat16 => each(raw, |bytes| bf16::from_le_bytes(bytes).into()),
        DataType::Int64 => each(raw, |bytes| i64::from_le_bytes(bytes) as f64),
        DataType::Int32 => each(raw, |bytes| i32::from_le_bytes(bytes).into()),
        _ => return None,
    })
}

#[expect(clippy::cast_precision_loss, reason = "rounding beyond 2^53 is documented above")]
fn from_list(tensor: &TensorProto) -> Option<Vec<f64>> {
    Some(match tensor.kind() {
        DataType::Float => tensor.float_data.iter().map(|&value| value.into()).collect(),
        DataType::Double => tensor.double_data.clone(),
        DataType::Int64 => tensor.int64_data.iter().map(|&value| value as f64).collect(),
        DataType::Int32 => tensor.int32_data.iter().map(|&value| value.into()).collect(),
        DataType::Float16 => {
            let bits = tensor.int32_data.iter().map(|&bits| u16::try_from(bits));
            bits.map(|bits| bits.ok().map(|bits| f16::from_bits(bits).into())).collect::<Option<_>>()?
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(kind: DataType, dims: &[i64], raw: &'static [u8]) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: Some(kind.into()),
            raw_data: Some(bytes::Bytes::from_static(raw)),
            ..TensorProto::default()
        }
    }

    #[test]
    fn every_type_of_number_is_read() {
        assert_eq!(values(&tensor(DataType::Float, &[], b"\0\0\x80\x3f")), Some(vec![1.0]));
        assert_eq!(values(&tensor(DataType::Float16, &[1], b"\0\x3c")), Some(vec![1.0]));
        assert_eq!(values(&tensor(DataType::Bfloat16, &[1], b"\x80\x3f")), Some(vec![1.0]));
        assert_eq!(
            values(&tensor(DataType::Int32, &[2], b"\x02\0\0\0\xff\xff\xff\xff")),
            Some(vec![2.0, -1.0])
        );
        let list = TensorProto {
            dims: vec![2],
            data_type: Some(DataType::Int64.into()),
            int64_data: vec![0, -1],
            ..TensorProto::default()
        };
        assert_eq!(values(&list), Some(vec![0.0, -1.0]));
    }

    #[test]
    fn weights_and_misfits_are_not_read() {
        assert_eq!(values(&tensor(DataType::Float, &[17], b"")), None);
        assert_eq!(values(&tensor(DataType::Float, &[2], b"\0\0\x80\x3f")), None);
        assert_eq!(values(&tensor(DataType::String, &[1], b"")), None);
    }
}
