//! Pictures: image files' bytes and network values in; RGB pixels, PNG bytes and A1111's metadata text out. Pure
//! functions on memory: who reads and writes files is the caller.

pub mod decode;
pub mod encode;
pub mod parameters;
pub mod resize;
pub mod rgb;

pub use decode::{MAX_PIXELS, decode};
pub use encode::{Metadata, encode_png};
pub use parameters::Parameters;
pub use resize::lanczos;
pub use rgb::Picture;
