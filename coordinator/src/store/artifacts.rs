//! Files of finished jobs in a folder: bytes in, whole files out.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tessera_proto::{Artifact, JobId, job::Format};

use super::{
    draft::{Draft, Error as DraftError, Whole},
    whole,
};
use crate::render::PictureFile;

/// A folder with one file per job and artifact.
///
/// Invariant: a file appears under its final name only when whole.
#[derive(Debug)]
pub(crate) struct Artifacts {
    folder: PathBuf,
    /// Removes the folder with us, when nobody asked to keep it.
    _temporary: Option<TempDir>,
}

// === impl Artifacts ===

impl Artifacts {
    /// Files in `folder`, which is made if it is absent; `None` = in a temporary one that goes with us.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub(crate) fn open(folder: Option<&Path>) -> io::Result<Self> {
        match folder {
            Some(folder) => {
                fs::create_dir_all(folder)?;
                Ok(Self { folder: folder.to_owned(), _temporary: None })
            }
            None => {
                let temporary = tempfile::Builder::new().prefix("tessera-").tempdir()?;
                Ok(Self { folder: temporary.path().to_owned(), _temporary: Some(temporary) })
            }
        }
    }

    /// Where an artifact of a job whose picture is of this format lies, if it does. Job ids are numbers, so no path can
    /// leave the folder.
    #[must_use]
    pub(crate) fn path(&self, job: JobId, artifact: Artifact, format: Format) -> PathBuf {
        self.named(job, artifact.extension(format))
    }

    /// Begins a picture beside its final name.
    ///
    /// # Errors
    /// The folder takes no files.
    pub(crate) fn draft(&self, job: JobId, picture: &PictureFile) -> Result<Draft, DraftError> {
        let file = whole::begin(&self.folder, &job.to_string())?;
        Draft::new(file, picture.header())
    }

    /// Gives a whole picture its final name.
    ///
    /// # Errors
    /// The folder is gone, say.
    pub(crate) fn publish(&self, job: JobId, picture: Whole) -> io::Result<()> {
        whole::publish(picture.file, &self.named(job, picture.ending))
    }

    /// Writes what lies beside a picture: beside its own name, synced, renamed.
    ///
    /// # Errors
    /// The disk is full, say; nothing lies under the final name then.
    pub(crate) fn put(&self, job: JobId, artifact: Artifact, bytes: &[u8]) -> io::Result<()> {
        let mut file = whole::begin(&self.folder, &job.to_string())?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        whole::publish(file, &self.path(job, artifact, Format::default()))
    }

    /// Removes all artifacts of a job whose picture is of this format.
    pub(crate) fn remove(&self, job: JobId, format: Format) {
        for artifact in Artifact::ALL {
            match fs::remove_file(self.path(job, artifact, format)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%job, %error, "cannot remove an artifact");
                }
                _ => {}
            }
        }
    }

    /// Removes what was begun and never finished: by a coordinator that was killed.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        whole::sweep(&self.folder)
    }

    fn named(&self, job: JobId, ending: &str) -> PathBuf {
        self.folder.join(format!("{job}.{ending}"))
    }
}

#[cfg(test)]
mod tests {
    use tessera_proto::{Rect, job::Size};

    use super::*;
    use crate::picture::Bands;

    fn file(format: Format) -> PictureFile {
        let size = Size { width: 4, height: 6 };
        PictureFile { format, size, parameters: "a".to_owned(), tessera: "{}".to_owned() }
    }

    fn count(artifacts: &Artifacts) -> usize {
        fs::read_dir(&artifacts.folder).unwrap().count()
    }

    #[test]
    fn what_was_put_lies_there_whole_until_removed() {
        let artifacts = Artifacts::open(None).unwrap();
        let (job, format) = (JobId::new(7), Format::WebP);
        let mut bands = Bands::new(4, 6).unwrap();
        let mut draft = artifacts.draft(job, &file(format)).unwrap();
        for (y0, y1) in [(0, 2), (2, 6)] {
            let rows = Rect::new(0, y0, 4, y1).unwrap();
            bands.put(rows, &vec![0.5; 3 * usize::try_from(rows.area()).unwrap()]).unwrap();
            draft.write(&bands.take().unwrap()).unwrap();
        }
        artifacts.put(job, Artifact::Report, b"{}").unwrap();
        let path = artifacts.path(job, Artifact::Picture, format);
        assert!(path.extension().unwrap() == "webp" && !path.exists());
        artifacts.publish(job, draft.finish().unwrap()).unwrap();
        assert_eq!(image::image_dimensions(&path).unwrap(), (4, 6));
        assert_eq!(count(&artifacts), 2, "nothing is left beside them");
        artifacts.remove(job, format);
        assert_eq!(count(&artifacts), 0);
        let folder = artifacts.folder.clone();
        drop(artifacts);
        assert!(!folder.exists(), "a temporary folder goes with its owner");
    }

    #[test]
    fn a_picture_that_is_not_finished_leaves_nothing() {
        let artifacts = Artifacts::open(None).unwrap();
        let draft = artifacts.draft(JobId::new(7), &file(Format::default())).unwrap();
        assert_eq!(count(&artifacts), 1);
        let error = draft.finish().unwrap_err().to_string();
        assert_eq!(error, "a picture of 6 rows got 0");
        assert_eq!(count(&artifacts), 0);
    }
}
