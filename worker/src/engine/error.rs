//! What can go wrong in an engine, told apart by what the coordinator may do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

use tessera_proto::{Failure, FailureKind};

use super::{DeviceSpec, Network, library};
use crate::graph;

/// Why a network was not run, or its result is not worth having.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// ONNX Runtime is absent or unfit.
    #[error(transparent)]
    Library(#[from] library::Error),
    /// The library was built without what the device needs.
    #[error(
        "device {device} needs {provider}, which the ONNX Runtime library {library} lacks (it has {offered}): use \
         another device, or install a library that has it, for NVIDIA cards by deploy/fetch-onnxruntime.sh cuda"
    )]
    Provider {
        /// The device asked for.
        device: DeviceSpec,
        /// ONNX Runtime's name for its driver.
        provider: &'static str,
        /// The library in use.
        library: String,
        /// The drivers that it has.
        offered: String,
    },
    /// The library has the driver, but the device does not start.
    #[error("device {device} cannot be used: {reason}")]
    Device {
        /// The device asked for.
        device: DeviceSpec,
        /// What ONNX Runtime says.
        reason: String,
    },
    /// A file of the model cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A graph file is damaged or not one that we run.
    #[error("{}: {source}", path.display())]
    Graph {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: graph::Error,
    },
    /// ONNX Runtime does not take the graph.
    #[error("{}: ONNX Runtime refuses the graph: {reason}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
    /// The model has no such network.
    #[error("this model has no {network}")]
    Absent {
        /// The network asked for.
        network: Network,
    },
    /// An input that the graph lacks, wants besides, or takes in another shape or type.
    #[error("{network}: input {input:?}: {reason}")]
    Input {
        /// The network.
        network: Network,
        /// The input's name.
        input: String,
        /// What does not fit.
        reason: String,
    },
    /// The device has no memory left for a call of this size.
    #[error("{network}: out of memory on the device for inputs {shapes}: {reason}")]
    OutOfMemory {
        /// The network.
        network: Network,
        /// Names and shapes of the inputs.
        shapes: String,
        /// What ONNX Runtime says.
        reason: String,
    },
    /// The device has no memory left for a network's weights.
    #[error("{}: out of memory on the device while the network is loaded: {reason}", path.display())]
    NoMemoryToLoad {
        /// The file.
        path: PathBuf,
        /// What ONNX Runtime says.
        reason: String,
    },
    /// A result holds NaN or infinity.
    #[error("{network} returned NaN or infinity in {output:?}{}", and(widened))]
    NotFinite {
        /// The network.
        network: Network,
        /// The output's name.
        output: String,
        /// What became of it in fp32; `None` where it computes so anyway.
        widened: Option<String>,
    },
    /// A result has another shape than the task implies.
    #[error("{network} returned shape {actual:?}, expected {expected:?}")]
    WrongShape {
        /// The network.
        network: Network,
        /// What the task needs.
        expected: Vec<usize>,
        /// What came.
        actual: Vec<usize>,
    },
    /// Anything else that ONNX Runtime reports.
    #[error("{network}: {reason}")]
    Failed {
        /// The network.
        network: Network,
        /// What it says.
        reason: String,
    },
}

// === impl Error ===

impl Error {
    /// What the coordinator may do about it.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::OutOfMemory { .. } | Self::NoMemoryToLoad { .. } => FailureKind::OutOfMemory,
            Self::NotFinite { .. } => FailureKind::NotFinite,
            Self::WrongShape { .. } => FailureKind::WrongShape,
            Self::Absent { .. } | Self::Input { .. } => FailureKind::Unsupported,
            Self::Library(_)
            | Self::Provider { .. }
            | Self::Device { .. }
            | Self::Read { .. }
            | Self::Graph { .. }
            | Self::Refused { .. }
            | Self::Failed { .. } => FailureKind::Engine,
        }
    }

    /// An error for a call that ONNX Runtime broke off.
    pub(super) fn of_run(network: &Network, shapes: impl FnOnce() -> String, reason: &str) -> Self {
        let (network, reason) = (network.clone(), one_line(reason));
        if is_about_memory(&reason) {
            Self::OutOfMemory { network, shapes: shapes(), reason }
        } else {
            Self::Failed { network, reason }
        }
    }

    /// An error for a graph that ONNX Runtime does not take.
    pub(super) fn of_load(path: &Path, reason: String) -> Self {
        let path = path.to_owned();
        if is_about_memory(&reason) {
            Self::NoMemoryToLoad { path, reason }
        } else {
            Self::Refused { path, reason }
        }
    }
}

/// Words that go on after others.
fn and(words: &Option<String>) -> String {
    words.as_ref().map(|words| format!(" {words}")).unwrap_or_default()
}

/// Out of memory told from the rest by ONNX Runtime's words: it has no code for it.
fn is_about_memory(reason: &str) -> bool {
    const OUT_OF_MEMORY: [&str; 11] = [
        "out of memory",
        "failed to allocate",
        "cannot allocate memory",
        "bad_alloc",
        "bad allocation",
        "not enough memory",
        "available memory of",
        "memoryallocation",
        "status_alloc_failed",
        "e_outofmemory",
        "8007000e",
    ];
    let lower = reason.to_lowercase();
    OUT_OF_MEMORY.iter().any(|words| lower.contains(words))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { kind: error.kind(), message: error.to_string() }
    }
}

/// ONNX Runtime's messages on one line, at most 500 characters.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if 500 < line.chars().count() {
            line.push_str(" ...");
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().take(300));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_lacks_while_a_network_is_loaded_is_told_from_a_bad_graph() {
        let of = |reason: &str| Error::of_load(Path::new("unet/model.onnx"), reason.to_owned());
        let short = of("pthread_create failed, error code: 12 error msg: Cannot allocate memory");
        assert_eq!(short.kind(), FailureKind::OutOfMemory);
        assert!(
            short.to_string().starts_with("unet/model.onnx: out of memory on the device while"),
            "{short}"
        );
        assert_eq!(of("Unrecognized attribute: axis").kind(), FailureKind::Engine);
    }
}
