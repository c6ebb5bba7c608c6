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
use session::{Origin, Session};

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
    /// Those that overflowed, computing in fp32; `None` for one that does so anyway.
    widened: HashMap<Network, Option<Session>>,
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
        Ok(Self {
            runtime,
            options,
            halt: Halt::default(),
            files: HashMap::new(),
            sessions: HashMap::new(),
            widened: HashMap::new(),
            stages: HashMap::new(),
        })
    }

    /// The same, whose calls can be ended by this.
    #[must_use]
    pub fn with_halt(self, halt: Halt) -> Self {
        Self { halt, ..self }
    }

    /// Names the graph file of a network; replaces an earlier one.
    pub fn add(&mut self, network: Network, file: impl Into<PathBuf>) {
        self.unload(&network);
        self.files.insert(network, file.into());
    }

    /// Gives a network's stages, cut from `file`; each is loaded at its first use.
    pub fn add_stages(&mut self, of: Vae, stages: Arc<Staged>, file: impl Into<PathBuf>) {
        let is_stage =
            |network: &Network| matches!(network, Network::Stage { of: network, .. } if *network == of);
        self.sessions.retain(|network, _| !is_stage(network));
        self.widened.retain(|network, _| !is_stage(network));
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
        self.widened.remove(network);
    }

    /// The library in use.
    #[must_use]
    pub fn library(&self) -> &Path {
        self.runtime.path()
    }

    fn session(&mut self, network: &Network) -> Result<&mut Session, Error> {
        if !self.sessions.contains_key(network) {
            let session = Session::build(&self.runtime, self.options, network, self.graph(network)?)?;
            self.sessions.insert(network.clone(), session);
        }
        Ok(self.sessions.get_mut(network).expect("inserted above"))
    }

    /// The network computing in fp32, where it does not anyway.
    fn widened(&mut self, network: &Network) -> Result<Option<&mut Session>, Error> {
        if !self.widened.contains_key(network) {
            let widened = self.graph(network)?.widened();
            let build = |origin| {
                tracing::warn!(%network, "it overflows in fp16: such calls run again in fp32, which takes longer");
                Session::build(&self.runtime, self.options, network, origin)
            };
            let session = widened.map(build).transpose()?;
            self.widened.insert(network.clone(), session);
        }
        Ok(self.widened.get_mut(network).and_then(Option::as_mut))
    }

    /// The graph of a network.
    fn graph(&self, network: &Network) -> Result<Origin<'_>, Error> {
        let absent = || Error::Absent { network: network.clone() };
        if let Network::Stage { of, index } = network {
            let (staged, file) = self.stages.get(of).ok_or_else(absent)?;
            let stage = staged.stages().get(*index).ok_or_else(absent)?;
            return Ok(Origin { model: stage.model().clone(), file, is_file: false });
        }
        Origin::read(self.files.get(network).ok_or_else(absent)?)
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

    fn run_widened(
        &mut self,
        network: &Network,
        inputs: &[Named<'_>],
        outputs: &[&str],
    ) -> Result<Option<Vec<Tensor>>, Error> {
        let halt = self.halt.clone();
        self.widened(network)?.map(|session| session.run(inputs, outputs, &halt)).transpose()
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
