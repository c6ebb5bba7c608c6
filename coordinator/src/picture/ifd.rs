//! Image file directories, which TIFF files and EXIF data are made of: tagged values in, their bytes out, and back.
//!
//! Source: TIFF 6.0, section 2. Written with the high byte first ("MM"); read in both orders, within bounds.

use std::io::{self, Read, Seek, SeekFrom};

/// What stands before the first directory: the byte order and 42; the directory's offset follows.
pub(super) const MAGIC: [u8; 4] = *b"MM\0*";

/// Most bytes of a value that is read: the texts that we look for are far below.
const LONGEST_VALUE: u64 = 16 << 20;
/// Most entries of a directory that is read; TIFF 6.0 knows fewer than a hundred tags.
const MOST_ENTRIES: u16 = 1024;

/// The value of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// 16-bit numbers.
    Shorts(Vec<u16>),
    /// 32-bit numbers.
    Longs(Vec<u32>),
    /// A fraction.
    Rational(u32, u32),
    /// Bytes that only their tag's readers understand.
    Bytes(Vec<u8>),
}

/// A directory: tags with their values, in ascending order of tags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Directory(Vec<(u16, Value)>);

/// A file of directories that is read.
#[derive(Debug)]
pub(super) struct Reader<R> {
    source: R,
    big_endian: bool,
}

/// An entry as it is read: a tag, its value's length in bytes, and the four bytes that hold the value or its offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The tag.
    pub(super) tag: u16,
    bytes: u64,
    field: [u8; 4],
}

// === impl Value ===

impl Value {
    /// Type and number of values (TIFF 6.0, page 15).
    fn kind(&self) -> (u16, usize) {
        match self {
            Self::Shorts(values) => (3, values.len()),
            Self::Longs(values) => (4, values.len()),
            Self::Rational(..) => (5, 1),
            Self::Bytes(bytes) => (7, bytes.len()),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Shorts(values) => values.iter().flat_map(|value| value.to_be_bytes()).collect(),
            Self::Longs(values) => values.iter().flat_map(|value| value.to_be_bytes()).collect(),
            Self::Rational(top, bottom) => [top.to_be_bytes(), bottom.to_be_bytes()].concat(),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

// === impl Directory ===

impl Directory {
    /// Sets a tag's value.
    pub(super) fn set(&mut self, tag: u16, value: Value) {
        match self.0.binary_search_by_key(&tag, |(tag, _)| *tag) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (tag, value)),
        }
    }

    /// Its bytes where it lies at offset `at`, an even number; what does not fit into entries lies behind them.
    ///
    /// `None`: it would end beyond 4 GiB.
    pub(super) fn to_bytes(&self, at: u32) -> Option<Vec<u8>> {
        let head = 2 + self.0.len() * 12 + 4;
        let mut entries = Vec::with_capacity(head);
        let mut values = Vec::new();
        entries.extend(u16::try_from(self.0.len()).ok()?.to_be_bytes());
        for (tag, value) in &self.0 {
            let (kind, count) = value.kind();
            entries.extend(tag.to_be_bytes());
            entries.extend(kind.to_be_bytes());
            entries.extend(u32::try_from(count).ok()?.to_be_bytes());
            let mut bytes = value.to_bytes();
            if bytes.len() <= 4 {
                bytes.resize(4, 0);
                entries.extend(bytes);
            } else {
                let offset = u32::try_from(head + values.len()).ok()?.checked_add(at)?;
                entries.extend(offset.to_be_bytes());
                values.extend(bytes);
                values.resize(values.len().next_multiple_of(2), 0);
            }
        }
        // No other directory follows.
        entries.extend([0; 4]);
        entries.extend(values);
        at.checked_add(u32::try_from(entries.len()).ok()?)?;
        Some(entries)
    }
}

// === impl Reader ===

impl<R: Read + Seek> Reader<R> {
    /// Reads the head and the first directory; `None`: it is no TIFF file, or one with 64-bit offsets.
    ///
    /// # Errors
    /// The source cannot be read or ends early.
    pub(super) fn open(mut source: R) -> io::Result<Option<(Self, Vec<Entry>)>> {
        let mut head = [0; 8];
        source.read_exact(&mut head)?;
        let big_endian = match &head[..4] {
            b"MM\0*" => true,
            b"II*\0" => false,
            _ => return Ok(None),
        };
        let mut reader = Self { source, big_endian };
        let first = reader.long([head[4], head[5], head[6], head[7]]);
        let entries = reader.directory(first)?;
        Ok(Some((reader, entries)))
    }

