//! The settings files of a model folder in, its facts out.
//!
//! Where diffusers has one default for a field that older files lack, it is ours too; where its classes differ (noise
//! variances), the field must be there.

use tessera_proto::facts::{BetaSchedule, Draft, ModelFacts, Prediction};

use super::Error;
use super::config_file::ConfigFile;
use super::layout::Layout;
use super::stages::Stages;
use super::upscaler;
use crate::engine::{self, Network};
use crate::text::CHUNK;

/// diffusers' `AutoencoderKL` default, which early Stable Diffusion files leave out.
const SCALING_FACTOR: f64 = 0.18215;

/// diffusers' `AutoencoderKL` default.
const LATENT_CHANNELS: u32 = 4;

/// The default of all of diffusers' schedulers.
const TRAIN_TIMESTEPS: u32 = 1000;

/// Fields of the UNet that are null in Stable Diffusion 1.x: each adds an input or a condition that it lacks.
const FOREIGN_UNET: [&str; 5] = [
    "addition_embed_type",
    "class_embed_type",
    "encoder_hid_dim_type",
    "time_cond_proj_dim",
    "num_class_embeds",
];

/// What the settings files say.
#[derive(Debug)]
pub(super) struct Settings {
    /// How many token ids the text encoder knows.
    pub(super) vocab_size: u32,
    vae: Vae,
    unet: Unet,
    noise: Noise,
    embedding_width: u32,
}

#[derive(Debug)]
struct Vae {
    channels: u32,
    levels: usize,
    scaling_factor: f64,
}

#[derive(Debug)]
struct Unet {
    channels: u32,
    levels: usize,
    sample_size: u32,
    cross_attention: u32,
}

#[derive(Debug)]
struct Noise {
    prediction: Prediction,
    beta_start: f64,
    beta_end: f64,
    beta_schedule: BetaSchedule,
    timesteps: u32,
}

// === impl Settings ===

impl Settings {
    /// Reads all settings files and compares what they say about each other.
    ///
    /// # Errors
    /// A file or field is missing or wrong, or two contradict each other.
    pub(super) fn read(layout: &Layout) -> Result<Self, Error> {
        let text = layout.config("text_encoder/config.json")?;
        let (unet, vae) = (Unet::read(layout)?, Vae::read(layout)?);
        let embedding_width = text.whole("hidden_size")?;
        let disagree = |first, first_value, second, second_value| Error::Disagree {
            folder: layout.folder().to_owned(),
            first,
            first_value,
            second,
            second_value,
        };
        if unet.channels != vae.channels {
            let unet_field = "in_channels of unet/config.json";
            let vae_field = "latent_channels of vae_decoder/config.json";
            return Err(disagree(unet_field, unet.channels, vae_field, vae.channels));
        }
        if unet.cross_attention != embedding_width {
            let first = "cross_attention_dim of unet/config.json";
            let second = "hidden_size of text_encoder/config.json";
            return Err(disagree(first, unet.cross_attention, second, embedding_width));
        }
        if text
            .optional_whole("max_position_embeddings")?
            .is_some_and(|positions| positions as usize != CHUNK)
        {
            return Err(text.wrong("max_position_embeddings", "77, CLIP's length").into());
        }
        let vocab_size = text.whole("vocab_size")?;
        Ok(Self { vocab_size, vae, unet, noise: Noise::read(layout)?, embedding_width })
    }

    /// Puts the facts together and checks their bounds.
    ///
    /// # Errors
    /// One is out of its bounds, or an upscaler is none.
    pub(super) fn facts(
        &self,
        layout: &Layout,
        hash: [u8; 32],
        stages: &Stages,
    ) -> Result<ModelFacts, Error> {
        let mut upscalers = Vec::new();
        for (network, file) in layout.graphs() {
            if let Network::Upscaler(name) = network {
                upscalers.push(upscaler::facts(name, file)?);
            }
        }
        upscalers.sort_by(|a, b| a.name.cmp(&b.name));
        let name = layout
            .root()
            .file_name()
            .map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into());
        let draft = Draft {
            name,
            hash,
            latent_channels: self.vae.channels,
            vae_scale: doublings(self.vae.levels),
            scaling_factor: self.vae.scaling_factor,
            prediction: self.noise.prediction,
            sample_size: self.unet.sample_size,
            latent_multiple: doublings(self.unet.levels),
            beta_start: self.noise.beta_start,
            beta_end: self.noise.beta_end,
            beta_schedule: self.noise.beta_schedule,
            num_train_timesteps: self.noise.timesteps,
            embedding_width: self.embedding_width,
            encodes_images: layout.graphs().iter().any(|(network, _)| *network == Network::VaeEncoder),
            exact_decode: stages.exactness(engine::Vae::Decoder),
            exact_encode: stages.exactness(engine::Vae::Encoder),
            upscalers,
        };
        ModelFacts::new(draft).map_err(|source| Error::Facts { folder: layout.folder().to_owned(), source })
    }
}

