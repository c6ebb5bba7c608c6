//! A picture's texts as EXIF data, where PNG's text chunks are not to be had: texts in, bytes out, and back.
//!
//! A1111's text is the user comment, as A1111 and its kin write and read it: the prefix `UNICODE` and UTF-16 with the high
//! byte first. Our JSON is the maker note, which Exif 2.32 (4.6.5) leaves to whoever makes the file.

use std::io::{Cursor, Read, Seek};

use super::{
    encode::Metadata,
    ifd::{Directory, MAGIC, Reader, Value},
};

/// Tag of the pointer to the EXIF directory, in the first one (Exif 2.32, 4.6.3).
pub(super) const POINTER: u16 = 0x8769;

const USER_COMMENT: u16 = 0x9286;
const MAKER_NOTE: u16 = 0x927C;
const UNICODE: &[u8; 8] = b"UNICODE\0";
const ASCII: &[u8; 8] = b"ASCII\0\0\0";
/// What our maker note begins with, so that nobody else's is taken for it.
const SIGNATURE: &[u8; 8] = b"tessera\0";

/// A picture's texts, read back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Texts {
    /// A1111's.
    pub parameters: Option<String>,
    /// Ours: JSON.
    pub tessera: Option<String>,
}

/// EXIF data as JPEG and WebP hold it; `None` where there is nothing to say.
pub(super) fn to_bytes(metadata: Metadata<'_>) -> Option<Vec<u8>> {
    /// Where the first directory lies: behind the head.
    const FIRST: u32 = 8;
    /// Where the second one lies: the first has one entry.
    const SECOND: u32 = FIRST + 2 + 12 + 4;
    let directory = directory(metadata)?;
    let mut first = Directory::default();
    first.set(POINTER, Value::Longs(vec![SECOND]));
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FIRST.to_be_bytes());
    bytes.extend(first.to_bytes(FIRST).expect("30 bytes are no 4 GiB"));
    bytes.extend(directory.to_bytes(SECOND)?);
    Some(bytes)
}

/// The EXIF directory; `None` where there is nothing to say.
pub(super) fn directory(metadata: Metadata<'_>) -> Option<Directory> {
    let mut directory = Directory::default();
    if let Some(text) = metadata.parameters {
        let units = text.encode_utf16().flat_map(u16::to_be_bytes);
        directory.set(USER_COMMENT, Value::Bytes(UNICODE.iter().copied().chain(units).collect()));
    }
    if let Some(json) = metadata.tessera {
        directory.set(MAKER_NOTE, Value::Bytes([SIGNATURE, json.as_bytes()].concat()));
    }
    (directory != Directory::default()).then_some(directory)
}

/// The texts in EXIF data or in a TIFF file; damaged data has none.
pub(super) fn read(source: impl Read + Seek) -> Texts {
    let mut texts = Texts::default();
    let Ok(Some((mut reader, first))) = Reader::open(source) else {
        return texts;
    };
    let pointer = first.into_iter().find(|entry| entry.tag == POINTER);
    let offset = pointer.map(|entry| reader.offset(entry));
    let Some(Ok(entries)) = offset.map(|offset| reader.directory(offset)) else {
        return texts;
    };
    for entry in entries {
        match entry.tag {
            USER_COMMENT => texts.parameters = reader.bytes(entry).ok().and_then(|bytes| comment(&bytes)),
            MAKER_NOTE => texts.tessera = reader.bytes(entry).ok().and_then(|bytes| note(&bytes)),
            _ => {}
        }
    }
    texts
}

/// The texts in EXIF data; in JPEG they come behind a prefix that some writers put into WebP too.
pub(super) fn read_bytes(bytes: &[u8]) -> Texts {
    read(Cursor::new(bytes.strip_prefix(b"Exif\0\0").unwrap_or(bytes)))
}

fn comment(bytes: &[u8]) -> Option<String> {
    let (prefix, text) = bytes.split_first_chunk()?;
    let text = match prefix {
        UNICODE => {
            let units = text.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            String::from_utf16(&units.collect::<Vec<_>>()).ok()?
        }
        ASCII => String::from_utf8(text.to_vec()).ok()?,
        _ => return None,
    };
    Some(text.trim_end_matches('\0').to_owned())
}

fn note(bytes: &[u8]) -> Option<String> {
    let json = bytes.strip_prefix(SIGNATURE)?;
    String::from_utf8(json.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        let metadata = Metadata { parameters: Some("café 漢 🙂\nSteps: 1"), tessera: Some("{\"a\":1}") };
        let bytes = to_bytes(metadata).unwrap();
        let expected = Texts {
            parameters: metadata.parameters.map(str::to_owned),
            tessera: metadata.tessera.map(str::to_owned),
        };
        assert_eq!(read_bytes(&bytes), expected);
        assert_eq!(read_bytes(&[b"Exif\0\0", bytes.as_slice()].concat()), expected);
        assert_eq!(to_bytes(Metadata::default()), None);
    }

    #[test]
    fn the_comment_has_the_bytes_that_piexif_gives_it() {
        // piexif.dump({"Exif": {UserComment: piexif.helper.UserComment.dump("aé", encoding="unicode")}})[6:], and the
        // offset of the next directory, which piexif leaves out and TIFF 6.0 asks for.
        let expected = b"MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x1a\0\0\0\0\
            \0\x01\x92\x86\0\x07\0\0\0\x0c\0\0\0\x2c\0\0\0\0UNICODE\0\0a\0\xe9";
        let metadata = Metadata { parameters: Some("aé"), tessera: None };
        assert_eq!(to_bytes(metadata).unwrap(), expected);
    }

    #[test]
    fn damage_and_foreign_notes_are_no_texts() {
        let bytes = to_bytes(Metadata { parameters: Some("text"), tessera: None }).unwrap();
        for length in 0..bytes.len() {
            assert_eq!(read_bytes(&bytes[..length]).parameters, None, "{length} bytes");
        }
        assert_eq!(note(b"Nikon\0\x02"), None);
        assert_eq!(comment(b"JIS\0\0\0\0\0ab"), None);
        assert_eq!(comment(b"ASCII\0\0\0ab\0\0").as_deref(), Some("ab"));
    }
}
