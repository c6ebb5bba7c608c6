//! The engine that runs graphs with ONNX Runtime: files and a device in, results out.

mod input;
mod provider;
mod session;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use tessera_proto::Tensor;

use super::{DeviceSpec, Engine, Error, Named, Network, Runtime, Vae};
use crate::{
    graph::{GraphFacts, attention::Fused, staged::Staged},
    halt::Halt,
};
use session::Session;

/// How networks are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Where they run.
    pub device: DeviceSpec,
    /// Whether exported attention is replaced by one operator (`--no-fuse` keeps it).
    pub fuse: bool,
}

/// Networks of one model on one device. Each is loaded at its first use and kept.
pub struct OnnxEngine {
    runtime: Runtime,
    options: Options,
    halt: Halt,
    files: HashMap<Network, PathBuf>,
    sessions: HashMap<Network, Session>,
    /// Networks in stages, and the files that they were cut from.
    stages: HashMap<Vae, (Arc<Staged>, PathBuf)>,
}

// === impl OnnxEngine ===

impl OnnxEngine {
    /// An engine without networks.
    ///
    /// # Errors
    /// The library lacks what the device needs.
    pub fn new(runtime: Runtime, options: Options) -> Result<Self, Error> {
        provider::of(&runtime, options.device)?;
        let (files, sessions, stages) = (HashMap::new(), HashMap::new(), HashMap::new());
        Ok(Self { runtime, options, halt: Halt::default(), files, sessions, stages })
    }

    /// The same, whose calls can be ended by this.
    #[must_use]
    pub fn with_halt(self, halt: Halt) -> Self {
        Self { halt, ..self }
    }

    /// Names the graph file of a network; replaces an earlier one.
    pub fn add(&mut self, network: Network, file: impl Into<PathBuf>) {
        self.sessions.remove(&network);
        self.files.insert(network, file.into());
    }

    /// Gives a network's stages, cut from `file`; each is loaded at its first use.
    pub fn add_stages(&mut self, of: Vae, stages: Arc<Staged>, file: impl Into<PathBuf>) {
        let is_stage =
            |network: &Network| matches!(network, Network::Stage { of: network, .. } if *network == of);
        self.sessions.retain(|network, _| !is_stage(network));
        self.stages.insert(of, (stages, file.into()));
    }

    /// Loads a network now, so that a damaged file is known before any work begins. Returns what was rewritten.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or is refused by ONNX Runtime or the device.
    pub fn load(&mut self, network: &Network) -> Result<Fused, Error> {
        self.session(network).map(|session| session.fused())
    }

    /// Drops a network from memory; its next use loads it again.
    pub fn unload(&mut self, network: &Network) {
        self.sessions.remove(network);
    }

    /// The library in use.
    #[must_use]
    pub fn library(&self) -> &Path {
        self.runtime.path()
    }

    fn session(&mut self, network: &Network) -> Result<&mut Session, Error> {
        if !self.sessions.contains_key(network) {
            let session = self.load_session(network)?;
            self.sessions.insert(network.clone(), session);
        }
        Ok(self.sessions.get_mut(network).expect("inserted above"))
    }

    fn load_session(&self, network: &Network) -> Result<Session, Error> {
        let absent = || Error::Absent { network: network.clone() };
        if let Network::Stage { of, index, widened } = network {
            let (staged, file) = self.stages.get(of).ok_or_else(absent)?;
            let stage = staged.stages().get(*index).ok_or_else(absent)?;
            let model = if *widened { stage.widened() } else { stage.model().clone() };
            return Session::of_model(&self.runtime, self.options, network, (model, file));
        }
        let file = self.files.get(network).ok_or_else(absent)?;
        Session::load(&self.runtime, self.options, network, file)
    }
}

impl Engine for OnnxEngine {
    fn facts(&mut self, network: &Network) -> Result<&GraphFacts, Error> {
        self.session(network).map(|session| session.facts())
    }

    fn run(
        &mut self,
        network: &Network,
        inputs: &[Named<'_>],
        outputs: &[&str],
    ) -> Result<Vec<Tensor>, Error> {
        let halt = self.halt.clone();
        self.session(network)?.run(inputs, outputs, &halt)
    }
}

impl std::fmt::Debug for OnnxEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let loaded: Vec<&Network> = self.sessions.keys().collect();
        f.debug_struct("OnnxEngine")
            .field("options", &self.options)
            .field("loaded", &loaded)
            .finish_non_exhaustive()
    }
}