// === impl Vae ===

impl Vae {
    fn read(layout: &Layout) -> Result<Self, Error> {
        let config = layout.config("vae_decoder/config.json")?;
        if config.optional_real("shift_factor")?.is_some_and(|shift| shift != 0.0) {
            return Err(config.wrong("shift_factor", "null: Stable Diffusion 1.x has none").into());
        }
        Ok(Self {
            channels: config.optional_whole("latent_channels")?.unwrap_or(LATENT_CHANNELS),
            levels: config.list_length("block_out_channels")?,
            scaling_factor: config.optional_real("scaling_factor")?.unwrap_or(SCALING_FACTOR),
        })
    }
}

// === impl Unet ===

impl Unet {
    fn read(layout: &Layout) -> Result<Self, Error> {
        let config = layout.config("unet/config.json")?;
        for field in FOREIGN_UNET {
            if config.get(field).is_some() {
                return Err(config.wrong(field, "null: only Stable Diffusion 1.x is supported").into());
            }
        }
        Ok(Self {
            channels: config.whole("in_channels")?,
            levels: config.list_length("block_out_channels")?,
            sample_size: square(&config)?,
            cross_attention: config.whole("cross_attention_dim")?,
        })
    }
}

// === impl Noise ===

impl Noise {
    fn read(layout: &Layout) -> Result<Self, Error> {
        let config = layout.config("scheduler/scheduler_config.json")?;
        let prediction = match config.optional_text("prediction_type")? {
            None | Some("epsilon") => Prediction::Epsilon,
            Some("v_prediction") => Prediction::V,
            Some(_) => {
                return Err(config.wrong("prediction_type", "\"epsilon\" or \"v_prediction\"").into());
            }
        };
        let beta_schedule = match config.text("beta_schedule")? {
            "linear" => BetaSchedule::Linear,
            "scaled_linear" => BetaSchedule::ScaledLinear,
            _ => {
                return Err(config.wrong("beta_schedule", "\"linear\" or \"scaled_linear\"").into());
            }
        };
        if config.get("trained_betas").is_some() {
            return Err(config.wrong("trained_betas", "null: single betas are not supported").into());
        }
        if config.get("rescale_betas_zero_snr").is_some_and(|value| value.as_bool() != Some(false)) {
            return Err(config
                .wrong("rescale_betas_zero_snr", "false: infinite noise is not supported")
                .into());
        }
        Ok(Self {
            prediction,
            beta_start: config.real("beta_start")?,
            beta_end: config.real("beta_end")?,
            beta_schedule,
            timesteps: config.optional_whole("num_train_timesteps")?.unwrap_or(TRAIN_TIMESTEPS),
        })
    }
}

/// The UNet's `sample_size`: a number, or a list of two equal ones.
fn square(config: &ConfigFile) -> Result<u32, Error> {
    const EXPECTED: &str = "a whole number or two equal ones, the latent's side at training";
    let side = |value: &serde_json::Value| value.as_u64().and_then(|side| u32::try_from(side).ok());
    let Some(value) = config.get("sample_size") else {
        return Err(config.missing("sample_size", EXPECTED).into());
    };
    let side = match value.as_array().map(Vec::as_slice) {
        None => side(value),
        Some([height, width]) if height == width => side(height),
        Some(_) => None,
    };
    side.ok_or_else(|| config.wrong("sample_size", EXPECTED).into())
}

/// How much smaller the lowest of `levels` levels is than the first: each halves both sides.
fn doublings(levels: usize) -> u32 {
    u32::try_from(levels)
        .ok()
        .and_then(|levels| 1_u32.checked_shl(levels.saturating_sub(1)))
        .unwrap_or(u32::MAX)
}
