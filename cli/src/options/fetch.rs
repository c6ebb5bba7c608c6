//! Where `tessera fetch` puts what it gets: flags in; names of files, or a folder for several jobs, out.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tessera_proto::{
    JobStatus,
    job::format::{Format, Wish},
};

use super::{Files, Named, check_fetched};
use crate::args::FetchArgs;

/// Where files go.
#[derive(Debug)]
pub(crate) enum Fetch {
    /// These, of one job.
    Files(Named),
    /// Pictures of any number of jobs, in this folder, each called after its job.
    Folder(PathBuf),
}

/// Why it cannot go there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file for what several jobs have made.
    #[error("{flag} {} is for one job, and there are {count}: name a folder, or fetch them one by one", path.display())]
    OneFile {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Jobs to fetch.
        count: usize,
    },
    /// A folder that cannot be made.
    #[error("--output {}: the folder cannot be made: {reason}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
}

// === impl Fetch ===

impl Fetch {
    /// Reads the flags; the folder is made where it is absent. `current` is the present one.
    ///
    /// # Errors
    /// A single file is named for several jobs, or the folder cannot be made.
    pub(crate) fn new(args: FetchArgs, current: &Path) -> Result<Self, Error> {
        let FetchArgs { jobs, output, dump, report, trace, .. } = args;
        let folder = output.as_deref().is_some_and(|path| path.is_dir() || ends_in_separator(path));
        if jobs.len() == 1 && !folder {
            return Ok(Self::Files(Named { result: output, dump, report, trace }));
        }
        let picture = output.clone().filter(|path| !folder && is_file(path));
        let single = [("--output", picture), ("--dump", dump), ("--report", report), ("--trace", trace)];
        if let Some((flag, path)) = single.into_iter().find_map(|(flag, path)| Some((flag, path?))) {
            return Err(Error::OneFile { flag, path, count: jobs.len() });
        }
        let folder = output.unwrap_or_else(|| current.to_owned());
        Ok(Self::Folder(folder))
    }

    /// The files for a job that is done; their folder is made.
    ///
    /// # Errors
    /// A name does not end as the job's format does, or cannot be written.
    pub(crate) fn files(&self, status: &JobStatus, current: &Path) -> Result<Files, super::Error> {
        let JobStatus { job, format, .. } = *status;
        let stem = format!("tessera-{job}");
        match self {
            Self::Folder(folder) => {
                fs::create_dir_all(folder)
                    .map_err(|reason| Error::Folder { path: folder.clone(), reason })?;
                Named::default().resolve(&stem, format, folder)
            }
            Self::Files(named) => {
                named.result.as_deref().map_or(Ok(()), |path| check_fetched(job, format, path))?;
                named.clone().resolve(&stem, format, current)
            }
        }
    }
}

/// Whether a name that no folder has is meant for a file: one is there, or it ends as a picture's.
fn is_file(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    path.exists() || Format::of(&ending, Wish::default()).is_ok()
}

fn ends_in_separator(path: &Path) -> bool {
    path.to_string_lossy().ends_with(std::path::is_separator)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tempfile::TempDir;
    use tessera_proto::Stage;

    use super::*;
    use crate::{
        args::{Cli, Command},
        progress::status,
    };

    fn fetch(words: &[&str], current: &Path) -> Result<Fetch, String> {
        let line = ["tessera", "fetch", "--coordinator", "http://h:1"].iter().chain(words);
        match Cli::try_parse_from(line).unwrap().command {
            Command::Fetch(args) => Fetch::new(args, current).map_err(|error| error.to_string()),
            other => panic!("not a fetch: {other:?}"),
        }
    }

    #[test]
    fn several_pictures_go_to_a_folder_and_one_where_it_is_told() {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| format!("{}/{name}", folder.path().display());
        let to = |words: &[&str]| match fetch(words, folder.path()).unwrap() {
            Fetch::Folder(folder) => (folder.display().to_string(), true),
            Fetch::Files(named) => (named.result.unwrap_or_default().display().to_string(), false),
        };
        assert_eq!(to(&["1", "2"]), (folder.path().display().to_string(), true));
        assert_eq!(to(&["1", "2", "-o", &path("a/b")]), (path("a/b"), true));
        assert_eq!(to(&["1", "-o", &path("c/")]), (path("c/"), true));
        fs::create_dir(path("a")).unwrap();
        assert_eq!(to(&["1", "-o", &path("a")]), (path("a"), true));
        assert_eq!(to(&["1", "-o", &path("out.png")]), (path("out.png"), false));
        assert_eq!(to(&["1"]), (String::new(), false));
        let refused = |words: &[&str]| fetch(words, folder.path()).unwrap_err();
        let one = path("out.jpg");
        let sentence = format!(
            "--output {one} is for one job, and there are 2: name a folder, or fetch them one by one"
        );
        assert_eq!(refused(&["1", "2", "-o", &one]), sentence);
        assert!(
            refused(&["1", "2", "--dump", "d.safetensors"])
                .starts_with("--dump d.safetensors is for one job")
        );
        fs::write(path("plain"), b"").unwrap();
        assert!(refused(&["1", "2", "-o", &path("plain")]).contains("is for one job"));
        let no_folder = fetch(&["1", "2", "-o", &path("plain/in")], folder.path()).unwrap();
        let error = no_folder.files(&status(Stage::Save, 1, 1, 1), folder.path()).unwrap_err().to_string();
        assert!(error.contains("the folder cannot be made"), "{error}");
        assert!(!folder.path().join("c").exists(), "a folder is made for a picture that is there");
        let made = fetch(&["1", "2", "-o", &path("a/b")], folder.path()).unwrap();
        made.files(&status(Stage::Save, 1, 1, 1), folder.path()).unwrap();
        assert!(folder.path().join("a/b").is_dir());
    }
}
