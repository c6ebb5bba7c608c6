//! Named choices: enum numbers in, our enums out, and back.

use super::Error;
use crate::{Kind, facts, job, status, task, wire};

macro_rules! choice {
    ($field:literal, $domain:ty, $wire:ty { $($ours:ident <-> $theirs:ident),+ $(,)? }) => {
        impl From<$domain> for $wire {
            fn from(value: $domain) -> Self {
                match value {
                    $(<$domain>::$ours => Self::$theirs,)+
                }
            }
        }

        impl FromNumber for $domain {
            fn from_number(value: i32) -> Result<Self, Error> {
                match <$wire>::try_from(value) {
                    $(Ok(<$wire>::$theirs) => Ok(Self::$ours),)+
                    Ok(<$wire>::Unspecified) => Err(Error::Missing { field: $field }),
                    Err(_) => Err(Error::Unknown { field: $field, value }),
                }
            }
        }
    };
}

/// Reads one of our enums from the number that protobuf sends.
pub(super) trait FromNumber: Sized {
    /// # Errors
    /// The number is 0 (unspecified) or unknown to this contract.
    fn from_number(value: i32) -> Result<Self, Error>;
}

choice!("rng", job::Rng, wire::Rng { Cpu <-> Cpu, Nv <-> Nv });
choice!("sampler", job::Sampler, wire::Sampler {
    Euler <-> Euler, EulerA <-> EulerA, Heun <-> Heun, DpmPp2M <-> Dpmpp2m, Ddim <-> Ddim,
});
choice!("schedule", job::Schedule, wire::Schedule {
    Normal <-> Normal, Karras <-> Karras, Exponential <-> Exponential,
});
choice!("strength_steps", job::StrengthSteps, wire::StrengthSteps { A1111 <-> A1111, Diffusers <-> Diffusers });
choice!("upscaler", job::UpscaleFilter, wire::Upscaler {
    Lanczos <-> Lanczos,
    Latent <-> Latent,
    LatentAntialiased <-> LatentAntialiased,
    LatentBicubic <-> LatentBicubic,
    LatentBicubicAntialiased <-> LatentBicubicAntialiased,
    LatentNearest <-> LatentNearest,
    LatentNearestExact <-> LatentNearestExact,
});
choice!("tile_method", job::TileMethod, wire::TileMethod { MultiDiffusion <-> Multidiffusion, Mixture <-> Mixture });
choice!("tile_grid", job::TileGrid, wire::TileGrid { Spread <-> Spread, Stride <-> Stride });
choice!("vae", job::VaeMode, wire::VaeMode { Exact <-> Exact, Fast <-> Fast, Blend <-> Blend, Off <-> Off });
choice!("encode", job::Posterior, wire::Posterior { Mean <-> Mean, Sample <-> Sample });
choice!("priority", job::Urgency, wire::Urgency { Interactive <-> Interactive, Batch <-> Batch });
choice!("prediction", facts::Prediction, wire::Prediction { Epsilon <-> Epsilon, V <-> V });
choice!("beta_schedule", facts::BetaSchedule, wire::BetaSchedule { Linear <-> Linear, ScaledLinear <-> ScaledLinear });
choice!("artifact", status::Artifact, wire::Artifact {
    Picture <-> Picture, Dump <-> Dump, Report <-> Report, Latent <-> Latent, Trace <-> Trace,
});
choice!("state", status::JobState, wire::JobState {
    Waiting <-> Waiting, Running <-> Running, Done <-> Done, Failed <-> Failed, Cancelled <-> Cancelled,
});
choice!("stage", status::Stage, wire::Stage {
    Embed <-> Embed, Base <-> Base, Upscale <-> Upscale, Hires <-> Hires, Encode <-> Encode,
    Decode <-> Decode, Save <-> Save,
});
choice!("failure", status::FailureClass, wire::FailureClass { Request <-> Request, Cluster <-> Cluster });
choice!("part", task::Part, wire::VaePart {
    Decoder <-> Decoder, Encoder <-> Encoder, EncoderEnd <-> EncoderEnd,
});
choice!("kind", Kind, wire::TaskKind {
    Embed <-> Embed, Denoise <-> Denoise, Upscale <-> Upscale, Encode <-> Encode, Decode <-> Decode, Measure <-> Measure,
});
choice!("kind", task::FailureKind, wire::FailureKind {
    OutOfMemory <-> OutOfMemory,
    NotFinite <-> NotFinite,
    WrongShape <-> WrongShape,
    Unsupported <-> Unsupported,
    Engine <-> Engine,
    Withdrawn <-> Withdrawn, Damaged <-> Damaged,
});

impl TryFrom<wire::FetchRequest> for (crate::JobId, status::Artifact) {
    type Error = Error;

    fn try_from(message: wire::FetchRequest) -> Result<Self, Error> {
        let wire::FetchRequest { job, artifact } = message;
        Ok((job.parse()?, status::Artifact::from_number(artifact)?))
    }
}
