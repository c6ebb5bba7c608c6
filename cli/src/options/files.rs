//! Where results go: names as given in, checked paths that can be written out.

use std::path::{Path, PathBuf};

use tessera_proto::{Artifact, job::Format};

use super::Error;
use crate::atomic;

/// Names as users gave them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Named {
    /// The picture, or the latent that is made instead.
    pub(crate) result: Option<PathBuf>,
    /// The intermediate tensors.
    pub(crate) dump: Option<PathBuf>,
    /// Plan, times and costs.
    pub(crate) report: Option<PathBuf>,
    /// When each task ran.
    pub(crate) trace: Option<PathBuf>,
}

/// Paths that could be written a moment ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    /// What the job makes.
    pub(crate) result: PathBuf,
    /// What that is: a picture or a latent.
    pub(crate) artifact: Artifact,
    /// The intermediate tensors.
    pub(crate) dump: Option<PathBuf>,
    /// Plan, times and costs.
    pub(crate) report: Option<PathBuf>,
    /// When each task ran.
    pub(crate) trace: Option<PathBuf>,
}

// === impl Named ===

impl Named {
    /// Whether the user gave any.
    pub(crate) const fn is_named(&self) -> bool {
        let Self { result, dump, report, trace } = self;
        result.is_some() || dump.is_some() || report.is_some() || trace.is_some()
    }

    /// Checks the names; an unnamed picture becomes `STEM.png` in `folder`, or `STEM-2.png` and so on where that exists, with
    /// the ending of `format`. A named one says its format itself.
    ///
    /// # Errors
    /// A name has the wrong ending, is a folder's, or lies in a folder that is absent or not writable.
    pub(crate) fn resolve(self, stem: &str, format: Format, folder: &Path) -> Result<Files, Error> {
        let picture = self.result.unwrap_or_else(|| free_name(folder, stem, format.ending()));
        let result = writable("--output", picture)?;
        let dump = self.dump.map(|path| check("--dump", path, "safetensors")).transpose()?;
        let report = self.report.map(|path| check("--report", path, "json")).transpose()?;
        let trace = self.trace.map(trace_file).transpose()?;
        apart([("--output", Some(&result)), ("--report", report.as_ref()), ("--trace", trace.as_ref())])?;
        Ok(Files { result, artifact: Artifact::Picture, dump, report, trace })
    }

    /// The same for a job that makes a latent; an unnamed one becomes `STEM.safetensors`.
    ///
    /// # Errors
    /// As [`Named::resolve`].
    pub(crate) fn resolve_latent(self, stem: &str, folder: &Path) -> Result<Files, Error> {
        let latent = self.result.unwrap_or_else(|| free_name(folder, stem, "safetensors"));
        let result = check("--output", latent, "safetensors")?;
        let report = self.report.map(|path| check("--report", path, "json")).transpose()?;
        let trace = self.trace.map(trace_file).transpose()?;
        apart([("--output", Some(&result)), ("--report", report.as_ref()), ("--trace", trace.as_ref())])?;
        Ok(Files { result, artifact: Artifact::Latent, dump: None, report, trace })
    }
}

/// Checks the name of a trace's file.
///
/// # Errors
/// As [`Named::resolve`].
pub(crate) fn trace_file(path: PathBuf) -> Result<PathBuf, Error> {
    check("--trace", path, "json")
}

/// Whether no two results go to one file.
fn apart<const N: usize>(files: [(&'static str, Option<&PathBuf>); N]) -> Result<(), Error> {
    for (index, &(flag, path)) in files.iter().enumerate() {
        let same = |(_, other): &&(&str, Option<&PathBuf>)| path.is_some() && *other == path;
        if let Some(&(first, _)) = files[..index].iter().find(same) {
            let path = path.cloned().unwrap_or_default();
            return Err(Error::SameFile { first, flag, path });
        }
    }
    Ok(())
}

fn check(flag: &'static str, path: PathBuf, ending: &'static str) -> Result<PathBuf, Error> {
    if !path.extension().is_some_and(|given| given.eq_ignore_ascii_case(ending)) {
        return Err(Error::Ending { flag, path, ending });
    }
    writable(flag, path)
}

fn writable(flag: &'static str, path: PathBuf) -> Result<PathBuf, Error> {
    if path.is_dir() {
        return Err(Error::IsFolder { flag, path });
    }
    // Permissions, mounts and quotas have too many rules to look at: try, and leave nothing.
    drop(atomic::Draft::create(&path)?);
    Ok(path)
}

/// The first of `STEM.png`, `STEM-2.png`, … that no file has, with this ending.
fn free_name(folder: &Path, stem: &str, ending: &str) -> PathBuf {
    let plain = folder.join(format!("{stem}.{ending}"));
    if !plain.exists() {
        return plain;
    }
    (2_u32..)
        .map(|number| folder.join(format!("{stem}-{number}.{ending}")))
        .find(|path| !path.exists())
        .unwrap_or(plain)
}
