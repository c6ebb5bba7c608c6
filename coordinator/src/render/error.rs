//! What can go wrong inside a job, apart from its request.

use crate::{canvas, picture};

/// A fault in a running job.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A network's output has another size than its input implies.
    #[error("a network returned {actual} values where {expected} were expected")]
    Output {
        /// Values expected.
        expected: usize,
        /// Values received.
        actual: usize,
    },
    /// A task returned another number of tensors than it implies.
    #[error("a task returned {actual} tensors where {expected} were expected")]
    Count {
        /// Tensors expected.
        expected: usize,
        /// Tensors received.
        actual: usize,
    },
    /// A latent cannot be drawn with a seed.
    #[error("the model's encoder returns no variance, it draws the latent itself: encode without --seed")]
    NoVariance,
    /// A checkpoint is not one of this job.
    #[error("the checkpoint does not fit the job")]
    Checkpoint,
    /// The arithmetic between two stages panicked.
    #[error("a computation ended unexpectedly")]
    Computation,
    /// Tiles that cannot be placed.
    #[error("vae tiles: {0}")]
    Tiles(#[from] canvas::grid::Error),
    /// A tile that does not fit its canvas.
    #[error(transparent)]
    Crop(#[from] canvas::crop::Error),
    /// Tiles that do not fit their cell.
    #[error(transparent)]
    Blend(#[from] canvas::blend::Error),
    /// A latent that is not what its shape says.
    #[error(transparent)]
    Planes(#[from] canvas::planes::Error),
    /// A latent that cannot be resized.
    #[error(transparent)]
    Resize(#[from] canvas::latent_resize::Error),
    /// A tensor that is not what its shape says.
    #[error(transparent)]
    Tensor(#[from] tessera_proto::TensorError),
    /// Statistics that do not go together.
    #[error(transparent)]
    Moments(#[from] tessera_proto::MomentsError),
    /// A picture that cannot be made or resized.
    #[error(transparent)]
    Picture(#[from] picture::rgb::Error),
    /// Parts of a picture that do not go together.
    #[error(transparent)]
    Bands(#[from] picture::bands::Error),
    /// The intermediate tensors cannot be written.
    #[error("the tensors cannot be written: {0}")]
    Dump(#[from] safetensors::SafeTensorError),
}
