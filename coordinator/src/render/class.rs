//! What decides how long a task takes: its network and the size of what goes in, in; its class out. Pure.

use crate::fleet::{Class, Kind};

/// One text.
pub(super) const EMBED: Class = Class { kind: Kind::Embed, part: 0, shape: [0; 4] };

/// The statistics of a smaller picture.
pub(super) const MEASURE: Class = Class { kind: Kind::Measure, part: 0, shape: [0; 4] };

/// The last part of an exact encode.
pub(super) const ENCODE_END: Class = Class { kind: Kind::Encode, part: u32::MAX, shape: [0; 4] };

/// Tiles `[n, c, h, w]` with so many rows of conditioning each: each part of the prompt is one more row in the call.
pub(super) fn denoise(rows: usize, shape: [usize; 4]) -> Class {
    Class { kind: Kind::Denoise, part: narrow(rows), shape: shape.map(narrow) }
}

/// A tile whose result is `[n, c, h, w]`, in the pass of this number, from 1.
pub(super) fn upscale(pass: usize, shape: [usize; 4]) -> Class {
    Class { kind: Kind::Upscale, part: narrow(pass), shape: shape.map(narrow) }
}

/// A tile that has passed so many barriers; `height` in px of the picture.
pub(super) fn decode(passed: usize, height: u32) -> Class {
    Class { kind: Kind::Decode, part: narrow(passed), shape: [1, 0, height, 0] }
}

/// Likewise, of the encoder.
pub(super) fn encode(passed: usize, height: u32) -> Class {
    Class { kind: Kind::Encode, part: narrow(passed), shape: [1, 0, height, 0] }
}

fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
