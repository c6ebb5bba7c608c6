//! Sizes of a job: what was asked for in; base, covering and target sizes out.
//!
//! A1111's hires fix (`processing.py`, SEMANTICS 2.5): a scale gives `int(side * scale)`; one side alone keeps the aspect
//! ratio; two sides of another ratio than the base are covered, and what is too much is cut off the latent, half on each
//! side.

use tessera_proto::{
    JobSpec, ModelFacts, Rect,
    job::{Size, Target},
    limits,
};

use super::Error;

/// All sizes of a job, px, multiples of the VAE's scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) base: Size,
    /// Whether the base is a given picture.
    pub(super) from_picture: bool,
    /// `None` = no hires pass.
    pub(super) hires: Option<Hires>,
}

/// Sizes of the hires pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hires {
    /// What the base is enlarged to, px: covers the target.
    pub(super) cover: Size,
    /// What of the enlarged latent is kept, latent px.
    pub(super) keep: Rect,
    /// The picture to make, px.
    pub(super) target: Size,
}

/// What a size is of, for messages.
#[derive(Debug, Clone, Copy)]
enum Role {
    Input,
    Latent,
    Target,
    Cover,
}

// === impl Role ===

impl Role {
    /// What it is called, and what to do when it is too large.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Input => ("input picture", "make it smaller first"),
            Self::Latent => ("picture of the latent", "decode it in parts"),
            Self::Target => ("target", "take a smaller scale"),
            Self::Cover => {
                ("input, enlarged to cover the target,", "take a target of a ratio nearer to the input's")
            }
        }
    }
}

// === impl Sizes ===

impl Sizes {
    /// Size of the finished picture, px.
    pub(super) const fn target(&self) -> Size {
        match self.hires {
            Some(hires) => hires.target,
            None => self.base,
        }
    }
}

/// Settles all sizes. `image` is the size of the given picture, px, any.
pub(super) fn resolve(
    spec: &JobSpec,
    facts: &ModelFacts,
    image: Option<Size>,
    notes: &mut Vec<String>,
) -> Result<Sizes, Error> {
    let unit = facts.vae_scale;
    let native = facts.sample_size * unit;
    let given = image.or(spec.base).unwrap_or(Size { width: native, height: native });
    let base = input(given, facts, notes)?;
    let (cover, target) = cover_and_target(spec.target, given, notes, unit)?;
    // Text to image at scale 1 is the base pass alone; a given picture is always denoised.
    let hires = (image.is_some() || target != base).then(|| {
        let lead = |cover: u32, target: u32| (cover - target) / unit / 2;
        let (x0, y0) = (lead(cover.width, target.width), lead(cover.height, target.height));
        let keep = Rect::new(x0, y0, x0 + target.width / unit, y0 + target.height / unit);
        Hires { cover, keep: keep.expect("a target has at least one latent px a side"), target }
    });
    Ok(Sizes { base, from_picture: image.is_some(), hires })
}

/// The size that an input picture of size `given` is resized to, px.
pub(super) fn input(given: Size, facts: &ModelFacts, notes: &mut Vec<String>) -> Result<Size, Error> {
    let unit = facts.vae_scale;
    let input = rounded(Role::Input, wide(given), unit)?;
    if input != given {
        notes.push(format!(
            "the input is {}x{} px, resized to {}x{} px: sides must be multiples of {unit}",
            given.width, given.height, input.width, input.height
        ));
    }
    Ok(input)
}

/// The size of the picture, px, that a latent of `size` latent px becomes.
pub(super) fn of_latent(size: Size, facts: &ModelFacts) -> Result<Size, Error> {
    let unit = facts.vae_scale;
    let side = |length: u32| u64::from(length) * u64::from(unit);
    rounded(Role::Latent, (side(size.width), side(size.height)), unit)
}

fn cover_and_target(
    target: Target,
    base: Size,
    notes: &mut Vec<String>,
    unit: u32,
) -> Result<(Size, Size), Error> {
    let (width, height) = wide(base);
    match target {
        Target::Scale(scale) => {
            let wanted = (scaled(width, scale), scaled(height, scale));
            let target = rounded(Role::Target, wanted, unit)?;
            if wide(target) != wanted {
                notes.push(format!(
                    "{scale} times the base is {}x{} px, rounded down to {}x{} px: sides must be multiples of {unit}",
                    wanted.0, wanted.1, target.width, target.height
                ));
            }
            Ok((target, target))
        }
        Target::Size(Size { width: x, height: 0 }) => {
            let target = rounded(Role::Target, (x.into(), u64::from(x) * height / width), unit)?;
            Ok((target, target))
        }
        Target::Size(Size { width: 0, height: y }) => {
            let target = rounded(Role::Target, (u64::from(y) * width / height, y.into()), unit)?;
            Ok((target, target))
        }
        Target::Size(size) => {
            let target = rounded(Role::Target, wide(size), unit)?;
            let (x, y) = wide(size);
            // Which side of the base is too short for the target's ratio decides which one is met exactly.
            let cover =
                if width * y < x * height { (x, x * height / width) } else { (y * width / height, y) };
            let cover = rounded(Role::Cover, cover, unit)?;
            let cover =
                Size { width: cover.width.max(target.width), height: cover.height.max(target.height) };
            Ok((cover, target))
        }
    }
}

const fn wide(size: Size) -> (u64, u64) {
    (size.width as u64, size.height as u64)
}

/// `int(side * scale)`, as A1111 computes it in f64.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a side is below 2^32 and a checked scale between 1 and 16; dropping the fraction is the rule"
)]
fn scaled(side: u64, scale: f64) -> u64 {
    (side as f64 * scale) as u64
}

/// Rounds both sides down to multiples of `unit` and checks the bounds.
fn rounded(role: Role, (width, height): (u64, u64), unit: u32) -> Result<Size, Error> {
    let (what, advice) = role.words();
    let down = |side: u64| side / u64::from(unit) * u64::from(unit);
    let (w, h) = (down(width), down(height));
    if w == 0 || h == 0 {
        return Err(Error::TargetSmall { what, width, height });
    }
    let side = |side: u64| u32::try_from(side).ok().filter(|&side| side <= limits::SIDE);
    match (side(w), side(h)) {
        (Some(width), Some(height)) => Ok(Size { width, height }),
        _ => Err(Error::Target { what, advice, width, height }),
    }
}
