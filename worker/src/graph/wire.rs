//! Protobuf's wire format: a message's bytes in, its fields out, without copying or allocating.

use super::Error;

/// A field: its number and, where it has one, its length-delimited content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    /// The number in the message's definition.
    pub(super) number: u64,
    /// Content of strings, bytes, messages and packed lists; `None` for a single number.
    pub(super) content: Option<&'a [u8]>,
}

/// The fields of one message, in file order; ends after the first error.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    message: &'a [u8],
    at: usize,
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Reads the fields of `message`.
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { message, at: 0 }
    }

    fn error(&self, reason: &'static str) -> Error {
        Error::Wire { reason, offset: self.at, length: self.message.len() }
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.message.get(self.at).ok_or_else(|| self.error("it ends inside a number"))?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error("a number is longer than 10 bytes"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(length).filter(|&end| end <= self.message.len());
        let end = end.ok_or_else(|| self.error("it ends inside a field"))?;
        let content = &self.message[self.at..end];
        self.at = end;
        Ok(content)
    }

    fn field(&mut self) -> Result<Field<'a>, Error> {
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 {
            return Err(self.error("a field has number 0"));
        }
        let content = match key & 7 {
            0 => {
                self.varint()?;
                None
            }
            1 => {
                self.take(8)?;
                None
            }
            5 => {
                self.take(4)?;
                None
            }
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| self.error("a length is beyond memory"))?;
                Some(self.take(length)?)
            }
            _ => return Err(self.error("a field has an unknown wire type")),
        };
        Ok(Field { number, content })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.message.len() <= self.at {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.message.len();
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wire_type_is_stepped_over() {
        // The examples of protobuf's own encoding guide: field 1 = 150, field 2 = "testing"; then 64 and 32 bits.
        let bytes = b"\x08\x96\x01\x12\x07testing\x19\0\0\0\0\0\0\0\0\x25\0\0\0\0";
        let fields: Vec<_> = Fields::new(bytes).collect::<Result<_, _>>().unwrap();
        let found: Vec<_> = fields.iter().map(|field| (field.number, field.content)).collect();
        assert_eq!(found, [(1, None), (2, Some(&b"testing"[..])), (3, None), (4, None)]);
    }

    #[test]
    fn damage_is_placed() {
        let error = |bytes| Fields::new(bytes).collect::<Result<Vec<_>, _>>().unwrap_err().to_string();
        assert_eq!(error(b"\x12\x07test"), "damaged ONNX file: it ends inside a field at byte 2 of 6");
        assert_eq!(error(b"\x08"), "damaged ONNX file: it ends inside a number at byte 1 of 1");
        assert_eq!(error(b"\x0b"), "damaged ONNX file: a field has an unknown wire type at byte 1 of 1");
        assert_eq!(error(b"\x00\x01"), "damaged ONNX file: a field has number 0 at byte 1 of 2");
        assert!(error(&[0xff; 11]).contains("longer than 10 bytes"));
        assert!(error(b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").contains("it ends inside a field"));
    }
}
