//! What a model folder says about itself: numbers read from its config files in, checked facts out.
//!
//! The worker fills a [`Draft`] from the folder; only a draft that passes [`ModelFacts::new`] travels on, so the
//! coordinator computes with facts it need not check again.

use std::ops::Deref;

use serde::Serialize;

/// Most bytes in the name of a model or of an upscaler: what a file name may have on every system we run on.
pub const MAX_NAME_BYTES: usize = 255;

/// Most upscalers that one folder may offer.
pub const MAX_UPSCALERS: usize = 256;

/// What the network predicts from a noisy latent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The noise, `x0 = x - sigma * eps`.
    Epsilon,
    /// Salimans & Ho's velocity (2022), diffusers' `v_prediction`.
    V,
}

/// How the noise variances of training were spread between `beta_start` and `beta_end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Evenly spaced betas.
    Linear,
    /// Evenly spaced square roots of beta, as Stable Diffusion was trained.
    ScaledLinear,
}

/// The facts of a model before they are checked; every field is readable on [`ModelFacts`] too.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Draft {
    /// What the model is called: the folder's name, 1 to [`MAX_NAME_BYTES`] bytes without control characters.
    pub name: String,
    /// BLAKE3 over the sorted file names and contents of the folder: equal hashes mean equal networks.
    pub hash: [u8; 32],
    /// Channels of a latent; 4 for Stable Diffusion 1.x.
    pub latent_channels: u32,
    /// Image px per latent px and side; 8 for Stable Diffusion 1.x.
    pub vae_scale: u32,
    /// The VAE's `scaling_factor`: encoded latents are multiplied by it, latents to decode divided.
    pub scaling_factor: f64,
    /// What the UNet predicts.
    pub prediction: Prediction,
    /// Side of the square the UNet was trained on, in latent px; 64 for Stable Diffusion 1.x.
    pub sample_size: u32,
    /// Width and height of a latent must be multiples of this, in latent px: 2 per level of the UNet below the first.
    pub latent_multiple: u32,
    /// Noise variance of the first training step, above 0.
    pub beta_start: f64,
    /// Noise variance of the last training step, below 1.
    pub beta_end: f64,
    /// How the variances between the two are spread.
    pub beta_schedule: BetaSchedule,
    /// Steps of the training schedule; 1000 for Stable Diffusion 1.x.
    pub num_train_timesteps: u32,
    /// Width of a prompt embedding: it has the shape `[1, 77 * chunks, embedding_width]`.
    pub embedding_width: u32,
    /// Whether the folder has a VAE encoder: without one, images cannot be an input, and upscaling stays in latents.
    pub encodes_images: bool,
    /// Names of the upscaling networks, sorted, without path and extension.
    pub upscalers: Vec<String>,
}

/// Checked facts of a model; reads like its [`Draft`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ModelFacts(Draft);

/// Why a draft holds no facts.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A whole number out of its range.
    #[error("model fact {field} is {value}, must be {min} to {max}")]
    Range {
        /// The field of [`Draft`].
        field: &'static str,
        /// The value received.
        value: u64,
        /// Smallest value, inclusive.
        min: u64,
        /// Largest value, inclusive.
        max: u64,
    },
    /// A real number that is not finite or out of its range.
    #[error("model fact {field} is {value}, must be above {above} and below {below}")]
    Real {
        /// The field of [`Draft`].
        field: &'static str,
        /// The value received.
        value: f64,
        /// Lower bound, exclusive.
        above: f64,
        /// Upper bound, exclusive.
        below: f64,
    },
    /// `beta_start` is larger than `beta_end`.
    #[error("model fact beta_start is {start}, must not be above beta_end, which is {end}")]
    BetaOrder {
        /// Noise variance of the first step.
        start: f64,
        /// Noise variance of the last step.
        end: f64,
    },
    /// A name that is empty, too long or holds control characters.
    #[error(
        "model fact {field} holds the name {name:?}, must be 1 to {MAX_NAME_BYTES} bytes without control characters"
    )]
    Name {
        /// The field of [`Draft`].
        field: &'static str,
        /// The name received, shortened to 64 characters.
        name: String,
    },
}

// === impl ModelFacts ===

