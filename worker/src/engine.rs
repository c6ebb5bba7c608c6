//! Runs networks: named inputs in, tensors out. The only part of the worker that names ONNX Runtime's binding.
//!
//! Tasks see the [`Engine`] trait; behind it stand [`OnnxEngine`], which runs the graphs of a model folder, and
//! [`Simulated`], which makes results up.
//!
//! **Invariant: a result depends on the inputs of its call alone.** Engines keep networks between calls, never values.

pub mod device;
mod error;
mod finite;
pub mod library;
mod onnx;
mod simulated;
mod timed;

#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use tessera_proto::Tensor;

use crate::graph::GraphFacts;

pub use device::DeviceSpec;
pub use error::Error;
pub use finite::run_finite;
pub use library::Runtime;
pub use onnx::{OnnxEngine, Options};
pub use simulated::Simulated;
pub use timed::Timed;

/// A network of a model folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Network {
    /// Token ids to hidden states.
    TextEncoder,
    /// Noisy latents to predictions.
    Unet,
    /// Images to latent moments.
    VaeEncoder,
    /// Latents to images.
    VaeDecoder,
    /// A part of a VAE's network, between two normalisations.
    Stage {
        /// Of which network.
        of: Vae,
        /// Which one, from 0.
        index: usize,
    },
    /// Images to larger images; the name in the folder's `upscalers/`.
    Upscaler(String),
}

/// The networks of a VAE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vae {
    /// Images to latent moments.
    Encoder,
    /// Latents to images.
    Decoder,
}

/// An input of a network call.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// The name that the graph gives it.
    pub name: &'a str,
    /// What goes in.
    pub value: Value<'a>,
}

/// A value to put in; engines convert it to the type that the graph wants.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// Real numbers, for inputs of type f32 or f16.
    Tensor(&'a Tensor),
    /// Whole numbers in row-major order, for inputs of type i64 or i32.
    Ids {
        /// Rows and columns.
        shape: [usize; 2],
        /// The numbers, as many as rows times columns.
        ids: &'a [i64],
    },
    /// One number for the whole batch: a scalar where the graph wants one, else repeated for each item. Rounded to
    /// the nearest whole number where the graph wants whole numbers.
    PerItem {
        /// The number.
        value: f64,
        /// Items in the batch.
        count: usize,
    },
}

/// Runs networks on one device.
pub trait Engine: Send {
    /// What a network takes and gives, by name.
    ///
    /// # Errors
    /// There is no such network, or it cannot be loaded.
    fn facts(&mut self, network: &Network) -> Result<&GraphFacts, Error>;

    /// Runs a network and returns the outputs named in `outputs`, in that order.
    ///
    /// # Errors
    /// The network cannot be loaded, the inputs do not fit it, or the device fails. Values are not checked for NaN:
    /// that is the task's part, which knows what to do about it.
    fn run(
        &mut self,
        network: &Network,
        inputs: &[Named<'_>],
        outputs: &[&str],
    ) -> Result<Vec<Tensor>, Error>;

    /// The same with all computation in fp32, which has room for what overflows in fp16. `None`: the network computes so
    /// already.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    fn run_widened(
        &mut self,
        _network: &Network,
        _inputs: &[Named<'_>],
        _outputs: &[&str],
    ) -> Result<Option<Vec<Tensor>>, Error> {
        Ok(None)
    }

    /// What the last call should have taken and has not: a simulated device's time. Whoever runs the engine lets it pass
    /// before the results count.
    fn unspent(&self) -> Duration {
        Duration::ZERO
    }
}

// === impl Vae ===

impl Vae {
    /// The whole of it.
    #[must_use]
    pub const fn network(self) -> Network {
        match self {
            Self::Encoder => Network::VaeEncoder,
            Self::Decoder => Network::VaeDecoder,
        }
    }

    /// What it is called in sentences.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Decoder => "decoder",
        }
    }
}

// === impl Network ===

impl fmt::Display for Network {
    /// The name of the folder or file that holds it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TextEncoder => f.write_str("text_encoder"),
            Self::Unet => f.write_str("unet"),
            Self::VaeEncoder => f.write_str("vae_encoder"),
            Self::VaeDecoder => f.write_str("vae_decoder"),
            Self::Stage { of, index } => write!(f, "{} (stage {index})", of.network()),
            Self::Upscaler(name) => write!(f, "upscaler {name:?}"),
        }
    }
}
