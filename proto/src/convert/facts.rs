//! Model facts: a message in, checked facts out, and back.

use bytes::Bytes;

use super::{Error, choice::FromNumber, required};
use crate::{
    ModelFacts,
    facts::{self, Exactness, Peaks},
    wire,
};

impl From<ModelFacts> for wire::ModelFacts {
    fn from(facts: ModelFacts) -> Self {
        let facts = facts.into_draft();
        Self {
            name: facts.name,
            hash: Bytes::copy_from_slice(&facts.hash),
            latent_channels: facts.latent_channels,
            vae_scale: facts.vae_scale,
            scaling_factor: facts.scaling_factor,
            prediction: wire::Prediction::from(facts.prediction).into(),
            sample_size: facts.sample_size,
            latent_multiple: facts.latent_multiple,
            beta_schedule: wire::BetaSchedule::from(facts.beta_schedule).into(),
            beta_start: facts.beta_start,
            beta_end: facts.beta_end,
            train_timesteps: facts.num_train_timesteps,
            embedding_width: facts.embedding_width,
            upscalers: facts.upscalers.into_iter().map(Into::into).collect(),
            has_encoder: facts.encodes_images,
            exact_decode: Some(facts.exact_decode.into()),
            exact_encode: Some(facts.exact_encode.into()),
        }
    }
}

impl TryFrom<wire::ModelFacts> for ModelFacts {
    type Error = Error;

    fn try_from(message: wire::ModelFacts) -> Result<Self, Error> {
        let wire::ModelFacts {
            name,
            hash,
            latent_channels,
            vae_scale,
            scaling_factor,
            prediction,
            sample_size,
            latent_multiple,
            beta_schedule,
            beta_start,
            beta_end,
            train_timesteps,
            embedding_width,
            upscalers,
            has_encoder,
            exact_decode,
            exact_encode,
        } = message;
        let draft = facts::Draft {
            name,
            hash: hash.as_ref().try_into().map_err(|_| Error::Range { field: "hash" })?,
            latent_channels,
            vae_scale,
            scaling_factor,
            prediction: facts::Prediction::from_number(prediction)?,
            sample_size,
            latent_multiple,
            beta_schedule: facts::BetaSchedule::from_number(beta_schedule)?,
            beta_start,
            beta_end,
            num_train_timesteps: train_timesteps,
            embedding_width,
            upscalers: upscalers.into_iter().map(Into::into).collect(),
            encodes_images: has_encoder,
            exact_decode: required("exact_decode", exact_decode)?.try_into()?,
            exact_encode: required("exact_encode", exact_encode)?.try_into()?,
        };
        Ok(Self::new(draft)?)
    }
}

impl From<Exactness> for wire::Exactness {
    fn from(exactness: Exactness) -> Self {
        use wire::exactness::Kind;
        let kind = match exactness {
            Exactness::Cut { barriers, halo, crossing, prefix, peaks } => {
                let peaks = Some((*peaks).into());
                Kind::Cut(wire::Cut { barriers, halo, crossing, prefix, peaks })
            }
            Exactness::Refused(sentence) => Kind::Refusal(sentence),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<wire::Exactness> for Exactness {
    type Error = Error;

    fn try_from(message: wire::Exactness) -> Result<Self, Error> {
        use wire::exactness::Kind;
        let wire::Exactness { kind } = message;
        Ok(match required("exactness.kind", kind)? {
            Kind::Cut(wire::Cut { barriers, halo, crossing, prefix, peaks }) => Self::Cut {
                barriers,
                halo,
                crossing,
                prefix,
                peaks: Box::new(required("cut.peaks", peaks)?.try_into()?),
            },
            Kind::Refusal(sentence) => Self::Refused(sentence),
        })
    }
}

impl From<Peaks> for wire::Peaks {
    fn from(peaks: Peaks) -> Self {
        let tiles = peaks.tiles().iter().map(|&(side, bytes)| wire::Peak { side, bytes });
        Self { tiles: tiles.collect(), whole: peaks.whole(), kept: peaks.kept(), run: peaks.run() }
    }
}

impl TryFrom<wire::Peaks> for Peaks {
    type Error = Error;

    fn try_from(message: wire::Peaks) -> Result<Self, Error> {
        let wire::Peaks { tiles, whole, kept, run } = message;
        let tiles = tiles.into_iter().map(|wire::Peak { side, bytes }| (side, bytes));
        Ok(Self::new(tiles.collect(), whole, kept, run)?)
    }
}

impl From<facts::UpscalerFacts> for wire::UpscalerFacts {
    fn from(facts: facts::UpscalerFacts) -> Self {
        let facts::UpscalerFacts { name, scale, radius, multiple } = facts;
        Self { name, scale, radius, multiple }
    }
}

impl From<wire::UpscalerFacts> for facts::UpscalerFacts {
    /// Plain fields; [`ModelFacts::new`] checks them.
    fn from(message: wire::UpscalerFacts) -> Self {
        let wire::UpscalerFacts { name, scale, radius, multiple } = message;
        Self { name, scale, radius, multiple }
    }
}
