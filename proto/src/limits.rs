//! Sizes that both sides of the wire hold to, each with its reason.

/// Largest message on a worker's stream, bytes.
///
/// The largest tensor that we send is a picture of 4096 x 4096 px decoded in one call (`--vae off`), 3 channels of f32:
/// 192 MiB. tonic's own limit of 4 MiB is below one decoded tile of 768 x 768 px.
pub const FLEET_MESSAGE: usize = 208 << 20;

/// Largest message of the Jobs service, bytes: a job carries at most one picture file of [`IMAGE_FILE`].
pub const JOBS_MESSAGE: usize = IMAGE_FILE + (1 << 20);

/// Largest message of the service that KEDA asks, bytes: an object's name and its trigger's metadata.
pub const SCALER_MESSAGE: usize = 64 << 10;

/// Largest message of the Models service, bytes: a chunk of [`FETCH_CHUNK`], or the list of a model's files.
pub const MODELS_MESSAGE: usize = 2 << 20;

/// Largest picture file that a job may start from, bytes.
///
/// A 16-bit RGB PNG of 4096 x 4096 px that does not compress at all has 96 MiB.
pub const IMAGE_FILE: usize = 96 << 20;

/// Bytes in one chunk of a fetched artifact: below tonic's default limit of 4 MiB, so that any client can read it.
pub const FETCH_CHUNK: usize = 1 << 20;

/// Most pixels of a picture to start from: 64 megapixels decode to 192 MiB of RGB.
pub const IMAGE_PIXELS: u64 = 64_000_000;

/// Longest side of a base or target picture, px.
pub const SIDE: u32 = 16_384;

/// Most memory that the coordinator gives to a WebP, bytes: some 107 megapixels. It is made of the whole picture.
pub const WEBP_MEMORY: u64 = 1 << 30;

/// Most bytes of a prompt or negative prompt.
pub const PROMPT: usize = 64 << 10;

/// HTTP/2 flow-control window of a stream, bytes.
///
/// The default of 64 KiB makes a 3 MiB tile wait for 48 round trips; one decoded tile of 512 x 512 px fits this window.
pub const STREAM_WINDOW: u32 = 4 << 20;

/// HTTP/2 flow-control window of a connection, bytes: two streams' worth.
pub const CONNECTION_WINDOW: u32 = 8 << 20;

/// Largest HTTP/2 frame, bytes.
///
/// The default of 16 KiB cuts a tile into frames by the dozen, each with a look through the connection's books on both sides.
pub const FRAME: u32 = 1 << 20;

/// Jobs that have ended of which a coordinator keeps the files: so many make the largest batch, lest its first pictures be
/// gone before its last one is drawn.
pub const REMEMBERED: usize = 256;
