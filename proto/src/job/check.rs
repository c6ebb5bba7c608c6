//! The bounds of a job's fields that need no model: a draft in, the first fault out.

use std::fmt;

use super::{Choice, Draft, Goal, Size, Target, Upscaler, VaeMode};
use crate::{facts, limits};

/// Pixel sizes must be multiples of this: one latent px of Stable Diffusion's VAE.
pub(super) const PX_MULTIPLE: u32 = 8;

/// A field of a job that is out of its bounds.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A side of the base or hires picture that is 0, too long or no multiple of 8.
    #[error(
        "{field} is {value} px, must be a multiple of {PX_MULTIPLE} from {PX_MULTIPLE} to {max}: {advice}"
    )]
    Side {
        /// The side.
        field: &'static str,
        /// Value received, px.
        value: u32,
        /// Longest side allowed, px.
        max: u32,
        /// What to do.
        advice: Advice,
    },
    /// A whole number out of its range.
    #[error("{field} is {value}, must be {min} to {max}")]
    Count {
        /// The field.
        field: &'static str,
        /// Value received.
        value: u32,
        /// Smallest value, inclusive.
        min: u32,
        /// Largest value, inclusive.
        max: u32,
    },
    /// A real number out of its range.
    #[error("{field} is {value}, must be {min} to {max}")]
    Real {
        /// The field.
        field: &'static str,
        /// Value received.
        value: f64,
        /// Smallest value, inclusive.
        min: f64,
        /// Largest value, inclusive.
        max: f64,
    },
    /// The overlap leaves no room to move on.
    #[error("tile overlap is {overlap} latent px, must be smaller than the tile, which is {tile} latent px")]
    Overlap {
        /// Overlap received, latent px.
        overlap: u32,
        /// Shorter side of the tile, latent px.
        tile: u32,
    },
    /// More text than we take.
    #[error("{field} has {bytes} bytes, at most {} are allowed", limits::PROMPT)]
    Text {
        /// The field.
        field: &'static str,
        /// Bytes received.
        bytes: usize,
    },
    /// A picture file that is too large to send.
    #[error(
        "the image file has {bytes} bytes, at most {} are allowed: save it as JPEG, or smaller",
        limits::IMAGE_FILE
    )]
    ImageFile {
        /// Bytes received.
        bytes: usize,
    },
    /// A latent file that is too large to send.
    #[error(
        "the latent file has {bytes} bytes, at most {} are allowed: save it as float16",
        limits::IMAGE_FILE
    )]
    LatentFile {
        /// Bytes received.
        bytes: usize,
    },
    /// A picture to encode that is not there.
    #[error("there is no image to encode")]
    NothingToEncode,
    /// A latent to decode and a picture as well.
    #[error("a latent and an image exclude each other: decode the one, encode the other")]
    LatentWithImage,
    /// A picture to start from and a size for the base picture that it replaces.
    #[error("a base size and an image exclude each other: the image is the base picture")]
    BaseWithImage,
    /// A choice that only one mode has.
    #[error("--vae-color-fix belongs to --vae fast: {mode} has no estimate that it would mend")]
    ColorFix {
        /// The mode received.
        mode: &'static str,
    },
    /// A user's name that cannot be shown.
    #[error("user {name:?} must be at most {} bytes without control characters", facts::MAX_NAME_BYTES)]
    User {
        /// The name received, shortened to 64 characters.
        name: String,
    },
    /// A text that names no upscaling network on any system.
    #[error(
        "upscaler name {name:?} must be 1 to {} bytes without control characters, / and \\: name a network of the \
         model's upscalers/ without its path and ending",
        facts::MAX_NAME_BYTES
    )]
    NetworkName {
        /// The name received, shortened to 64 characters.
        name: String,
    },
}

/// What to do about a picture side out of its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// One value that would do.
    Use(u32),
    /// The values on both sides that would do.
    UseEither(u32, u32),
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Use(px) => write!(f, "use {px}"),
            Self::UseEither(below, above) => write!(f, "use {below} or {above}"),
        }
    }
}

