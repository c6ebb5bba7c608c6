//! Files of finished jobs in a folder: bytes in, whole files out.

use std::io;

use tempfile::TempDir;
use tessera_proto::{Artifact, JobId, job::Format};

use super::{
    depot::{Depot, Stored},
    draft::{Draft, Error as DraftError, Whole},
};
use crate::{Place, render::PictureFile};

/// One file per job and artifact.
#[derive(Debug)]
pub(crate) struct Artifacts {
    depot: Depot,
    /// Where pictures are made that go into a bucket; the files themselves, when nobody asked to keep them. It goes with us.
    temporary: TempDir,
}

// === impl Artifacts ===

impl Artifacts {
    /// Files in a place; a folder is made if it is absent. `None` = in a temporary one that goes with us.
    ///
    /// # Errors
    /// The place cannot be used.
    pub(crate) fn open(place: Option<&Place>) -> io::Result<Self> {
        let temporary = tempfile::Builder::new().prefix("tessera-").tempdir()?;
        let own = Place::Folder(temporary.path().to_owned());
        Ok(Self { depot: Depot::open(place.unwrap_or(&own))?, temporary })
    }

    /// Where the files lie, and where those are made that go into a bucket.
    pub(super) const fn places(&self) -> (&Depot, &TempDir) {
        (&self.depot, &self.temporary)
    }

    /// An artifact of a job whose picture is of this format.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub(crate) fn stored(&self, job: JobId, artifact: Artifact, format: Format) -> io::Result<Stored> {
        self.depot.stored(&named(job, artifact.extension(format)))
    }

    /// Begins a picture.
    ///
    /// # Errors
    /// The folder takes no files.
    pub(crate) fn draft(&self, job: JobId, picture: &PictureFile) -> Result<Draft, DraftError> {
        let file = self.depot.begin(&job.to_string(), &self.temporary)?;
        Draft::new(file, picture.header())
    }

    /// Gives a whole picture its final name.
    ///
    /// # Errors
    /// The folder is gone, say.
    pub(crate) fn publish(&self, job: JobId, picture: Whole) -> io::Result<()> {
        self.depot.publish(picture.file, &named(job, picture.ending))
    }

    /// Writes what lies beside a picture.
    ///
    /// # Errors
    /// The disk is full, say; nothing lies under the final name then.
    pub(crate) fn put(&self, job: JobId, artifact: Artifact, bytes: Vec<u8>) -> io::Result<()> {
        self.depot.put(&named(job, artifact.extension(Format::default())), bytes)
    }

    /// Whether [`remove`](Self::remove) is over in no time.
    pub(crate) const fn is_near(&self) -> bool {
        self.depot.is_folder()
    }

    /// Removes all artifacts of a job whose picture is of this format.
    pub(crate) fn remove(&self, job: JobId, format: Format) {
        for artifact in Artifact::ALL {
            if let Err(error) = self.depot.remove(&named(job, artifact.extension(format))) {
                tracing::warn!(%job, %error, "cannot remove an artifact");
            }
        }
    }

    /// Removes what was begun and never finished: by a coordinator that was killed.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        self.depot.sweep()
    }
}

/// Job ids are numbers, so no name can lead elsewhere.
fn named(job: JobId, ending: &str) -> String {
    format!("{job}.{ending}")
}

#[cfg(test)]
mod tests {
    use tessera_proto::{Rect, job::Size};

    use std::fs;

    use super::*;
    use crate::picture::Bands;

    fn file(format: Format) -> PictureFile {
        let size = Size { width: 4, height: 6 };
        PictureFile { format, size, parameters: "a".to_owned(), tessera: "{}".to_owned() }
    }

    fn count(artifacts: &Artifacts) -> usize {
        fs::read_dir(artifacts.temporary.path()).unwrap().count()
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
        artifacts.put(job, Artifact::Report, b"{}".to_vec()).unwrap();
        let path = artifacts.temporary.path().join(format!("{job}.webp"));
        assert!(artifacts.stored(job, Artifact::Picture, format).is_err() && !path.exists());
        artifacts.publish(job, draft.finish().unwrap()).unwrap();
        assert_eq!(image::image_dimensions(&path).unwrap(), (4, 6));
        assert_eq!(count(&artifacts), 2, "nothing is left beside them");
        let mut stored = artifacts.stored(job, Artifact::Picture, format).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(stored.total(), bytes.len() as u64);
        let (head, rest) = (stored.read(0, 3).unwrap(), stored.read(3, 1 << 20).unwrap());
        assert_eq!([head, rest].concat(), bytes);
        assert!(stored.read(stored.total(), 3).unwrap().is_empty());
        artifacts.remove(job, format);
        assert_eq!(count(&artifacts), 0);
        let folder = artifacts.temporary.path().to_owned();
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
