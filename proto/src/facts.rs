//! What a model folder says about itself: numbers read from its config files in, checked facts out.
//!
//! The worker fills a [`Draft`] from the folder; only a draft that passes [`ModelFacts::new`] travels on, so the
//! coordinator computes with facts it need not check again.

mod peaks;

use std::ops::Deref;

use serde::Serialize;

use crate::job::Unknown;

pub use peaks::Peaks;

/// Most bytes in the name of a model or of an upscaler: what a file name may have on every system we run on.
pub const MAX_NAME_BYTES: usize = 255;

/// Most upscalers that one folder may offer.
pub const MAX_UPSCALERS: usize = 256;

/// Largest factor of an upscaling network; published ones have up to 8.
pub const MAX_UPSCALE: u32 = 16;

/// Largest radius of an upscaling network, px: no picture is larger.
pub const MAX_RADIUS: u32 = crate::limits::SIDE;

/// Largest multiple that an upscaling network may want its pictures' sides to be of, px.
pub const MAX_MULTIPLE: u32 = 64;

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

/// Normalisations behind the attention of Stable Diffusion 1.5's decoder, and so of the simulated one.
pub const SIMULATED_BARRIERS: u32 = 27;

/// Normalisations of Stable Diffusion 1.5's encoder before its pictures have the latent's resolution, and so of the
/// simulated one.
pub const SIMULATED_ENCODER_BARRIERS: u32 = 12;

/// Most barriers and widest halo that a network may claim.
const MAX_BARRIERS: u64 = 1000;

/// Most channels that tiles may hand over.
const MAX_CROSSING: u64 = 65_536;

/// Whether a VAE network can be cut at its normalisations, so that tiles share the statistics of the whole picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exactness {
    /// It can.
    Cut {
        /// Barriers that a tile passes: normalisations whose statistics are merged over all tiles.
        barriers: u32,
        /// How far a tile reaches beyond its core where its own part of the network begins, px of the network's input.
        halo: u32,
        /// Channels that tiles hand, at the result's resolution, to a last part that looks at the whole picture, as an
        /// encoder has it; 0: tiles go through to the result.
        crossing: u32,
        /// Barriers before the picture is first made smaller.
        prefix: u32,
        /// The memory that it takes.
        peaks: Box<Peaks>,
    },
    /// It cannot; one sentence says what was found.
    Refused(String),
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
    /// The upscaling networks, sorted by name.
    pub upscalers: Vec<UpscalerFacts>,
    /// How the decoder can be run in tiles that share their statistics.
    pub exact_decode: Exactness,
    /// How the encoder can be; of no meaning in a folder without one.
    pub exact_encode: Exactness,
}

