//! Embedded prompts: tensors by content, and which of them guide a model call.

use std::{collections::BTreeMap, sync::Arc};

use tessera_proto::{Digest, Guidance, Tensor};

use super::plan::PassSetup;

/// The embeddings of a job's texts.
#[derive(Debug, Default)]
pub(super) struct Embeddings {
    /// Per text of the plan.
    digests: Vec<Digest>,
    tensors: BTreeMap<Digest, Arc<Tensor>>,
}

// === impl Embeddings ===

impl Embeddings {
    /// One tensor `[tokens, width]` for each text of the plan, in its order.
    pub(super) fn new(tensors: impl Iterator<Item = Tensor>) -> Self {
        Self::shared(tensors.map(Arc::new).collect())
    }

    /// The same of tensors that others have too.
    pub(super) fn shared(tensors: Vec<Arc<Tensor>>) -> Self {
        let named: Vec<_> = tensors.into_iter().map(|tensor| (Digest::of(&tensor), tensor)).collect();
        Self {
            digests: named.iter().map(|(digest, _)| *digest).collect(),
            tensors: named.into_iter().collect(),
        }
    }

    /// One tensor for each text of the plan, in its order.
    pub(super) fn in_order(&self) -> Vec<Arc<Tensor>> {
        self.digests.iter().map(|digest| Arc::clone(&self.tensors[digest])).collect()
    }

    /// The tensor of this name.
    pub(super) fn get(&self, digest: Digest) -> Option<&Arc<Tensor>> {
        self.tensors.get(&digest)
    }

    /// All names.
    pub(super) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.tensors.keys().copied()
    }

    /// What guides a model call of a pass.
    pub(super) fn guidance(&self, setup: &PassSetup, call: usize, cfg_scale: f64) -> Guidance {
        let call = u32::try_from(call).unwrap_or(u32::MAX);
        let conds = setup.prompt.at(call).map(|(text, weight)| (weight, self.digests[text])).collect();
        let (uncond, _) = setup.negative.at(call).next().expect("a prompt has at least one part");
        #[expect(
            clippy::cast_possible_truncation,
            reason = "guidance is applied in f32, as the networks' output is"
        )]
        let cfg_scale = cfg_scale as f32;
        Guidance { cfg_scale, uncond: self.digests[uncond], conds }
    }

    /// The prompt's and the negative prompt's embedding at the first call of a pass, for the dump.
    pub(super) fn first(&self, setup: &PassSetup) -> [Option<Tensor>; 2] {
        let first = |mut texts: Box<dyn Iterator<Item = (usize, f32)> + '_>| {
            let (text, _) = texts.next()?;
            let tensor = self.tensors.get(self.digests.get(text)?)?;
            let shape: Vec<usize> = [1].into_iter().chain(tensor.shape().iter().copied()).collect();
            Tensor::new(shape, tensor.data().to_vec()).ok()
        };
        [first(Box::new(setup.prompt.at(0))), first(Box::new(setup.negative.at(0)))]
    }
}

/// The tensors that a guidance names, each once.
pub(super) fn names(guidance: &Guidance) -> Vec<Digest> {
    let mut names: Vec<Digest> = guidance.conds.iter().map(|&(_, digest)| digest).collect();
    names.push(guidance.uncond);
    names.sort_unstable();
    names.dedup();
    names
}
