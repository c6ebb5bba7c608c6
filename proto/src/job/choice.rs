//! The named choices of a job (sampler, schedule, …): a spelling in, an enum out, and back.

use std::fmt;

mod unknown;

use unknown::folded;
pub use unknown::{Unknown, nearest};

/// A closed set of named options, one of which a job picks.
pub trait Choice: Copy + PartialEq + 'static {
    /// What is chosen, as an error names it: "sampler".
    const WHAT: &'static str;
    /// Every option, in the order in which help lists them.
    const ALL: &'static [Self];

    /// Our own spelling, lower case with dashes.
    fn name(self) -> &'static str;

    /// The spelling that AUTOMATIC1111 shows and writes into its metadata.
    fn a1111_name(self) -> &'static str;

    /// Further spellings that are accepted, compared without regard to case.
    fn aliases(self) -> &'static [&'static str] {
        &[]
    }

    /// Finds the option that `text` spells; case, spaces, dashes and underscores do not matter.
    ///
    /// # Errors
    /// No option is spelt so; the error suggests the nearest.
    fn parse(text: &str) -> Result<Self, Unknown> {
        let wanted = folded(text);
        let spelt = |option: &Self| {
            let option = *option;
            folded(option.name()) == wanted
                || folded(option.a1111_name()) == wanted
                || option.aliases().iter().any(|alias| folded(alias) == wanted)
        };
        Self::ALL.iter().copied().find(spelt).ok_or_else(|| Unknown::among(text, Self::WHAT, names::<Self>()))
    }
}

/// The method that steps the latent from one noise level to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sampler {
    /// Euler, k-diffusion's `sample_euler`.
    Euler,
    /// Euler ancestral with eta 1, k-diffusion's `sample_euler_ancestral`.
    EulerA,
    /// Heun's second-order method, two model calls a step, k-diffusion's `sample_heun`.
    Heun,
    /// DPM-Solver++(2M), k-diffusion's `sample_dpmpp_2m`.
    DpmPp2M,
    /// DDIM with eta 0 on its own evenly spaced integer timesteps.
    Ddim,
}

/// How noise levels are spread over the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Schedule {
    /// Evenly spaced timesteps ("uniform").
    Normal,
    /// Karras et al. 2022, rho 7.
    Karras,
    /// Evenly spaced in log sigma.
    Exponential,
}

/// Where normal random numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rng {
    /// torch's generator on a CPU: MT19937 and its Box–Muller order.
    Cpu,
    /// Philox 4x32-10, as A1111's "NV" source and stable-diffusion.cpp draw them.
    Nv,
}

/// What "steps" and "denoising strength" mean together in the hires pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StrengthSteps {
    /// A1111's hires fix: always that many steps, from a longer schedule.
    A1111,
    /// diffusers' image-to-image: the last `steps * strength` of the schedule.
    Diffusers,
}

/// How the base picture or latent is enlarged without a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpscaleFilter {
    /// Picture space: decode, Lanczos, encode.
    Lanczos,
    /// Latent space, bilinear.
    Latent,
    /// Latent space, bilinear with antialiasing.
    LatentAntialiased,
    /// Latent space, bicubic.
    LatentBicubic,
    /// Latent space, bicubic with antialiasing.
    LatentBicubicAntialiased,
    /// Latent space, nearest as torch's `nearest`.
    LatentNearest,
    /// Latent space, nearest as torch's `nearest-exact`.
    LatentNearestExact,
}

/// How the VAE is cut into tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VaeMode {
    /// Tiles that share the statistics of the whole picture: the untiled decode, to rounding error.
    Exact,
    /// Tiles that share statistics estimated from a smaller picture: one run of each.
    Fast,
    /// Overlapping tiles, blended by a linear ramp.
    Blend,
    /// The whole picture in one call.
    Off,
}

/// How overlapping tiles of the denoising pass are weighed against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TileMethod {
    /// MultiDiffusion (Bar-Tal et al. 2023): every tile counts the same.
    MultiDiffusion,
    /// Mixture of Diffusers (Jiménez 2023): Gaussian weights, highest in a tile's middle.
    Mixture,
}

