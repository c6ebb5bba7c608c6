//! The folder of what outlives a coordinator: flags in; where each thing lies, for this process alone, out.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use tessera_coordinator::{Durable, Options};

use crate::{args::CoordinatorArgs, exit::Failure};

/// A coordinator that shares its table and has not shown itself for so long loses its jobs to another. It shows itself every
/// two seconds.
const LEASE: Duration = Duration::from_secs(6);

/// A folder, held by this process until this is dropped.
#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
    /// The lock goes with the file's handle, also when the process is killed.
    _lock: File,
}

// === impl State ===

impl State {
    /// Takes the folder of `--state`, or the default one.
    ///
    /// # Errors
    /// It cannot be written to, or another coordinator has it.
    pub(super) fn open(folder: Option<PathBuf>) -> Result<Self, Failure> {
        let default = || tessera_worker::home().map(|home| home.join("coordinator"));
        let folder = folder.or_else(default).ok_or_else(|| {
            Failure::usage(anyhow!("there is no home folder to keep jobs in: name one with --state"))
        })?;
        let lock = usable(&folder)
            .and_then(|()| File::create(folder.join("lock")))
            .map_err(|error| unusable("--state", &folder, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Failure::usage(anyhow!(
                "another coordinator has the folder {}: give this one its own with --state",
                folder.display()
            ))),
            Err(TryLockError::Error(error)) => Err(unusable("--state", &folder, &error)),
        }
    }

    /// Where everything lies.
    ///
    /// # Errors
    /// A folder cannot be written to, or the database's URL is none.
    pub(super) fn options(&self, args: &CoordinatorArgs, options: Options) -> Result<Options, Failure> {
        let artifacts = args.artifacts.clone().unwrap_or_else(|| self.folder.join("artifacts"));
        usable(&artifacts).map_err(|error| unusable("--artifacts", &artifacts, &error))?;
        let database = match &args.database {
            None => sqlite(&self.folder.join("jobs.sqlite")),
            Some(url) if ["sqlite:", "postgres:", "postgresql:"].iter().any(|kind| url.starts_with(kind)) => {
                url.clone()
            }
            Some(url) => {
                return Err(Failure::usage(anyhow!(
                    "--database {url:?} is no database's URL: take sqlite:FILE or postgres://USER@HOST/NAME"
                )));
            }
        };
        // A file is this machine's; a server's tables may be many coordinators', which share the folder of files then.
        let is_shared = !database.starts_with("sqlite:");
        let (folder, lease) = match is_shared {
            true => (artifacts.join("open"), Some(LEASE)),
            false => (self.folder.join("open"), None),
        };
        let durable = Some(Durable { database, folder, lease });
        Ok(Options { artifacts: Some(artifacts), durable, ..options })
    }

    /// Why the coordinator cannot begin, with the flag that names what cannot be used.
    pub(super) fn explain(&self, args: &CoordinatorArgs, error: tessera_coordinator::Error) -> Failure {
        let what = match &args.database {
            // A URL may hold a password.
            Some(_) => "--database".to_owned(),
            None => format!("--state {}", self.folder.display()),
        };
        match error {
            tessera_coordinator::Error::Store(error) => Failure::usage(anyhow!("{what}: {error}")),
            error => Failure::failed(error),
        }
    }
}

/// Whether files can be written to a folder, which is made if there is none.
fn usable(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    tempfile::tempfile_in(folder).map(drop)
}

fn unusable(flag: &str, folder: &Path, error: &io::Error) -> Failure {
    Failure::usage(anyhow!("{flag} {}: {error}; name a folder to write to", folder.display()))
}

/// The URL of a SQLite file, made if it is absent.
fn sqlite(file: &Path) -> String {
    // What has a meaning in a URL.
    let text = file.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("sqlite://{text}?mode=rwc")
}