/// Judges each field in the order in which users meet them.
pub(super) fn draft(draft: &Draft) -> Result<(), Error> {
    text("prompt", &draft.prompt)?;
    text("negative prompt", &draft.negative_prompt)?;
    goal(draft)?;
    picture(draft)?;
    count("steps", draft.steps, 1, 1000)?;
    count("hires steps", draft.hires_steps.unwrap_or(1), 1, 1000)?;
    real("cfg scale", draft.cfg_scale, 0.0, 100.0)?;
    real("denoising strength", draft.denoising_strength, 0.01, 1.0)?;
    user(&draft.user)?;
    upscaler(draft)?;
    tiles(draft)
}

fn user(name: &str) -> Result<(), Error> {
    if facts::MAX_NAME_BYTES < name.len() || name.chars().any(char::is_control) {
        return Err(Error::User { name: name.chars().take(64).collect() });
    }
    Ok(())
}

fn upscaler(draft: &Draft) -> Result<(), Error> {
    if let Upscaler::Network(name) = &draft.upscaler
        && !facts::is_network_name(name)
    {
        return Err(Error::NetworkName { name: name.chars().take(64).collect() });
    }
    // Below 64 the ramp of 32 px between two tiles would leave them no middle; 0 is no tile at all.
    match draft.upscale_tile {
        None | Some(0) => Ok(()),
        Some(tile) => count("upscale tile", tile, 64, 4096),
    }
}

fn goal(draft: &Draft) -> Result<(), Error> {
    match &draft.goal {
        Goal::Decode(latent) if limits::IMAGE_FILE < latent.len() => {
            Err(Error::LatentFile { bytes: latent.len() })
        }
        Goal::Decode(_) if draft.image.is_some() => Err(Error::LatentWithImage),
        Goal::Encode(_) if draft.image.is_none() => Err(Error::NothingToEncode),
        _ => Ok(()),
    }
}

fn picture(draft: &Draft) -> Result<(), Error> {
    if let Some(image) = &draft.image {
        if draft.base.is_some() {
            return Err(Error::BaseWithImage);
        }
        if limits::IMAGE_FILE < image.len() {
            return Err(Error::ImageFile { bytes: image.len() });
        }
    }
    if let Some(Size { width, height }) = draft.base {
        side("width", width)?;
        side("height", height)?;
    }
    match draft.target {
        Target::Scale(scale) => real("scale", scale, 1.0, 16.0),
        Target::Size(Size { width, height: 0 }) => side("hires width", width),
        Target::Size(Size { width: 0, height }) => side("hires height", height),
        Target::Size(Size { width, height }) => {
            side("hires width", width)?;
            side("hires height", height)
        }
    }
}

fn tiles(draft: &Draft) -> Result<(), Error> {
    if let Some(Size { width, height }) = draft.tile {
        count("tile width", width, 8, 1024)?;
        count("tile height", height, 8, 1024)?;
        if let Some(overlap) = draft.overlap
            && width.min(height) <= overlap
        {
            return Err(Error::Overlap { overlap, tile: width.min(height) });
        }
    }
    if draft.vae_color_fix && draft.vae != VaeMode::Fast {
        return Err(Error::ColorFix { mode: draft.vae.name() });
    }
    count("tile overlap", draft.overlap.unwrap_or(0), 0, 1023)?;
    count("tile batch", draft.tile_batch, 1, 64)?;
    count("vae tile", draft.vae_tile.unwrap_or(64), 16, 512)?;
    count("vae encode tile", draft.vae_encode_tile.unwrap_or(512), 128, 4096)?;
    count("vae memory", draft.vae_memory.unwrap_or(2048), 64, 1 << 20)
}

fn side(field: &'static str, value: u32) -> Result<(), Error> {
    let fits = (PX_MULTIPLE..=limits::SIDE).contains(&value);
    if fits && value.is_multiple_of(PX_MULTIPLE) {
        return Ok(());
    }
    let advice = if value < PX_MULTIPLE {
        Advice::Use(PX_MULTIPLE)
    } else if limits::SIDE < value {
        Advice::Use(limits::SIDE)
    } else {
        let below = value / PX_MULTIPLE * PX_MULTIPLE;
        Advice::UseEither(below, below + PX_MULTIPLE)
    };
    Err(Error::Side { field, value, max: limits::SIDE, advice })
}

