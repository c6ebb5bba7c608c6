//! The flags of `compare`: which pictures, and what to measure.

use std::path::PathBuf;

use clap::Args;

/// `tessera compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Picture A: png, jpeg, webp, tiff of 8 or 16 bits, or a dump (.safetensors with a tensor named image)
    #[arg(value_name = "A")]
    pub(crate) a: PathBuf,
    /// Picture B, of the same size
    #[arg(value_name = "B", required_unless_present = "seams")]
    pub(crate) b: Option<PathBuf>,
    /// Also measure how much tile borders show: gradient energy on them over that elsewhere
    ///
    /// Near 1 where nothing shows, but for what the picture itself has on the borders: the energy beside them, 2 to 8 px
    /// away, is printed too. Where the tiles lie is read from the picture's own metadata, or else from the other
    /// picture's: those of the last denoising pass and those of the VAE, each by its name.
    #[arg(long)]
    pub(crate) seams: bool,
    /// Take tiles of this side, px, that touch without overlap, instead of those that the metadata names
    #[arg(long, value_name = "PX", requires = "seams", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tile: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
