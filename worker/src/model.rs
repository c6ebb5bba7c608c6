//! What lies in a model folder: a path in; the graphs, the tokenizer's folder and the model's facts out.
//!
//! The layout is the one that Optimum and diffusers export: `model_index.json`, `text_encoder/`, `unet/`,
//! `vae_encoder/` (optional), `vae_decoder/`, `tokenizer/`, `scheduler/`; ours adds `upscalers/*.onnx`.
//!
//! **Invariant: nothing outside the folder is read**, neither through `..` nor through a symbolic link, but the
//! upscalers that the user names.

pub mod check;
pub mod config_file;
mod facts;
mod graph_file;
mod hash;
mod hash_cache;
mod layout;
mod parcel;
mod stages;
mod upscaler;

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tessera_proto::{ModelFacts, facts as proto_facts, manifest};

use crate::{
    engine::{Network, Vae},
    graph,
    graph::staged::Staged,
};

pub use hash_cache::HashCache;
pub use parcel::parcel;

/// A model folder that was looked through and fits.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    root: PathBuf,
    graphs: Vec<(Network, PathBuf)>,
    tokenizer: PathBuf,
    vocab_size: u32,
    facts: ModelFacts,
    stages: stages::Stages,
}

/// Why a folder is no model that we run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing at this path.
    #[error("model folder {} does not exist", folder.display())]
    Absent {
        /// The path.
        folder: PathBuf,
    },
    /// The path is a file.
    #[error("{} is a file, not a model folder: turn a checkpoint into one with deploy/export-model", path.display())]
    IsFile {
        /// The path.
        path: PathBuf,
    },
    /// The folder holds something else.
    #[error("{} is no model folder: it has no model_index.json", folder.display())]
    NoIndex {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder holds weights that only PyTorch can run.
    #[error(
        "model folder {} holds PyTorch weights, but no {missing}: turn it into an ONNX folder with deploy/export-model",
        folder.display()
    )]
    PyTorch {
        /// The folder.
        folder: PathBuf,
        /// The first graph that is missing, relative to the folder.
        missing: String,
    },
    /// A model of another kind.
    #[error("model folder {} holds {found}, but only Stable Diffusion 1.x is supported", folder.display())]
    Architecture {
        /// The folder.
        folder: PathBuf,
        /// What shows it.
        found: String,
    },
    /// A network is not there.
    #[error("model folder {} has no {missing}", folder.display())]
    MissingGraph {
        /// The folder.
        folder: PathBuf,
        /// The graph, relative to the folder.
        missing: String,
    },
    /// A path leads out of the folder.
    #[error(
        "{} is a link to {}, outside of the model folder: put the file itself there",
        path.display(), target.display()
    )]
    Outside {
        /// The path inside the folder.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A file or folder cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Far more files than a model has.
    #[error("model folder {} holds more than {limit} files", folder.display())]
    TooManyFiles {
        /// The folder.
        folder: PathBuf,
        /// Most files that are looked at.
        limit: usize,
    },
    /// A settings file is damaged or lacks something.
    #[error(transparent)]
    Config(#[from] config_file::Error),
    /// Two settings contradict each other.
    #[error("{}: {first} is {first_value}, but {second} is {second_value}", folder.display())]
    Disagree {
        /// The folder.
        folder: PathBuf,
        /// File and field.
        first: &'static str,
        /// What it says.
        first_value: u32,
        /// The other file and field.
        second: &'static str,
        /// What that says.
        second_value: u32,
    },
    /// A fact out of its bounds.
    #[error("{}: {source}", folder.display())]
    Facts {
        /// The folder.
        folder: PathBuf,
        /// Which, and its bounds.
        source: proto_facts::Error,
    },
    /// A graph does not fit the settings.
    #[error("{} does not fit: {reason}", file.display())]
    Graph {
        /// The graph.
        file: PathBuf,
        /// What differs.
        reason: String,
    },
    /// A graph file is damaged.
    #[error("{}: {source}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: graph::Error,
    },
    /// Something that is not sent: what it leads to may be anything.
    #[error("{} is a symbolic link or no plain file: put the file itself there", path.display())]
    NotPlain {
        /// The path.
        path: PathBuf,
    },
    /// The files are no model that is sent.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// Weights that are none of the model's files.
    #[error("{} keeps its weights in {name:?}, which is none of the model's files", file.display())]
    WeightsElsewhere {
        /// The graph.
        file: PathBuf,
        /// Where its weights are, relative to its folder.
        name: String,
    },
    /// An upscaler's path that leads to no file.
    #[error("{} is no file: name the ONNX file of an upscaler", path.display())]
    UpscalerFile {
        /// The path.
        path: PathBuf,
    },
    /// An upscaler's file whose name cannot be the network's.
    #[error("{} names no upscaler: its name must be Unicode, 1 to {limit} bytes without control characters", file.display())]
    UpscalerName {
        /// The file.
        file: PathBuf,
        /// Most bytes.
        limit: usize,
    },
    /// Two upscalers of one name.
    #[error("{} is another network than the model's own upscaler {name:?}: give the file another name", file.display())]
    UpscalerTwice {
        /// The file.
        file: PathBuf,
        /// The name of both.
        name: String,
    },
    /// An upscaler's file that is not all of it.
    #[error(
        "{} keeps its weights in another file: save it as one file, or put both into the model's upscalers/",
        file.display()
    )]
    WeightsBeside {
        /// The file.
        file: PathBuf,
    },
}