fn count(field: &'static str, value: u32, min: u32, max: u32) -> Result<(), Error> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(Error::Count { field, value, min, max }) }
}

fn real(field: &'static str, value: f64, min: f64, max: f64) -> Result<(), Error> {
    // NaN lies in no range.
    if (min..=max).contains(&value) { Ok(()) } else { Err(Error::Real { field, value, min, max }) }
}

fn text(field: &'static str, text: &str) -> Result<(), Error> {
    if limits::PROMPT < text.len() { Err(Error::Text { field, bytes: text.len() }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::JobSpec;

    fn refusal(change: impl FnOnce(&mut Draft)) -> String {
        let mut draft = Draft::text_to_image("a cat");
        change(&mut draft);
        JobSpec::new(draft).unwrap_err().to_string()
    }

    fn base(width: u32) -> impl FnOnce(&mut Draft) {
        move |draft| draft.base = Some(Size { width, height: 512 })
    }

    #[test]
    fn sides_say_what_would_do() {
        let bounds = "must be a multiple of 8 from 8 to 16384";
        assert_eq!(refusal(base(0)), format!("width is 0 px, {bounds}: use 8"));
        assert_eq!(refusal(base(511)), format!("width is 511 px, {bounds}: use 504 or 512"));
        assert_eq!(refusal(base(100_000)), format!("width is 100000 px, {bounds}: use 16384"));
    }

    #[test]
    fn numbers_name_their_range() {
        assert_eq!(
            refusal(|job| job.denoising_strength = 1.5),
            "denoising strength is 1.5, must be 0.01 to 1"
        );
        assert_eq!(refusal(|job| job.cfg_scale = f64::NAN), "cfg scale is NaN, must be 0 to 100");
        assert_eq!(refusal(|job| job.steps = 0), "steps is 0, must be 1 to 1000");
    }

    #[test]
    fn an_overlap_as_wide_as_the_tile_is_refused() {
        let message = refusal(|job| {
            job.tile = Some(Size { width: 32, height: 24 });
            job.overlap = Some(24);
        });
        assert_eq!(
            message,
            "tile overlap is 24 latent px, must be smaller than the tile, which is 24 latent px"
        );
    }

    #[test]
    fn a_network_is_named_never_a_path() {
        let named = |name: &str| refusal(|job| job.upscaler = Upscaler::Network(name.to_owned()));
        assert!(named("../x").starts_with("upscaler name \"../x\" must be 1 to 255 bytes"));
        assert!(named("").contains("without its path"));
        assert_eq!(refusal(|job| job.upscale_tile = Some(63)), "upscale tile is 63, must be 64 to 4096");
        let mut whole = Draft::text_to_image("a cat");
        whole.upscale_tile = Some(0);
        assert!(JobSpec::new(whole).is_ok());
    }

    #[test]
    fn a_goal_has_what_it_starts_from() {
        let refusal = |draft: Draft| JobSpec::new(draft).unwrap_err().to_string();
        let encode = Draft::encode(Bytes::from_static(b"png"), super::super::Posterior::Mean);
        assert!(JobSpec::new(encode.clone()).is_ok());
        assert_eq!(refusal(Draft { image: None, ..encode.clone() }), "there is no image to encode");
        let decode = Draft::decode(Bytes::from_static(b"latent"));
        assert!(JobSpec::new(decode.clone()).is_ok());
        let both = refusal(Draft { image: encode.image, ..decode });
        assert_eq!(both, "a latent and an image exclude each other: decode the one, encode the other");
        let large = Draft::decode(vec![0; limits::IMAGE_FILE + 1]);
        assert!(refusal(large).contains("at most 100663296 are allowed"));
    }

    #[test]
    fn an_image_replaces_the_base_size() {
        let message = refusal(|job| {
            job.image = Some(Bytes::from_static(b"png"));
            job.base = Some(Size { width: 64, height: 64 });
        });
        assert_eq!(message, "a base size and an image exclude each other: the image is the base picture");
    }
}