/// What must be known of an upscaling network to cut a picture for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpscalerFacts {
    /// Its file's name without path and ending.
    pub name: String,
    /// The result's px per px of the picture, on each side: 2 to [`MAX_UPSCALE`].
    pub scale: u32,
    /// How far around a px of the picture its result depends on the picture, px, up to [`MAX_RADIUS`]; `None` = on all
    /// of it, or not known.
    pub radius: Option<u32>,
    /// Both sides of a picture, and the places of its tiles, must be multiples of this, px: 1 for most networks, 2 or
    /// 4 for those that first fold blocks of px into channels.
    pub multiple: u32,
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
        "model fact {field} holds the name {name:?}, must be 1 to {MAX_NAME_BYTES} bytes without control characters \
         and, for upscalers, without / and \\"
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
        for exactness in [&draft.exact_decode, &draft.exact_encode] {
            if let Exactness::Cut { barriers, halo, crossing, prefix, .. } = *exactness {
                check_range("exactness.barriers", barriers, 0, MAX_BARRIERS)?;
                check_range("exactness.halo", halo, 0, MAX_BARRIERS)?;
                check_range("exactness.crossing", crossing, 0, MAX_CROSSING)?;
                check_range("exactness.prefix", prefix, 0, barriers.into())?;
            }
        }
        let count = draft.upscalers.len();
        if MAX_UPSCALERS < count {
            let [value, max] = [count, MAX_UPSCALERS].map(|number| u64::try_from(number).unwrap_or(u64::MAX));
            return Err(Error::Range { field: "upscalers", value, min: 0, max });
        }
        draft.upscalers.iter().try_for_each(check_upscaler)?;
        Ok(Self(draft))
    }

    /// Facts like those of Stable Diffusion 1.5, for the simulated device; its hash is that of no folder.
    ///
    /// Of its two upscalers one has a radius and the other has not, so that both ways to cut a picture can be tried.
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
            upscalers: vec![
                UpscalerFacts { name: "sim-2x".to_owned(), scale: 2, radius: Some(8), multiple: 1 },
                UpscalerFacts { name: "sim-4x".to_owned(), scale: 4, radius: None, multiple: 4 },
            ],
            exact_decode: Exactness::Cut {
                barriers: SIMULATED_BARRIERS,
                halo: 0,
                crossing: 0,
                prefix: 0,
                peaks: Box::default(),
            },
            exact_encode: Exactness::Cut {
                barriers: SIMULATED_ENCODER_BARRIERS,
                halo: 0,
                crossing: 4,
                prefix: SIMULATED_ENCODER_BARRIERS / 3,
                peaks: Box::default(),
            },
        };
        Self::new(draft).expect("the published numbers of Stable Diffusion 1.5 are in bounds")
    }

    /// The upscaling network of this name.
    ///
    /// # Errors
    /// There is none; the error suggests the nearest of these names and `others`, the upscalers that are no networks.
    pub fn upscaler(&self, name: &str, others: Vec<String>) -> Result<&UpscalerFacts, Unknown> {
        let networks = || self.0.upscalers.iter();
        networks().find(|network| network.name == name).ok_or_else(|| {
            let known = others.into_iter().chain(networks().map(|network| network.name.clone()));
            Unknown::among(name, "upscaler", known.collect())
        })
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

fn check_upscaler(upscaler: &UpscalerFacts) -> Result<(), Error> {
    let UpscalerFacts { name, scale, radius, multiple } = upscaler;
    if !is_network_name(name) {
        return Err(Error::Name { field: "upscalers", name: name.chars().take(64).collect() });
    }
    check_range("upscalers.scale", *scale, 2, MAX_UPSCALE.into())?;
    check_range("upscalers.radius", radius.unwrap_or(0), 0, MAX_RADIUS.into())?;
    check_range("upscalers.multiple", *multiple, 1, MAX_MULTIPLE.into())
}

/// Whether a text may name an upscaling network: a file's name on every system, never a path.
#[must_use]
pub fn is_network_name(name: &str) -> bool {
    is_name(name) && !name.contains(['/', '\\'])
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control)
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
    if is_name(name) { Ok(()) } else { Err(Error::Name { field, name: name.chars().take(64).collect() }) }
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
        let named = |name: &str| UpscalerFacts { name: name.to_owned(), scale: 2, radius: None, multiple: 1 };
        assert!(refusal(|draft| draft.upscalers = vec![named(&"x".repeat(256))]).contains("upscalers"));
        assert!(refusal(|draft| draft.upscalers = vec![named("x"); 257]).contains("upscalers is 257"));
        for path in ["../x", "a\\b", "/etc/x.onnx"] {
            assert!(refusal(|draft| draft.upscalers = vec![named(path)]).contains("without / and"), "{path}");
        }
    }

    #[test]
    fn an_upscalers_numbers_are_bounded() {
        let facts = |scale, radius, multiple| {
            let upscaler = UpscalerFacts { name: "x".to_owned(), scale, radius, multiple };
            refusal(|draft| draft.upscalers = vec![upscaler.clone()])
        };
        assert_eq!(facts(1, None, 1), "model fact upscalers.scale is 1, must be 2 to 16");
        assert_eq!(facts(2, Some(16_385), 1), "model fact upscalers.radius is 16385, must be 0 to 16384");
        assert_eq!(facts(2, None, 0), "model fact upscalers.multiple is 0, must be 1 to 64");
    }

    #[test]
    fn an_unknown_upscaler_gets_the_nearest_of_all() {
        let facts = ModelFacts::simulated();
        assert_eq!(facts.upscaler("sim-2x", Vec::new()).unwrap().radius, Some(8));
        let unknown = |name| facts.upscaler(name, vec!["lanczos".to_owned()]).unwrap_err().to_string();
        assert_eq!(
            unknown("sim2y"),
            "unknown upscaler \"sim2y\": did you mean \"sim-2x\"? (known: lanczos, sim-2x, sim-4x)"
        );
        assert!(unknown("lanco").contains("did you mean \"lanczos\""));
    }
}
