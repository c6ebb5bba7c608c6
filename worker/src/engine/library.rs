//! The ONNX Runtime library: where to look in, a loaded runtime or a sentence that says how to get one out.
//!
//! It is loaded at run time, so that one executable serves every kind of device. Looked for, in this order: the path
//! that the user gives, `ORT_DYLIB_PATH`, the folder `onnxruntime/` in `$TESSERA_HOME` (where
//! `deploy/fetch-onnxruntime.sh` puts it), beside the executable, and the system's loader. The first that exists is
//! taken: a damaged library is an error, never a reason to look further.

use std::{
    env, fmt, fs, io,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ort::environment::Environment;

#[cfg(test)]
mod tests;

/// The least ONNX Runtime whose interface this program is built for.
pub const MINIMUM: &str = "1.22";

/// The environment variable that names a library file.
const PATH_VARIABLE: &str = "ORT_DYLIB_PATH";

/// The library that this process has loaded: there can be one only.
static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

/// A loaded library. Clones share it.
#[derive(Clone)]
pub struct Runtime {
    environment: Environment,
    path: PathBuf,
}

/// Where to look; read from the process by [`Places::of_process`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The file that the user names.
    pub explicit: Option<PathBuf>,
    /// `ORT_DYLIB_PATH`.
    pub variable: Option<PathBuf>,
    /// `$TESSERA_HOME`.
    pub home: Option<PathBuf>,
    /// The executable's folder.
    pub executable: Option<PathBuf>,
}

/// Why there is no ONNX Runtime.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error(
        "ONNX Runtime is not installed: run deploy/fetch-onnxruntime.sh, or name the library with --onnxruntime FILE \
         (looked for: {})", looked.join(", ")
    )]
    Missing {
        /// Every place looked at.
        looked: Vec<String>,
    },
    /// What was named is no file, and no folder with a library in it.
    #[error("{named_by} names {}, which is no file and no folder with a library in it: run deploy/fetch-onnxruntime.sh, or correct the path", path.display())]
    NoFile {
        /// The flag or variable.
        named_by: &'static str,
        /// Its value.
        path: PathBuf,
    },
    /// The library is older than this program needs.
    #[error(
        "ONNX Runtime {found} in {} is too old, {MINIMUM} or later is needed: run deploy/fetch-onnxruntime.sh",
        path.display()
    )]
    TooOld {
        /// The version found.
        found: String,
        /// The library.
        path: PathBuf,
    },
    /// The file is no library that can be loaded.
    #[error("cannot load ONNX Runtime from {}: {reason}; deploy/fetch-onnxruntime.sh installs one that works", path.display())]
    Unfit {
        /// The library.
        path: PathBuf,
        /// What the loader says.
        reason: String,
    },
}

/// A library file to try, or the name that the system's loader looks up.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Candidate {
    File(PathBuf),
    System,
}

// === impl Runtime ===

impl Runtime {
    /// Loads the library, or returns the one that this process has loaded already.
    ///
    /// # Errors
    /// There is none, or it does not fit; the text says how to get one.
    pub fn load(places: &Places) -> Result<Self, Error> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*loaded {
            return Ok(runtime.clone());
        }
        let runtime = match places.candidate()? {
            Candidate::File(path) => load(&path)?,
            // A bare name goes to the system's loader.
            Candidate::System => load(Path::new(system_name())).map_err(|error| match error {
                Error::Unfit { .. } => Error::Missing { looked: places.looked() },
                other => other,
            })?,
        };
        *loaded = Some(runtime.clone());
        Ok(runtime)
    }

    /// The library's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the library says about its own build.
    #[must_use]
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }

    /// What sessions are made in.
    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("path", &self.path).finish_non_exhaustive()
    }
}

// === impl Places ===

impl Places {
    /// The places of this process: its environment variables and its executable.
    #[must_use]
    pub fn of_process(explicit: Option<PathBuf>) -> Self {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let user = || variable("HOME").or_else(|| variable("USERPROFILE"));
        Self {
            explicit,
            variable: variable(PATH_VARIABLE),
            home: variable("TESSERA_HOME").or_else(|| Some(user()?.join(".local/share/tessera"))),
            executable: env::current_exe().ok().and_then(|file| Some(file.parent()?.to_owned())),
        }
    }

