//! The model of those who name none: an environment in, the first demo model folder that exists out.

use std::path::{Path, PathBuf};

use crate::environment::Environment;

/// The file that makes a folder a model folder.
const INDEX: &str = "model_index.json";

/// Why there is no default model.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// `$TESSERA_MODEL` is set, so nothing else is looked at.
    #[error("TESSERA_MODEL names {}, which is no model folder: it has no {INDEX}", path.display())]
    Variable {
        /// The value of the variable.
        path: PathBuf,
    },
    /// No place has one.
    #[error(
        "no model given and no demo model found: name a model folder with -m DIR, or set TESSERA_MODEL (looked in {places})"
    )]
    Nowhere {
        /// The places, for people.
        places: String,
    },
}

/// Finds the demo model: `$TESSERA_MODEL`, `$TESSERA_HOME/models/demo`, `../share/tessera/models/demo` beside the
/// executable, then `deploy/models/demo` in the folders above the executable and above the current folder.
///
/// # Errors
/// `$TESSERA_MODEL` names no model folder, or no place has one.
pub(crate) fn find(environment: &Environment) -> Result<PathBuf, Error> {
    if let Some(path) = &environment.model {
        let path = environment.current.join(path);
        return if is_model(&path) { Ok(path) } else { Err(Error::Variable { path }) };
    }
    let home = environment.home.iter().map(|home| home.join("models/demo"));
    let executable = &environment.executable;
    let shared = executable.parent().map(|folder| folder.join("../share/tessera/models/demo"));
    let above_executable = above(executable);
    let above_current = above(&environment.current);
    home.chain(shared)
        .chain(above_executable)
        .chain(above_current)
        .find(|path| is_model(path))
        .ok_or_else(|| nowhere(environment))
}

/// `deploy/models/demo` in `path` and in each folder above it.
fn above(path: &Path) -> impl Iterator<Item = PathBuf> {
    path.ancestors().map(|folder| folder.join("deploy/models/demo"))
}

fn is_model(path: &Path) -> bool {
    path.join(INDEX).is_file()
}

fn nowhere(environment: &Environment) -> Error {
    let home = environment.home.as_ref().map(|home| format!("{}, ", home.join("models/demo").display()));
    let places = format!(
        "{}share/tessera beside the executable, deploy/models/demo above it and above the current folder",
        home.unwrap_or_default()
    );
    Error::Nowhere { places }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model_at(path: &Path) -> PathBuf {
        std::fs::create_dir_all(path).unwrap();
        std::fs::write(path.join(INDEX), "{}").unwrap();
        path.to_owned()
    }

    fn environment(root: &Path) -> Environment {
        Environment {
            model: None,
            home: Some(root.join("home")),
            executable: root.join("repo/target/release/tessera"),
            current: root.join("work/deep"),
            cores: std::num::NonZeroUsize::MIN,
            cuda_visible: None,
        }
    }

    #[test]
    fn the_nearest_place_wins() {
        let root = tempfile::tempdir().unwrap();
        let environment = environment(root.path());
        let error = find(&environment).unwrap_err().to_string();
        assert!(error.contains("name a model folder with -m DIR"), "{error}");
        // Each place, from the last one looked at to the first.
        for place in ["work/deploy/models/demo", "repo/deploy/models/demo", "home/models/demo"] {
            let path = model_at(&root.path().join(place));
            assert_eq!(find(&environment), Ok(path));
        }
    }

    #[test]
    fn the_variable_is_the_last_word() {
        let root = tempfile::tempdir().unwrap();
        model_at(&root.path().join("home/models/demo"));
        let mut environment = environment(root.path());
        environment.model = Some("mine".into());
        let error = find(&environment).unwrap_err().to_string();
        assert!(error.starts_with("TESSERA_MODEL names"), "{error}");
        let mine = model_at(&environment.current.join("mine"));
        assert_eq!(find(&environment), Ok(mine));
    }
}
