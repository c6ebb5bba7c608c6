//! What happens to a job, and what it wants done.

use tessera_proto::{
    Answer, Artifact, Digest, Tensor,
    job::{Format, Size},
};

use super::{encoding::Encoding, pass::Pass};
use crate::{
    fleet::{Class, TaskNumber},
    picture::{Band, Header, Metadata, Range},
    render::{error::Error, pass::GroupIndex},
};

/// A cause of progress.
#[derive(Debug)]
pub enum Event {
    /// A task's result, which counts.
    Done {
        /// The task.
        task: TaskNumber,
        /// What its network returned.
        answer: Answer,
    },
    /// A computation has ended.
    Computed(Result<Computed, Error>),
    /// More rows of the picture are written.
    Written {
        /// How many.
        rows: u32,
    },
}

/// Something that the job wants done, in order.
#[derive(Debug)]
pub enum Action {
    /// Tasks that may be run now.
    Enqueue(Vec<Request>),
    /// Tensors that tasks on many workers will name.
    Share(Vec<Digest>),
    /// No later task of this job names the tensor.
    Release(Digest),
    /// No task that was enqueued so far is wanted any more.
    Withdraw {
        /// A tensor of which workers shall keep nothing; tasks that follow may name it again.
        forget: Option<Digest>,
    },
    /// Arithmetic too long for the thread that steps latents; its result comes back as an event.
    Compute(Computation),
    /// The picture's file begins.
    Begin(PictureFile),
    /// The file's next rows; each such action is answered by [`Event::Written`].
    Write(Band),
    /// The file has all its rows, and the job is done.
    Finish(Output),
}

/// A task that may be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The task.
    pub task: TaskNumber,
    /// Position in the job: stage, then model call. What is behind goes first.
    pub call: u64,
    /// `u32::MAX` less the tiles that wait for it.
    pub rank: u32,
    /// What decides how long it takes.
    pub class: Class,
    /// Tasks of the job that can be done, from now on, until the job stands still for want of this one.
    pub slack: u64,
    /// Tensors that its work names.
    pub tensors: Vec<Digest>,
    /// The line of tasks that it goes on with, if any: its worker keeps what the ones before have left.
    pub line: Option<u32>,
}

/// Arithmetic on values that it owns.
pub struct Computation(pub(super) Box<dyn FnOnce() -> Result<Computed, Error> + Send>);

/// What a computation returns.
#[derive(Debug)]
pub enum Computed {
    /// A pass that can begin, and the groups that may be sent.
    Started {
        /// The pass.
        pass: Box<Pass>,
        /// Its first groups.
        ready: Vec<GroupIndex>,
        /// Tensors to keep for the dump, by name.
        kept: Vec<(&'static str, Tensor)>,
    },
    /// A pass that was taken up again.
    Resumed {
        /// The pass.
        pass: Box<Pass>,
        /// The groups that may be sent now.
        ready: Vec<GroupIndex>,
    },
    /// A latent to decode, `[c, h, w]`, scaled as the UNet sees it.
    Latent(Vec<f32>),
    /// A picture of the encoder's size, ready to be encoded.
    Enlarged(Box<Encoding>),
    /// What an encoder's tiles have made, ready for the network's last part.
    Joined(Box<Encoding>),
    /// The latent that was asked for: safetensors.
    Encoded(Vec<u8>),
    /// The intermediate tensors: safetensors.
    Dumped(Vec<u8>),
}

/// A picture's file before its first row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureFile {
    /// How it is written.
    pub format: Format,
    /// Size of the picture, px.
    pub size: Size,
    /// A1111's text.
    pub parameters: String,
    /// The whole job: JSON.
    pub tessera: String,
}

/// What a finished job leaves beside its picture, or instead of one.
#[derive(Default)]
pub struct Output {
    /// The latent, safetensors, of a job that makes one.
    pub latent: Option<Vec<u8>>,
    /// Intermediate tensors, safetensors, when they were asked for.
    pub dump: Option<Vec<u8>>,
}

// === impl Computation ===

impl Computation {
    pub(super) fn new(run: impl FnOnce() -> Result<Computed, Error> + Send + 'static) -> Self {
        Self(Box::new(run))
    }

    /// Does it. Takes milliseconds to seconds.
    #[must_use]
    pub fn run(self) -> Event {
        Event::Computed((self.0)())
    }
}

impl std::fmt::Debug for Computation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Computation")
    }
}

// === impl PictureFile ===

impl PictureFile {
    /// What its writer needs to know.
    #[must_use]
    pub fn header(&self) -> Header<'_> {
        let metadata = Metadata { parameters: Some(&self.parameters), tessera: Some(&self.tessera) };
        let Size { width, height } = self.size;
        Header { format: self.format, width, height, range: Range::Signed, metadata }
    }
}

// === impl Output ===

impl Output {
    /// The files that a job with this output has.
    #[must_use]
    pub fn artifacts(&self) -> Vec<Artifact> {
        let made = if self.latent.is_some() { Artifact::Latent } else { Artifact::Picture };
        let dump = self.dump.as_ref().map(|_| Artifact::Dump);
        [made, Artifact::Report].into_iter().chain(dump).collect()
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [latent, dump] = [&self.latent, &self.dump].map(|file| file.as_ref().map(Vec::len));
        write!(f, "Output({latent:?} bytes of latent, {dump:?} bytes of tensors)")
    }
}
