//! The flags about the memory of waiting tiles, of `worker` and of the commands that start workers.

use std::path::PathBuf;

use clap::Args;
use tessera_worker::exact::{SPILL_ABOVE, Spill};

/// How much the waiting tiles of an exact decode may keep in memory.
#[derive(Debug, Args)]
pub(crate) struct SpillArgs {
    /// Memory for tiles of an exact decode that wait for the others, MiB per worker; what goes beyond is on disk
    ///
    /// All tiles of a picture go through the decoder together, so all but one wait. A disk that writes hundreds of MB a
    /// second costs little time beside the network: a gigabyte leaves the memory to the network. No value changes the
    /// picture.
    #[arg(long, value_name = "MIB", default_value_t = SPILL_ABOVE >> 20, value_parser = clap::value_parser!(u64).range(..=1 << 30))]
    pub(crate) spill_above: u64,
    /// Folder of that temporary file, which is removed however the worker ends (default: the system's)
    #[arg(long, value_name = "DIR", value_parser = folder)]
    pub(crate) spill_folder: Option<PathBuf>,
}

// === impl SpillArgs ===

impl From<SpillArgs> for Spill {
    fn from(args: SpillArgs) -> Self {
        let SpillArgs { spill_above, spill_folder } = args;
        Self { above: spill_above << 20, folder: spill_folder }
    }
}

/// A folder that is there.
fn folder(text: &str) -> Result<PathBuf, &'static str> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err("there is no such folder") }
}
