//! The folder of what outlives a coordinator: flags in; where each thing lies, for this process alone, out.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use tessera_coordinator::{Durable, Options, Place};
use url::Url;

use crate::{
    args::{CoordinatorArgs, StoreArgs},
    exit::Failure,
};

/// A coordinator that shares its table and has not shown itself for so long loses its jobs to another. It shows itself every
/// two seconds.
const LEASE: Duration = Duration::from_secs(6);

/// The file of jobs and tokens in a state folder.
const DATABASE: &str = "jobs.sqlite";

/// The kinds of buckets, as their URLs begin.
const BUCKETS: [&str; 3] = ["s3", "gs", "az"];

/// A folder, held by this process until this is dropped.
#[derive(Debug)]
pub(in crate::command) struct State {
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
        let folder = named(folder)?;
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
        let artifacts = match &args.artifacts {
            None => Place::Folder(self.folder.join("artifacts")),
            Some(text) => place(text)?,
        };
        if let Place::Folder(folder) = &artifacts {
            usable(folder).map_err(|error| unusable("--artifacts", folder, &error))?;
        }
        let database = database(&self.folder, args.store.database.as_ref())?;
        // A file is this machine's; a server's tables may be many coordinators', which share the folder of files then.
        let is_shared = !database.starts_with("sqlite:");
        let lease = is_shared.then_some(LEASE);
        // What lies on this machine alone is no use to another one.
        let place = match &artifacts {
            Place::Folder(_) if !is_shared => Place::Folder(self.folder.join("open")),
            Place::Folder(folder) => Place::Folder(folder.join("open")),
            Place::Bucket(url) => {
                let mut url = url.clone();
                url.set_path(&format!("{}/open", url.path().trim_end_matches('/')));
                Place::Bucket(url)
            }
        };
        let durable = Some(Durable { database, place, lease });
        Ok(Options { artifacts: Some(artifacts), durable, ..options })
    }

    /// The URL of the database that a coordinator with these flags uses, whether it runs or not.
    ///
    /// # Errors
    /// A folder cannot be written to, or the URL is none.
    pub(in crate::command) fn database(store: &StoreArgs) -> Result<String, Failure> {
        let folder = named(store.state.clone())?;
        if store.database.is_none() {
            usable(&folder).map_err(|error| unusable("--state", &folder, &error))?;
        }
        database(&folder, store.database.as_ref())
    }

    /// The same where there is one already.
    ///
    /// # Errors
    /// There is none: another machine's, say.
    pub(in crate::command) fn known_database(store: &StoreArgs) -> Result<String, Failure> {
        let folder = named(store.state.clone())?;
        if store.database.is_none() && !folder.join(DATABASE).is_file() {
            return Err(Failure::usage(anyhow!(
                "no coordinator has kept anything in {}: run this on its machine, or name its --state or --database",
                folder.display()
            )));
        }
        Self::database(store)
    }

    /// Why the coordinator cannot begin, with the flag that names what cannot be used.
    pub(super) fn explain(&self, args: &CoordinatorArgs, error: tessera_coordinator::Error) -> Failure {
        let what = match &args.store.database {
            // A URL may hold a password.
            Some(_) => "--database".to_owned(),
            None => format!("--state {}", self.folder.display()),
        };
        match error {
            tessera_coordinator::Error::Store(error) => Failure::usage(anyhow!("{what}: {error}")),
            tessera_coordinator::Error::Artifacts(error) => Failure::usage(anyhow!("--artifacts: {error}")),
            tessera_coordinator::Error::Authority(error) => {
                Failure::usage(anyhow!("--tls: {error}; `tessera init` makes what it needs"))
            }
            error @ tessera_coordinator::Error::Collector { .. } => {
                Failure::usage(anyhow!("--otlp: {error}"))
            }
            error => Failure::failed(error),
        }
    }
}

/// What `--artifacts` means: a bucket's URL, or a folder.
fn place(text: &str) -> Result<Place, Failure> {
    let Some((scheme, _)) = text.split_once("://") else { return Ok(Place::Folder(text.into())) };
    match Url::parse(text) {
        Ok(url) if BUCKETS.contains(&scheme) && url.has_host() => Ok(Place::Bucket(url)),
        _ => Err(Failure::usage(anyhow!(
            "--artifacts {text:?} is no bucket: take s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, or a folder"
        ))),
    }
}

/// The folder of `--state`, or the default one.
fn named(folder: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let default = || tessera_worker::home().map(|home| home.join("coordinator"));
    folder.or_else(default).ok_or_else(|| {
        Failure::usage(anyhow!("there is no home folder to keep jobs in: name one with --state"))
    })
}

/// The database of a URL, or the one in a folder.
fn database(folder: &Path, url: Option<&String>) -> Result<String, Failure> {
    match url {
        None => Ok(sqlite(&folder.join(DATABASE))),
        Some(url) if ["sqlite:", "postgres:", "postgresql:"].iter().any(|kind| url.starts_with(kind)) => {
            Ok(url.clone())
        }
        // It may hold a password all the same.
        Some(_) => Err(Failure::usage(anyhow!(
            "--database is no database's URL: take sqlite:FILE or postgres://USER@HOST/NAME"
        ))),
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