    /// The entries of the directory at an offset.
    ///
    /// # Errors
    /// As [`Reader::open`]; or it has too many entries to be one.
    pub(super) fn directory(&mut self, offset: u32) -> io::Result<Vec<Entry>> {
        self.source.seek(SeekFrom::Start(offset.into()))?;
        let mut count = [0; 2];
        self.source.read_exact(&mut count)?;
        let count = self.short(count);
        if MOST_ENTRIES < count {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut entries = Vec::with_capacity(count.into());
        for _ in 0..count {
            let mut entry = [0; 12];
            self.source.read_exact(&mut entry)?;
            let [t0, t1, k0, k1, c0, c1, c2, c3, field @ ..] = entry;
            let size = match self.short([k0, k1]) {
                1 | 2 | 6 | 7 => 1,
                3 | 8 => 2,
                4 | 9 | 11 | 13 => 4,
                5 | 10 | 12 => 8,
                _ => continue,
            };
            let bytes = u64::from(self.long([c0, c1, c2, c3])) * size;
            entries.push(Entry { tag: self.short([t0, t1]), bytes, field });
        }
        Ok(entries)
    }

    /// An entry's bytes.
    ///
    /// # Errors
    /// As [`Reader::open`]; or there are too many of them.
    pub(super) fn bytes(&mut self, entry: Entry) -> io::Result<Vec<u8>> {
        if LONGEST_VALUE < entry.bytes {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = Vec::new();
        if entry.bytes <= 4 {
            bytes.extend(entry.field.into_iter().take(usize::try_from(entry.bytes).unwrap_or(0)));
        } else {
            self.source.seek(SeekFrom::Start(self.offset(entry).into()))?;
            // Grows with what is there, not with what is promised.
            self.source.by_ref().take(entry.bytes).read_to_end(&mut bytes)?;
        }
        if bytes.len() as u64 == entry.bytes { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// An entry's four bytes as an offset: of its value, or of another directory.
    pub(super) fn offset(&self, entry: Entry) -> u32 {
        self.long(entry.field)
    }

    fn short(&self, bytes: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn long(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn file(directory: &Directory) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.extend(8_u32.to_be_bytes());
        file.extend(directory.to_bytes(8).unwrap());
        file
    }

    #[test]
    fn values_come_back_from_entries_and_from_behind_them() {
        let mut directory = Directory::default();
        directory.set(700, Value::Bytes(b"longer than four".to_vec()));
        directory.set(256, Value::Longs(vec![70_000]));
        directory.set(258, Value::Shorts(vec![8, 8, 8]));
        directory.set(282, Value::Rational(72, 1));
        directory.set(258, Value::Shorts(vec![16, 16, 16]));
        let (mut reader, entries) = Reader::open(Cursor::new(file(&directory))).unwrap().unwrap();
        let values: Vec<_> = entries.iter().map(|&entry| (entry.tag, reader.bytes(entry).unwrap())).collect();
        assert_eq!(
            values,
            [
                (256, vec![0, 1, 0x11, 0x70]),
                (258, vec![0, 16, 0, 16, 0, 16]),
                (282, vec![0, 0, 0, 72, 0, 0, 0, 1]),
                (700, b"longer than four".to_vec()),
            ]
        );
    }

    #[test]
    fn both_byte_orders_are_read() {
        // One entry: tag 0x1234, type SHORT, one value 7.
        let little = *b"II*\0\x08\0\0\0\x01\0\x34\x12\x03\0\x01\0\0\0\x07\0\0\0\0\0\0\0";
        let (mut reader, entries) = Reader::open(Cursor::new(little)).unwrap().unwrap();
        assert_eq!((entries[0].tag, reader.bytes(entries[0]).unwrap()), (0x1234, vec![7, 0]));
        assert!(Reader::open(Cursor::new(*b"II+\0\x08\0\0\0")).unwrap().is_none(), "64-bit offsets");
    }

    #[test]
    fn damage_is_an_error_and_costs_no_memory() {
        let mut directory = Directory::default();
        directory.set(700, Value::Bytes(vec![1; 64]));
        let mut whole = file(&directory);
        let length = whole.len();
        assert!(Reader::open(Cursor::new(&whole[..20])).is_err());
        let (mut reader, entries) = Reader::open(Cursor::new(&whole[..length - 1])).unwrap().unwrap();
        assert!(reader.bytes(entries[0]).is_err());
        // A value of 4 GiB.
        whole[14..18].fill(0xFF);
        let (mut reader, entries) = Reader::open(Cursor::new(&whole)).unwrap().unwrap();
        assert!(reader.bytes(entries[0]).is_err());
    }

    #[test]
    fn a_directory_beyond_four_gibibytes_is_none() {
        let mut directory = Directory::default();
        directory.set(256, Value::Longs(vec![1]));
        assert!(directory.to_bytes(u32::MAX - 17).is_none());
        assert!(directory.to_bytes(u32::MAX - 18).is_some());
    }
}
