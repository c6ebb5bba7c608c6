//! What of a job outlives its coordinator: specifications and last statuses in, bytes out, and back.

use prost::Message;

use super::Error;
use crate::{JobSpec, JobStatus, wire};

impl JobSpec {
    /// The job as bytes, for [`from_bytes`](Self::from_bytes) of this or a later release.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::JobSpec::from(self.clone()).encode_to_vec()
    }

    /// Reads such bytes.
    ///
    /// # Errors
    /// They are damaged, or the job is not one that this release accepts.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        wire::JobSpec::decode(bytes).map_err(|_| Error::Damaged { what: "job" })?.try_into()
    }
}

impl JobStatus {
    /// The status as bytes, for [`from_bytes`](Self::from_bytes) of this or a later release.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::JobStatus::from(self.clone()).encode_to_vec()
    }

    /// Reads such bytes.
    ///
    /// # Errors
    /// They are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        wire::JobStatus::decode(bytes).map_err(|_| Error::Damaged { what: "status" })?.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Draft, Posterior, Urgency};

    #[test]
    fn a_job_is_read_as_it_was_written() {
        for draft in [Draft::text_to_image("a (red:1.2) house"), Draft::encode("png", Posterior::Mean)] {
            let spec = JobSpec::new(draft).unwrap();
            assert_eq!(JobSpec::from_bytes(&spec.to_bytes()).unwrap(), spec);
        }
        let error = JobSpec::from_bytes(&[255; 9]).unwrap_err().to_string();
        assert_eq!(error, "the stored job is damaged");
    }

    #[test]
    fn a_status_of_an_earlier_release_is_nobodys_and_batch() {
        let earlier = wire::JobStatus {
            job: "00000000000000aa".to_owned(),
            state: wire::JobState::Done.into(),
            stage: wire::Stage::Save.into(),
            format: Some(wire::OutputFormat::from(crate::job::Format::default())),
            ..wire::JobStatus::default()
        };
        let status = JobStatus::from_bytes(&earlier.encode_to_vec()).unwrap();
        assert_eq!((status.user.as_str(), status.priority), ("", Urgency::Batch));
        let status = JobStatus { user: "ann".to_owned(), priority: Urgency::Interactive, ..status };
        assert_eq!(JobStatus::from_bytes(&status.to_bytes()).unwrap(), status);
    }
}
