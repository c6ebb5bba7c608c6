//! What users see of jobs and workers.

use serde::{Deserialize, Serialize};

use crate::{
    ContentHash, JobId, ModelFacts, Speed, WorkerId,
    job::{Format, Size, Unknown, Urgency},
};

/// Where a job stands in its life.
///
/// ```text
/// Waiting ─> Running ─> Done
///    └──────────┴─────> Failed, Cancelled
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a worker that has the job's model.
    Waiting,
    /// Tasks are being run.
    Running,
    /// The picture can be fetched.
    Done,
    /// It ended without a picture.
    Failed,
    /// A user ended it.
    Cancelled,
}

/// The part of a job that is being worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Prompts to conditioning.
    Embed,
    /// The base picture's latent.
    Base,
    /// Base to hires latent, with the VAE's help or without.
    Upscale,
    /// The large latent, tile by tile.
    Hires,
    /// Picture to latent, where the latent is what the job makes.
    Encode,
    /// Latent to picture.
    Decode,
    /// The result to its file.
    Save,
}

/// Who can mend a failed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The user: another request would work.
    Request,
    /// The operator: workers are missing, lost or broken.
    Cluster,
}

/// A job at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobStatus {
    /// The job.
    #[serde(serialize_with = "as_text")]
    pub job: JobId,
    /// Where it stands.
    pub state: JobState,
    /// What is being worked on.
    pub stage: Stage,
    /// Tasks done in this stage.
    pub stage_done: u64,
    /// Tasks of this stage.
    pub stage_total: u64,
    /// Tasks done in the job.
    pub done: u64,
    /// Tasks of the job.
    pub total: u64,
    /// Time since the job was submitted, ms.
    pub age_ms: u64,
    /// Time in this stage, ms.
    pub stage_ms: u64,
    /// Workers that serve the job's model.
    pub workers: u32,
    /// Why it failed, and who can mend that.
    pub failure: Option<JobFailure>,
    /// What the plan wants the user to know.
    pub notes: Vec<String>,
    /// Why nothing happens to it at the moment, where something outside it is in the way; `None` = nothing is.
    pub paused: Option<String>,
    /// How its picture is written.
    pub format: Format,
    /// Size of its picture, px, once it is planned.
    pub size: Option<Size>,
    /// Whose it is; empty = nobody said.
    pub user: String,
    /// How much of a busy fleet it gets.
    pub priority: Urgency,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct JobFailure {
    /// Who can mend it.
    pub class: FailureClass,
    /// One sentence.
    pub message: String,
}

/// What has happened to a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JobHistory {
    /// Oldest first.
    pub events: Vec<JobEvent>,
    /// How many were between the first and the last of a job to which much has happened, and are not kept.
    pub left_out: u64,
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEvent {
    /// When, ms since 1970.
    pub at_ms: u64,
    /// For people.
    pub message: String,
}

/// A worker at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerStatus {
    /// The worker.
    #[serde(serialize_with = "as_text")]
    pub worker: WorkerId,
    /// Its name for people.
    pub name: String,
    /// Its device.
    pub device: String,
    /// Name of its model.
    pub model_name: String,
    /// Content hash of its model, hexadecimal.
    pub model_hash: String,
    /// Tasks in hand.
    pub tasks_in_hand: u32,
    /// Tasks done since it connected.
    pub tasks_done: u64,
    /// Time since its last sign of life, ms.
    pub last_seen_ms: u64,
    /// How long its tasks take, of each class that it has done.
    pub speeds: Vec<Speed>,
    /// Whether it finishes what it has and takes no more.
    pub draining: bool,
    /// Why it is given no more tasks; `None` = it is.
    pub quarantine: Option<String>,
    /// What must be known of its model to plan with it; `None` = it has none yet.
    #[serde(skip)]
    pub model: Option<ModelFacts>,
    /// Whether it serves whatever model it is told to.
    pub fetches: bool,
    /// The model that it fetches now.
    pub fetching: Option<ContentHash>,
    /// Why it could not get a model lately.
    pub failure: Option<String>,
}

/// What can be fetched of a finished job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Artifact {
    /// The picture, in the job's format.
    Picture,
    /// The latent that an encode makes: safetensors.
    Latent,
    /// Intermediate tensors: safetensors.
    Dump,
    /// Plan, times and costs: JSON.
    Report,
    /// When each task ran and what it waited for: JSON for Perfetto.
    Trace,
}

// === impl JobState ===

impl JobState {
    /// All of them, in the order of a job's life.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    /// The state's name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of such a name; case does not matter.
    ///
    /// # Errors
    /// No state is called so; the error suggests the nearest.
    pub fn parse(text: &str) -> Result<Self, Unknown> {
        let named = |state: &Self| state.name().eq_ignore_ascii_case(text);
        let names = || Self::ALL.map(|state| state.name().to_owned()).to_vec();
        Self::ALL.into_iter().find(named).ok_or_else(|| Unknown::among(text, "state", names()))
    }

    /// Whether nothing more will happen to the job.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

// === impl Stage ===

impl Stage {
    /// The stage's name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::Base => "base",
            Self::Upscale => "upscale",
            Self::Hires => "hires",
            Self::Encode => "encode",
            Self::Decode => "decode",
            Self::Save => "save",
        }
    }
}

// === impl Artifact ===

impl Artifact {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Picture, Self::Latent, Self::Dump, Self::Report, Self::Trace];

    /// Its name in a list of files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Picture => "picture",
            Self::Latent => "latent",
            Self::Dump => "dump",
            Self::Report => "report",
            Self::Trace => "trace",
        }
    }

    /// The artifact of such a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|artifact| artifact.name() == name)
    }

    /// The ending of the artifact's file name, where pictures are of this format.
    #[must_use]
    pub const fn extension(self, format: Format) -> &'static str {
        match self {
            Self::Picture => format.ending(),
            // It may lie beside a dump.
            Self::Latent => "latent.safetensors",
            Self::Dump => "safetensors",
            Self::Report => "json",
            Self::Trace => "trace.json",
        }
    }
}

fn as_text<T: std::fmt::Display, S: serde::Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
