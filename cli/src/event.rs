//! What scripts read on standard output with `--json`: one object per line, told apart by `event`.

use std::path::Path;

use serde::Serialize;
use tessera_proto::JobStatus;

/// One line of `--json`.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    /// A job was handed in.
    Submitted {
        /// The job's id.
        job: String,
        /// The seed of its noise, if it draws any.
        #[serde(skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
        /// The line or picture that it was made of, where it is one of several.
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<String>,
    },
    /// A job's state changed.
    Status {
        /// The state.
        #[serde(flatten)]
        status: &'a JobStatus,
    },
    /// The picture or latent was written: always the last line.
    Done {
        /// The job's id.
        job: String,
        /// Its file.
        path: &'a Path,
        /// Width of the picture, or of that which the latent is of, px.
        width: u32,
        /// Its height likewise, px.
        height: u32,
        /// From the start of the command to the file, s.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
        /// The seed of the noise.
        #[serde(skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
    },
}