    /// The first place that has a library.
    fn candidate(&self) -> Result<Candidate, Error> {
        for (named_by, path) in [("--onnxruntime", &self.explicit), (PATH_VARIABLE, &self.variable)] {
            if let Some(path) = path {
                let named = absolute(path).filter(|path| path.is_file());
                let found = named.or_else(|| library_in(path));
                let found = found.ok_or_else(|| Error::NoFile { named_by, path: path.clone() })?;
                return Ok(Candidate::File(found));
            }
        }
        let found = self.folders().iter().find_map(|folder| library_in(folder));
        Ok(found.map_or(Candidate::System, Candidate::File))
    }

    fn folders(&self) -> Vec<PathBuf> {
        let home = self.home.as_ref().map(|home| home.join("onnxruntime"));
        home.into_iter().chain(self.executable.clone()).collect()
    }

    fn looked(&self) -> Vec<String> {
        let mut looked = vec![PATH_VARIABLE.to_owned()];
        looked.extend(self.folders().iter().map(|folder| folder.display().to_string()));
        looked.push("the system's libraries".to_owned());
        looked
    }
}

/// The library in a folder: the plain name, or else the highest version of it.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let plain = folder.join(system_name());
    if plain.is_file() {
        return absolute(&plain);
    }
    let numbers = |path: &PathBuf| -> Vec<u64> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.split(|character: char| !character.is_ascii_digit())
            .filter_map(|part| part.parse().ok())
            .collect()
    };
    let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>()).ok()?;
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| is_versioned(&name.to_string_lossy()));
    let files = entries.into_iter().map(|entry| entry.path()).filter(|path| named(path) && path.is_file());
    files.max_by_key(numbers).and_then(|path| absolute(&path))
}

/// `libonnxruntime.so.1.31.1`, `libonnxruntime.1.31.1.dylib`; not `libonnxruntime_providers_shared.so`.
fn is_versioned(name: &str) -> bool {
    name.starts_with("libonnxruntime.") && (name.contains(".so.") || name.ends_with(".dylib"))
}

fn system_name() -> &'static str {
    if cfg!(windows) {
        "onnxruntime.dll"
    } else if cfg!(target_os = "macos") {
        "libonnxruntime.dylib"
    } else {
        "libonnxruntime.so"
    }
}

/// The path from the root, so that the binding does not look beside the executable first.
fn absolute(path: &Path) -> Option<PathBuf> {
    std::path::absolute(path).ok()
}

fn load(path: &Path) -> Result<Runtime, Error> {
    let unfit = |reason: String| Error::Unfit { path: path.to_owned(), reason };
    let result = quietly(|| {
        let builder = ort::init_from(path).map_err(|error| match error {
            ort::LoadDynamicError::BadVersion { version_str, path } => {
                Error::TooOld { found: version_str, path }
            }
            ort::LoadDynamicError::Dlopen { error, .. } => unfit(super::error::one_line(&error.to_string())),
            other => unfit(other.to_string()),
        })?;
        // Builds for Windows heed this; for others the program sets a variable before it begins.
        let environment = builder.with_name("tessera").with_telemetry(false).build();
        let environment = environment.map_err(|error| unfit(super::error::one_line(error.message())))?;
        // Only errors: its warnings are about graphs that are none of the user's business.
        environment.set_log_level(ort::logging::LogLevel::Error);
        Ok(Runtime { environment, path: path.to_owned() })
    });
    result.unwrap_or_else(|| Err(unfit("it has no interface that this program knows".to_owned())))
}

/// Runs something that may panic, and returns `None` then, without the panic's message on the terminal. The binding
/// panics where a library has the right name and none of the right functions. Called under a lock, once a process.
fn quietly<T>(action: impl FnOnce() -> T) -> Option<T> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(AssertUnwindSafe(action));
    panic::set_hook(hook);
    result.ok()
}
