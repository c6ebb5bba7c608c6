//! Pictures: image files' bytes and network values in; RGB pixels, files' bytes and A1111's metadata text out. Pure
//! functions on memory and on whatever takes bytes: who opens files is the caller.

use tessera_proto::job::format;

pub mod bands;
pub mod borders;
pub mod compare;
pub mod decode;
pub mod encode;
pub mod exif;
mod ifd;
pub mod levels;
pub mod parameters;
pub mod raster;
pub mod resize;
pub mod rgb;
pub mod seams;
#[cfg(test)]
mod testing;
pub mod writer;

pub use bands::{Band, Bands};
pub use borders::{Borders, Tiles};
pub use compare::{Comparison, Measures, compare};
pub use decode::{MAX_PIXELS, decode};
pub use encode::{Metadata, encode_png};
pub use exif::Texts;

pub use levels::Range;
pub use parameters::Parameters;
pub use raster::Raster;
pub use resize::lanczos;
pub use rgb::Picture;
pub use seams::{Seams, seams};
pub use writer::{Header, Writer};