/// How tiles are placed along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TileGrid {
    /// Evenly spread; the overlap is a minimum (Tiled Diffusion).
    Spread,
    /// A fixed stride of tile - overlap, the last tile flush with the edge (diffusers' panorama).
    Stride,
}

// === impl Choice ===

impl Choice for Sampler {
    const WHAT: &'static str = "sampler";
    const ALL: &'static [Self] = &[Self::Euler, Self::EulerA, Self::Heun, Self::DpmPp2M, Self::Ddim];

    fn name(self) -> &'static str {
        match self {
            Self::Euler => "euler",
            Self::EulerA => "euler-a",
            Self::Heun => "heun",
            Self::DpmPp2M => "dpmpp-2m",
            Self::Ddim => "ddim",
        }
    }

    fn a1111_name(self) -> &'static str {
        match self {
            Self::Euler => "Euler",
            Self::EulerA => "Euler a",
            Self::Heun => "Heun",
            Self::DpmPp2M => "DPM++ 2M",
            Self::Ddim => "DDIM",
        }
    }

    fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Euler => &["k_euler"],
            Self::EulerA => &["k_euler_a", "euler_ancestral", "k_euler_ancestral"],
            Self::Heun => &["k_heun"],
            Self::DpmPp2M => &["k_dpmpp_2m"],
            Self::Ddim => &[],
        }
    }
}

impl Choice for Schedule {
    const WHAT: &'static str = "schedule";
    const ALL: &'static [Self] = &[Self::Normal, Self::Karras, Self::Exponential];

    fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Karras => "karras",
            Self::Exponential => "exponential",
        }
    }

    fn a1111_name(self) -> &'static str {
        match self {
            Self::Normal => "Uniform",
            Self::Karras => "Karras",
            Self::Exponential => "Exponential",
        }
    }
}

impl Choice for Rng {
    const WHAT: &'static str = "noise source";
    const ALL: &'static [Self] = &[Self::Cpu, Self::Nv];

    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Nv => "nv",
        }
    }

    fn a1111_name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Nv => "NV",
        }
    }
}

impl Choice for StrengthSteps {
    const WHAT: &'static str = "meaning of strength and steps";
    const ALL: &'static [Self] = &[Self::A1111, Self::Diffusers];

    fn name(self) -> &'static str {
        match self {
            Self::A1111 => "a1111",
            Self::Diffusers => "diffusers",
        }
    }

    fn a1111_name(self) -> &'static str {
        self.name()
    }
}

impl Choice for UpscaleFilter {
    const WHAT: &'static str = "upscaler";
    const ALL: &'static [Self] = &[
        Self::Lanczos,
        Self::Latent,
        Self::LatentAntialiased,
        Self::LatentBicubic,
        Self::LatentBicubicAntialiased,
        Self::LatentNearest,
        Self::LatentNearestExact,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Lanczos => "lanczos",
            Self::Latent => "latent",
            Self::LatentAntialiased => "latent-antialiased",
            Self::LatentBicubic => "latent-bicubic",
            Self::LatentBicubicAntialiased => "latent-bicubic-antialiased",
            Self::LatentNearest => "latent-nearest",
            Self::LatentNearestExact => "latent-nearest-exact",
        }
    }

    fn a1111_name(self) -> &'static str {
        match self {
            Self::Lanczos => "Lanczos",
            Self::Latent => "Latent",
            Self::LatentAntialiased => "Latent (antialiased)",
            Self::LatentBicubic => "Latent (bicubic)",
            Self::LatentBicubicAntialiased => "Latent (bicubic antialiased)",
            Self::LatentNearest => "Latent (nearest)",
            Self::LatentNearestExact => "Latent (nearest-exact)",
        }
    }

    fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Latent => &["latent-bilinear"],
            Self::LatentAntialiased => &["latent-bilinear-antialiased"],
            _ => &[],
        }
    }
}

impl Choice for VaeMode {
    const WHAT: &'static str = "VAE mode";
    const ALL: &'static [Self] = &[Self::Exact, Self::Fast, Self::Blend, Self::Off];

    fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Fast => "fast",
            Self::Blend => "blend",
            Self::Off => "off",
        }
    }

    fn a1111_name(self) -> &'static str {
        self.name()
    }
}

impl Choice for TileMethod {
    const WHAT: &'static str = "tile method";
    const ALL: &'static [Self] = &[Self::MultiDiffusion, Self::Mixture];

    fn name(self) -> &'static str {
        match self {
            Self::MultiDiffusion => "multidiffusion",
            Self::Mixture => "mixture",
        }
    }

    fn a1111_name(self) -> &'static str {
        match self {
            Self::MultiDiffusion => "MultiDiffusion",
            Self::Mixture => "Mixture of Diffusers",
        }
    }
}

impl Choice for TileGrid {
    const WHAT: &'static str = "tile grid";
    const ALL: &'static [Self] = &[Self::Spread, Self::Stride];

    fn name(self) -> &'static str {
        match self {
            Self::Spread => "spread",
            Self::Stride => "stride",
        }
    }

    fn a1111_name(self) -> &'static str {
        self.name()
    }
}

// === impl Sampler ===

impl Sampler {
    /// Reads a sampler as A1111 users write it, where the schedule may be part of the name ("DPM++ 2M Karras").
    ///
    /// # Errors
    /// No sampler is spelt so, with or without a schedule behind it.
    pub fn parse_with_schedule(text: &str) -> Result<(Self, Option<Schedule>), Unknown> {
        let whole = match Self::parse(text) {
            Ok(sampler) => return Ok((sampler, None)),
            Err(unknown) => unknown,
        };
        let Some((head, tail)) = text.trim().rsplit_once([' ', '-', '_']) else {
            return Err(whole);
        };
        match (Self::parse(head), Schedule::parse(tail)) {
            (Ok(sampler), Ok(schedule)) => Ok((sampler, Some(schedule))),
            _ => Err(whole),
        }
    }
}

// === impl UpscaleFilter ===

impl UpscaleFilter {
    /// Whether the enlarging happens on the latent, with no trip through the VAE.
    #[must_use]
    pub const fn is_latent(self) -> bool {
        !matches!(self, Self::Lanczos)
    }
}

/// The spellings of all options of `T`, for help and errors.
#[must_use]
pub fn names<T: Choice>() -> Vec<String> {
    T::ALL.iter().map(|option| option.name().to_owned()).collect()
}

macro_rules! by_name {
    ($($choice:ty),+ $(,)?) => {$(
        impl serde::Serialize for $choice {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl fmt::Display for $choice {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    )+};
}

by_name!(Sampler, Schedule, Rng, StrengthSteps, UpscaleFilter, VaeMode, TileMethod, TileGrid);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_and_a1111_spellings_are_read() {
        assert_eq!(Sampler::parse("Euler a"), Ok(Sampler::EulerA));
        assert_eq!(Sampler::parse("DPM++ 2M"), Ok(Sampler::DpmPp2M));
        assert_eq!(UpscaleFilter::parse("Latent (nearest-exact)"), Ok(UpscaleFilter::LatentNearestExact));
        assert_eq!(
            Sampler::parse_with_schedule("DPM++ 2M Karras"),
            Ok((Sampler::DpmPp2M, Some(Schedule::Karras)))
        );
        assert_eq!(Sampler::parse_with_schedule("ddim"), Ok((Sampler::Ddim, None)));
    }

    #[test]
    fn every_spelling_names_one_option_only() {
        for sampler in Sampler::ALL {
            assert_eq!(Sampler::parse(sampler.name()), Ok(*sampler));
            assert_eq!(Sampler::parse(sampler.a1111_name()), Ok(*sampler));
        }
        for upscaler in UpscaleFilter::ALL {
            assert_eq!(UpscaleFilter::parse(upscaler.name()), Ok(*upscaler));
            assert_eq!(UpscaleFilter::parse(upscaler.a1111_name()), Ok(*upscaler));
        }
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_one() {
        let error = Sampler::parse("eulr-a").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown sampler \"eulr-a\": did you mean \"euler-a\"? (known: euler, euler-a, heun, dpmpp-2m, ddim)"
        );
    }
}
