//! Why a job cannot be rendered by a model; each text says what to change.

use tessera_proto::limits;

use super::UpscaleError;
use crate::{canvas::grid, picture, prompt, sample};

/// Why a job cannot be rendered by this model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The denoising tiles cannot be placed.
    #[error("tiles: {0}")]
    Tiles(grid::Error),
    /// The VAE's tiles cannot be placed.
    #[error("vae tiles: {0}")]
    VaeTiles(grid::Error),
    /// A network of the VAE cannot be cut at its normalisations.
    #[error("--vae {mode}: {sentence}; --vae blend takes tiles that do not know of each other")]
    Exact {
        /// exact or fast.
        mode: &'static str,
        /// What was found.
        sentence: String,
    },
    /// Steps, strength and schedule do not go together.
    #[error(transparent)]
    Sampling(#[from] sample::sampling::Error),
    /// The model's betas make no noise schedule.
    #[error("the model's noise schedule: {0}")]
    NoiseLevels(#[from] sample::noise_levels::Error),
    /// The prompt cannot be read.
    #[error(transparent)]
    Prompt(#[from] prompt::Error),
    /// An upscaling network cannot do its part.
    #[error(transparent)]
    Upscale(#[from] UpscaleError),
    /// A picture exceeds what we render.
    #[error("the {what} is {width}x{height} px, the limit is {} px a side: {advice}", limits::SIDE)]
    Target {
        /// What is too large.
        what: &'static str,
        /// What to do.
        advice: &'static str,
        /// Columns, px.
        width: u64,
        /// Rows, px.
        height: u64,
    },
    /// A picture is smaller than one latent px.
    #[error("the {what} is {width}x{height} px, each side needs at least 8 px")]
    TargetSmall {
        /// What is too small.
        what: &'static str,
        /// Columns, px.
        width: u64,
        /// Rows, px.
        height: u64,
    },
    /// The job starts from a picture, and the model cannot read one.
    #[error(
        "model {model:?} has no VAE encoder, which {purpose} needs: add vae_encoder/ to its folder{advice}"
    )]
    NoEncoder {
        /// The model.
        model: String,
        /// What needs it.
        purpose: &'static str,
        /// Another way, if there is one.
        advice: &'static str,
    },
    /// A latent of another kind of model.
    #[error(
        "the latent has {channels} channels, model {model:?} decodes {expected}: name the model that it was made with"
    )]
    LatentChannels {
        /// The model.
        model: String,
        /// Channels of the latent.
        channels: usize,
        /// Channels that the model decodes.
        expected: usize,
    },
    /// The job starts from something that was not given.
    #[error("the job starts from {what}, and there is none")]
    NotGiven {
        /// What it starts from.
        what: &'static str,
    },
    /// The tiles cover the canvas too often.
    #[error("the tiles cover the canvas {redundancy:.0} times over, the limit is 256: take less overlap")]
    Redundancy {
        /// Area of all tiles by area of the canvas.
        redundancy: f64,
    },
    /// The format cannot hold the picture or its texts.
    #[error(transparent)]
    Picture(#[from] picture::writer::Error),
    /// One batch of tiles would not fit into a message.
    #[error(
        "a batch of {batch} tiles has {mib} MiB, the limit is {} MiB: take a smaller --tile-batch or --tile",
        limits::FLEET_MESSAGE >> 20
    )]
    BatchBytes {
        /// Tiles in the batch.
        batch: usize,
        /// Their size, MiB.
        mib: usize,
    },
    /// One tile of the VAE would not fit into a message.
    #[error(
        "vae tiles of {width}x{height} latent px are pictures of {mib} MiB each, the limit is {} MiB: \
         use --vae blend, or a smaller --vae-tile or --vae-encode-tile",
        limits::FLEET_MESSAGE >> 20
    )]
    VaeTileBytes {
        /// Columns, latent px.
        width: u32,
        /// Rows, latent px.
        height: u32,
        /// Size of the decoded tile, MiB.
        mib: usize,
    },
}