impl ModelFacts {
    /// Checks every field of a draft.
    ///
    /// # Errors
    /// The first field that is out of its bounds, with the bound and the value.
    pub fn new(draft: Draft) -> Result<Self, Error> {
        check_name("name", &draft.name)?;
        check_range("latent_channels", draft.latent_channels, 1, 64)?;
        check_range("vae_scale", draft.vae_scale, 1, 64)?;
        check_range("sample_size", draft.sample_size, 1, 4096)?;
        check_range("latent_multiple", draft.latent_multiple, 1, 256)?;
        check_range("num_train_timesteps", draft.num_train_timesteps, 2, 100_000)?;
        check_range("embedding_width", draft.embedding_width, 1, 65_536)?;
        check_real("scaling_factor", draft.scaling_factor, 0.0, 1e6)?;
        check_real("beta_start", draft.beta_start, 0.0, 1.0)?;
        check_real("beta_end", draft.beta_end, 0.0, 1.0)?;
        if draft.beta_end < draft.beta_start {
            return Err(Error::BetaOrder { start: draft.beta_start, end: draft.beta_end });
        }
        let count = draft.upscalers.len();
        if MAX_UPSCALERS < count {
            let [value, max] = [count, MAX_UPSCALERS].map(|number| u64::try_from(number).unwrap_or(u64::MAX));
            return Err(Error::Range { field: "upscalers", value, min: 0, max });
        }
        for upscaler in &draft.upscalers {
            check_name("upscalers", upscaler)?;
        }
        Ok(Self(draft))
    }

    /// Facts like those of Stable Diffusion 1.5, for the simulated device; its hash is that of no folder.
    #[must_use]
    pub fn simulated() -> Self {
        let draft = Draft {
            name: "sim".to_owned(),
            hash: [0; 32],
            latent_channels: 4,
            vae_scale: 8,
            scaling_factor: 0.18215,
            prediction: Prediction::Epsilon,
            sample_size: 64,
            latent_multiple: 8,
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
            num_train_timesteps: 1000,
            embedding_width: 768,
            encodes_images: true,
            upscalers: Vec::new(),
        };
        Self::new(draft).expect("the published numbers of Stable Diffusion 1.5 are in bounds")
    }

    /// The first 10 hex digits of the hash, the length that A1111 shows as "Model hash".
    #[must_use]
    pub fn short_hash(&self) -> String {
        self.0.hash.iter().take(5).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Gives the plain fields back, to put them on the wire.
    #[must_use]
    pub fn into_draft(self) -> Draft {
        self.0
    }
}

impl Deref for ModelFacts {
    type Target = Draft;

    fn deref(&self) -> &Draft {
        &self.0
    }
}

fn check_range(field: &'static str, value: u32, min: u64, max: u64) -> Result<(), Error> {
    let value = u64::from(value);
    if value < min || max < value {
        return Err(Error::Range { field, value, min, max });
    }
    Ok(())
}

fn check_real(field: &'static str, value: f64, above: f64, below: f64) -> Result<(), Error> {
    // Written so that NaN, which compares with nothing, is refused as well.
    if above < value && value < below { Ok(()) } else { Err(Error::Real { field, value, above, below }) }
}

fn check_name(field: &'static str, name: &str) -> Result<(), Error> {
    if name.is_empty() || MAX_NAME_BYTES < name.len() || name.chars().any(char::is_control) {
        return Err(Error::Name { field, name: name.chars().take(64).collect() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl Fn(&mut Draft)) -> String {
        let mut draft = ModelFacts::simulated().into_draft();
        change(&mut draft);
        ModelFacts::new(draft).unwrap_err().to_string()
    }

    #[test]
    fn simulated_facts_are_those_of_stable_diffusion_1_5() {
        let facts = ModelFacts::simulated();
        assert_eq!((facts.latent_channels, facts.vae_scale, facts.sample_size), (4, 8, 64));
        assert_eq!(facts.short_hash(), "0000000000");
        assert_eq!(ModelFacts::new(facts.clone().into_draft()), Ok(facts));
    }

    #[test]
    fn each_bound_is_named() {
        assert_eq!(
            refusal(|draft| draft.latent_channels = 0),
            "model fact latent_channels is 0, must be 1 to 64"
        );
        assert_eq!(
            refusal(|draft| draft.scaling_factor = f64::NAN),
            "model fact scaling_factor is NaN, must be above 0 and below 1000000"
        );
        assert_eq!(
            refusal(|draft| draft.beta_start = 0.5),
            "model fact beta_start is 0.5, must not be above beta_end, which is 0.012"
        );
        assert!(refusal(|draft| draft.beta_end = 1.0).contains("beta_end is 1, must be above 0 and below 1"));
        assert!(refusal(|draft| draft.num_train_timesteps = u32::MAX).contains("2 to 100000"));
    }

    #[test]
    fn hostile_names_are_refused() {
        assert!(refusal(|draft| draft.name.clear()).contains("name"));
        assert!(refusal(|draft| draft.name = "a\nb".to_owned()).contains(r#""a\nb""#));
        assert!(refusal(|draft| draft.upscalers = vec!["x".repeat(256)]).contains("upscalers"));
        assert!(refusal(|draft| draft.upscalers = vec!["x".to_owned(); 257]).contains("upscalers is 257"));
    }
}
