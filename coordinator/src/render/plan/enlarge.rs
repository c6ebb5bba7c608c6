//! How the base becomes the hires latent: its sizes and the job's upscaler in; filters, networks and tiles out.

use std::sync::Arc;

use tessera_proto::{
    Rect,
    job::{Size, Upscaler},
};

use super::{DecodePlan, EncodePlan, Error, Planner, UpscalePlan, latent, size};
use crate::canvas::LatentFilter;

/// How the base becomes the hires latent.
#[derive(Debug, Clone)]
pub(in crate::render) enum Enlarge {
    /// The latent is resampled.
    Latent {
        /// How.
        filter: LatentFilter,
        /// Covering size, latent px.
        cover: Size,
        /// What of it is kept.
        keep: Rect,
        /// The encoder's tiles, when the job starts from a picture.
        encode: Option<EncodePlan>,
    },
    /// The picture is resampled and encoded.
    Picture {
        /// The base latent's decoder tiles; `None` when the job starts from a picture.
        decode: Option<DecodePlan>,
        /// The network that enlarges the picture before it is resampled.
        network: Option<Arc<UpscalePlan>>,
        /// Covering size, px.
        cover: Size,
        /// What of the encoded latent is kept, latent px.
        keep: Rect,
        /// The encoder's tiles.
        encode: EncodePlan,
    },
}

impl Planner<'_> {
    /// Plans the enlargement. `image` is the size of the given picture, px.
    pub(super) fn enlarge(
        &self,
        sizes: &size::Sizes,
        hires: size::Hires,
        image: Option<Size>,
    ) -> Result<Enlarge, Error> {
        let (spec, facts) = (self.spec, self.facts);
        let from_picture = sizes.from_picture;
        let filter = match &spec.upscaler {
            Upscaler::Filter(filter) => LatentFilter::of(*filter),
            Upscaler::Network(_) => None,
        };
        if let Some(filter) = filter {
            let encode = if from_picture { Some(self.vae_encode(sizes.base)?) } else { None };
            return Ok(Enlarge::Latent {
                filter,
                cover: latent(hires.cover, facts),
                keep: hires.keep,
                encode,
            });
        }
        if !facts.encodes_images {
            return Err(self.no_encoder("this upscaler", ", or use --upscaler latent"));
        }
        let network = UpscalePlan::new(spec, facts, image.unwrap_or(sizes.base), hires.cover)?;
        let decode = if from_picture { None } else { Some(self.vae_decode(sizes.base)?) };
        Ok(Enlarge::Picture {
            decode,
            network: network.map(Arc::new),
            cover: hires.cover,
            keep: hires.keep,
            encode: self.vae_encode(hires.cover)?,
        })
    }
}
