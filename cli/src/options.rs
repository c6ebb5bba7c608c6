//! Raw flags in, validated options out: all that can be refused before a process or a GPU second is spent.

mod batch;
mod fetch;
mod files;
mod format;
mod half;
mod image;
mod job;
mod latent;
mod machines;
mod model;
mod plan;
mod prompt;
mod seconds;
mod selection;
mod upscaler;

pub(crate) use batch::{Item, Items, items};
pub(crate) use fetch::Fetch;
pub(crate) use files::{Files, Named, trace_file};
pub(crate) use format::check_fetched;
pub(crate) use half::{decode, encode};
pub(crate) use image::bytes_of;
pub(crate) use machines::{Local, Machines, worker_devices};
pub(crate) use model::called;
pub(crate) use plan::{Planned, plan};
pub(crate) use seconds::seconds;
pub(crate) use selection::Selection;

use std::path::PathBuf;

use tessera_coordinator::{latent as latent_file, picture, render};
use tessera_proto::{JobId, JobSpec, job as job_spec, limits};
use tessera_worker::{engine, model as model_folder};

use crate::{
    access::{self, Target},
    args::{JobArgs, OutputArgs, RenderArgs, SubmitArgs},
    atomic, default_model,
    environment::Environment,
};

/// What `tessera render`, `decode` or `encode` shall do.
#[derive(Debug)]
pub(crate) struct Render {
    /// The job.
    pub(crate) spec: JobSpec,
    /// Whether the seed was drawn by us, and so is news to the user.
    pub(crate) seed_drawn: bool,
    /// Who computes.
    pub(crate) machines: Machines,
    /// Where results go.
    pub(crate) files: Files,
}

/// What `tessera submit` shall do.
#[derive(Debug)]
pub(crate) struct Submit {
    /// The job.
    pub(crate) spec: JobSpec,
    /// Whether the seed was drawn by us.
    pub(crate) seed_drawn: bool,
    /// The coordinator.
    pub(crate) target: Target,
}

