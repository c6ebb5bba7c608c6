//! The VAE of a model folder in stages: a graph file in, its stages or one sentence why there are none out.

use std::{path::Path, sync::Arc};

use tessera_proto::facts::Exactness;

use super::{Error, graph_file, layout::Layout};
use crate::{engine::Vae, exact::exactness, graph::staged::Staged};

/// A network in stages, or the sentence that says why it cannot be cut.
type Cut = Result<Arc<Staged>, String>;

/// The networks of a VAE in stages.
#[derive(Debug, Clone)]
pub(super) struct Stages {
    decoder: Cut,
    encoder: Cut,
}

// === impl Stages ===

impl Stages {
    /// Cuts a folder's VAE.
    ///
    /// # Errors
    /// There is no decoder, or a file cannot be read or is damaged.
    pub(super) fn of(layout: &Layout) -> Result<Self, Error> {
        let decoder = layout.graph(&Vae::Decoder.network()).ok_or_else(|| Error::MissingGraph {
            folder: layout.folder().to_owned(),
            missing: "vae_decoder/model.onnx".to_owned(),
        })?;
        let encoder = match layout.graph(&Vae::Encoder.network()) {
            Some(file) => cut(Vae::Encoder, file)?,
            None => Err("the model has no VAE encoder".to_owned()),
        };
        Ok(Self { decoder: cut(Vae::Decoder, decoder)?, encoder })
    }

    /// The stages of a network that can be cut.
    pub(super) fn get(&self, network: Vae) -> Option<&Arc<Staged>> {
        self.cut(network).as_ref().ok()
    }

    /// How a network can be cut.
    pub(super) fn exactness(&self, network: Vae) -> Exactness {
        match self.cut(network) {
            Ok(staged) => exactness(network, staged),
            Err(sentence) => Exactness::Refused(sentence.clone()),
        }
    }

    fn cut(&self, network: Vae) -> &Cut {
        match network {
            Vae::Encoder => &self.encoder,
            Vae::Decoder => &self.decoder,
        }
    }
}

/// Cuts a network; the inner error is the sentence that says why it cannot be.
fn cut(network: Vae, file: &Path) -> Result<Cut, Error> {
    let model = graph_file::read(file)?;
    let refused = |error| format!("the VAE {} cannot be cut at its normalisations: {error}", network.noun());
    Ok(Staged::cut(&model).map(Arc::new).map_err(refused))
}