// === impl ModelFolder ===

impl ModelFolder {
    /// Looks through a folder: finds its graphs, reads its settings and hashes its contents. `upscalers` are files from
    /// elsewhere that count as if they lay in the folder.
    ///
    /// Hashing reads every byte once; `hashes` remembers it for files that have not changed since. The graphs
    /// themselves are checked when they are loaded ([`check::graph`]); upscalers are looked through now.
    ///
    /// # Errors
    /// The folder is absent, of another kind or architecture, or a file or field that is needed is missing or wrong.
    pub fn open(folder: &Path, upscalers: &[PathBuf], hashes: &HashCache) -> Result<Self, Error> {
        let mut layout = layout::Layout::find(folder)?;
        upscaler::join(&mut layout, upscalers, hashes)?;
        let settings = facts::Settings::read(&layout)?;
        let stages = stages::Stages::of(&layout)?;
        let facts = settings.facts(&layout, hash::of_folder(&layout, hashes)?, &stages)?;
        let tokenizer = layout.inside("tokenizer")?.unwrap_or_else(|| layout.root().join("tokenizer"));
        Ok(Self {
            root: layout.root().to_owned(),
            graphs: layout.into_graphs(),
            tokenizer,
            vocab_size: settings.vocab_size,
            facts,
            stages,
        })
    }

    /// The same, called otherwise than its folder.
    ///
    /// # Errors
    /// No model may be called so.
    pub fn called(self, name: &str) -> Result<Self, Error> {
        let draft = proto_facts::Draft { name: name.to_owned(), ..self.facts.into_draft() };
        let facts = ModelFacts::new(draft);
        let facts = facts.map_err(|source| Error::Facts { folder: self.root.clone(), source })?;
        Ok(Self { facts, ..self })
    }

    /// The folder's real path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the model says about itself.
    #[must_use]
    pub fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    /// The networks and their files.
    #[must_use]
    pub fn graphs(&self) -> &[(Network, PathBuf)] {
        &self.graphs
    }

    /// The file of a network.
    #[must_use]
    pub fn graph(&self, network: &Network) -> Option<&Path> {
        self.graphs.iter().find(|(name, _)| name == network).map(|(_, file)| file.as_path())
    }

    /// A network of the VAE in stages, and the file that it was cut from; `None` when it cannot be cut.
    #[must_use]
    pub fn stages(&self, of: Vae) -> Option<(&Arc<Staged>, &Path)> {
        Some((self.stages.get(of)?, self.graph(&of.network())?))
    }

    /// The folder of the tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Path {
        &self.tokenizer
    }

    /// How many token ids the text encoder knows.
    #[must_use]
    pub fn vocab_size(&self) -> u32 {
        self.vocab_size
    }
}