/// Why a command line is refused; each text is one sentence that says what to change.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Neither a prompt nor a picture.
    #[error("no prompt: say what to draw, as in \"a lighthouse at dusk\"")]
    NoPrompt,
    /// Standard input holds no text.
    #[error("cannot read the prompt from standard input: {reason}")]
    PromptInput {
        /// Why.
        reason: String,
    },
    /// An upscaler's file, for workers that run elsewhere.
    #[error(
        "--upscaler {} is a file, and a cluster's workers load their own: start them with tessera worker --upscaler FILE, \
         and name it here without path and ending",
        path.display()
    )]
    UpscalerElsewhere {
        /// The file.
        path: PathBuf,
    },
    /// An upscaler's file for devices that compute nothing.
    #[error("simulated devices run no files: name one of their own upscalers, sim-2x or sim-4x")]
    SimulatedUpscaler,
    /// A tile that is neither a number nor two.
    #[error("--tile {text:?} is no tile: give one side or WIDTHxHEIGHT in latent px, as in 96 or 96x64")]
    Tile {
        /// What was given.
        text: String,
    },
    /// Two flags that contradict each other.
    #[error(
        "--sampler {sampler:?} already says the schedule {named}, and --schedule says {given}: give one of them"
    )]
    TwoSchedules {
        /// The sampler as given.
        sampler: String,
        /// Its schedule.
        named: job_spec::Schedule,
        /// The other schedule.
        given: job_spec::Schedule,
    },
    /// A number of seconds that is none.
    #[error("{flag} is {value} seconds, must be above 0 and at most {max}")]
    Seconds {
        /// The flag.
        flag: &'static str,
        /// Value received.
        value: f64,
        /// Longest time, inclusive.
        max: f64,
    },
    /// An image file that cannot be opened or is no file.
    #[error("cannot read the image {}: {reason}", path.display())]
    ImageFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// An image file with more bytes than may be sent.
    #[error("the image {} has more than {} bytes: save it as JPEG, or smaller", path.display(), limits::IMAGE_FILE)]
    ImageBytes {
        /// The file.
        path: PathBuf,
    },
    /// A latent file that cannot be opened, is no file or is too large.
    #[error("cannot read the latent {}: {reason}", path.display())]
    LatentFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file that holds no latent.
    #[error("cannot use the latent {}: {source}", path.display())]
    Latent {
        /// The file.
        path: PathBuf,
        /// Why.
        source: latent_file::Error,
    },
    /// An image file that holds no picture, or one that is too large.
    #[error("cannot use the image {}: {source}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// Why.
        source: picture::decode::Error,
    },
    /// An output file of another kind than its flag writes.
    #[error("{flag} {} must end in .{ending}", path.display())]
    Ending {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What it must end in.
        ending: &'static str,
    },
    /// A picture's file name of which no picture can be made.
    #[error("--output {}: {source}", path.display())]
    OutputFormat {
        /// The file.
        path: PathBuf,
        /// Why.
        source: job_spec::format::Error,
    },
    /// A format that is none, or cannot do what it is asked for.
    #[error(transparent)]
    Format(#[from] job_spec::format::Error),
    /// A file name of another format than the job's.
    #[error("--output {} does not end as job {job} does, whose picture is a {name}: name it .{ending}", path.display())]
    FetchedFormat {
        /// The job.
        job: JobId,
        /// The file.
        path: PathBuf,
        /// The job's format.
        name: &'static str,
        /// How its files end.
        ending: &'static str,
    },
    /// An output file's name that a folder has.
    #[error("{flag} {} is a folder: name a file in it", path.display())]
    IsFolder {
        /// The flag.
        flag: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// Two results that would go to one file.
    #[error("{first} and {flag} both name {}: give each a file of its own", path.display())]
    SameFile {
        /// The flag before.
        first: &'static str,
        /// The flag.
        flag: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// A list of workers that cannot be read.
    #[error("--workers {text:?}: {reason}")]
    Workers {
        /// What was given.
        text: String,
        /// Why.
        reason: String,
    },
    /// A model for devices that compute nothing.
    #[error(
        "simulated devices serve a model of their own: leave -m out, or name real devices with --workers"
    )]
    SimulatedModel,
    /// A device's time that is none.
    #[error("--devices holds {value}, must be milliseconds above 0 and at most {max}, as in 47,86,86")]
    DeviceTime {
        /// Value received.
        value: f64,
        /// Longest time, inclusive.
        max: f64,
    },
    /// More devices than a forecast takes.
    #[error("--devices names {count} devices, the limit is {max}")]
    Devices {
        /// Devices received.
        count: usize,
        /// Most devices.
        max: usize,
    },
    /// A model that no worker serves, and that is no folder.
    #[error(
        "no worker of this cluster serves {model}: start tessera worker, or name the model's folder, as in -m DIR"
    )]
    NotServed {
        /// The model asked for.
        model: String,
    },
    /// Workers of several models, and none was named.
    #[error("the workers serve {} models ({}): choose one with --model", names.len(), names.join(", "))]
    WhichModel {
        /// What they are called.
        names: Vec<String>,
    },
    /// An output file that cannot be written.
    #[error(transparent)]
    Output(#[from] atomic::Error),
    /// A name that means nothing.
    #[error(transparent)]
    Unknown(#[from] job_spec::Unknown),
    /// A job's field out of its bounds.
    #[error(transparent)]
    Job(#[from] job_spec::Error),
    /// A job that the model cannot do.
    #[error(transparent)]
    Plan(#[from] render::PlanError),
    /// A device that is none.
    #[error(transparent)]
    Device(#[from] engine::device::Error),
    /// A coordinator that cannot be asked.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// Several jobs that cannot be handed in.
    #[error(transparent)]
    Batch(#[from] batch::Error),
    /// A place that what several jobs have made cannot go to.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// No model given and none found.
    #[error(transparent)]
    NoModel(#[from] default_model::Error),
    /// A model folder that does not fit.
    #[error(transparent)]
    Model(#[from] model_folder::Error),
    /// No usable ONNX Runtime.
    #[error(transparent)]
    Library(#[from] engine::library::Error),
}

/// Validates `tessera render`.
///
/// # Errors
/// The first fault, in the order job, image, output, machines, model, library, plan: cheap ones first.
pub(crate) fn render(args: RenderArgs, environment: &Environment) -> Result<Render, Error> {
    let RenderArgs { job, machines, output } = args;
    let Described { mut draft, image, seed_drawn, upscaler } = described(&job)?;
    if job.turn.priority.is_none() {
        draft.priority = job_spec::Urgency::Interactive;
    }
    draft.dump = output.dump.is_some();
    draft.trace = output.trace.is_some();
    draft.format = format::of_file(output.output.as_deref(), &output.format)?;
    let stem = format!("tessera-{}", draft.seed);
    let files = named_files(output).resolve(&stem, draft.format, &environment.current)?;
    let machines = machines::resolve(machines, (job.picture.model, upscaler), environment)?;
    draft.model = machines.model_ref();
    let spec = JobSpec::new(draft)?;
    if let Some(facts) = machines.facts() {
        render::Plan::new(&spec, facts, image)?;
    }
    Ok(Render { spec, seed_drawn, machines, files })
}

/// Validates `tessera submit`.
///
/// # Errors
/// The job is out of bounds, or the coordinator's address is none.
pub(crate) fn submit(args: &SubmitArgs) -> Result<Submit, Error> {
    let target = Target::of(&args.cluster.coordinator, &args.cluster.access)?;
    let Described { mut draft, seed_drawn, upscaler, .. } = described(&args.job)?;
    if let Some(path) = upscaler {
        return Err(Error::UpscalerElsewhere { path });
    }
    draft.dump = args.dump;
    draft.trace = args.trace;
    draft.format = format::named(&args.format, &args.wish)?;
    draft.model = model::on_cluster(args.job.picture.model.clone())?.reference;
    Ok(Submit { spec: JobSpec::new(draft)?, seed_drawn, target })
}

/// The flags of a picture, understood.
#[derive(Debug)]
struct Described {
    draft: job_spec::Draft,
    /// Size of the image to start from, px.
    image: Option<job_spec::Size>,
    seed_drawn: bool,
    /// The file of the upscaler, where it was named by its file.
    upscaler: Option<PathBuf>,
}

/// Everything about the job but its model; checked once before files are read, so that the plain faults come first.
fn described(args: &JobArgs) -> Result<Described, Error> {
    let prompt = prompt::read(&args.picture, std::io::stdin().lock())?;
    let (upscaler, file) = upscaler::read(&args.hires.upscaler);
    let mut draft = job::draft(args, prompt, upscaler)?;
    JobSpec::new(draft.clone())?;
    let image = args.picture.image.as_deref().map(image::read).transpose()?;
    let size = image.as_ref().map(|image| image.size);
    draft.image = image.map(|image| image.bytes.into());
    Ok(Described { draft, image: size, seed_drawn: args.sampling.seed < 0, upscaler: file })
}

fn named_files(output: OutputArgs) -> Named {
    Named { result: output.output, dump: output.dump, report: output.report, trace: output.trace }
}

#[cfg(test)]
mod tests;
