//! What the command line is read against: the process's environment in, plain values out, so that tests can make
//! their own.

use std::{num::NonZeroUsize, path::PathBuf};

/// The places and numbers of this process that commands depend on.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// `$TESSERA_MODEL`: the model folder to use when none is named.
    pub(crate) model: Option<PathBuf>,
    /// `$TESSERA_HOME`, else `~/.local/share/tessera`: models, libraries and artifacts.
    pub(crate) home: Option<PathBuf>,
    /// This executable.
    pub(crate) executable: PathBuf,
    /// The current folder.
    pub(crate) current: PathBuf,
    /// Processor cores that we may use.
    pub(crate) cores: NonZeroUsize,
    /// `$CUDA_VISIBLE_DEVICES`: the GPUs that CUDA shows to programs.
    pub(crate) cuda_visible: Option<String>,
}

/// Why the process does not know where it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The executable has no path.
    #[error("cannot tell where this executable lies")]
    Executable(#[source] std::io::Error),
    /// The current folder was removed, or may not be read.
    #[error("cannot tell the current folder: change to one that exists")]
    Current(#[source] std::io::Error),
}

// === impl Environment ===

impl Environment {
    /// Reads this process's environment.
    ///
    /// # Errors
    /// The executable's path or the current folder are not known.
    pub(crate) fn of_process() -> Result<Self, Error> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Ok(Self {
            model: variable("TESSERA_MODEL"),
            home: tessera_worker::home(),
            executable: std::env::current_exe().map_err(Error::Executable)?,
            current: std::env::current_dir().map_err(Error::Current)?,
            cores: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            cuda_visible: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
        })
    }
}
