//! One job as a state machine: events in, actions out. Pure.
//!
//! ```text
//!                 ┌ image ─> enlarge ────────────────────┐
//! embed ─> start ─┤                                      v
//!                 └ text ──> base pass ─┬─> decode ─> enlarge ─> encode ─┐    (upscaler on pictures)
//!                               │       └────────> resize latent ────────┤    (upscaler on latents)
//!                               │ scale 1                                v
//!                               └─────────────> decode <─────────── hires pass
//!                                                 └─ rows ─> file ─> finished
//! ```
//!
//! A job whose goal is one half of the VAE alone begins at its decode or its encode, and ends with it.
//!
//! To enlarge a picture means the passes of an upscaling network, where the job names one, and then Lanczos.
//!
//! The finished picture's rows go to its file while it is decoded; the job lets its last tiles run only so far ahead of the
//! rows that are written.
//!
//! It never sees a worker: a task is a number here, and its work is made when somebody is there to run it, from state
//! that cannot change before its result is in.

mod cost;
mod encode;
mod half;
mod passes;
mod questions;
mod relief;
mod rest;
mod save;
mod tasks;
mod upscale;

use std::sync::Arc;

use tessera_proto::{Answer, Digest, Stage, Tensor};

use super::{
    compute::{self, Dump, Names, Noise, Origin},
    conditioning::{self, Embeddings},
    decoding::{self, Decoding},
    encoding::Encoding,
    error::Error,
    event::{Action, Computation, Computed, Event, Output},
    exact::Step,
    pass::{GroupIndex, Pass},
    plan::{DecodePlan, EncodePlan, End, Enlarge, PassSetup, Plan},
    source::Source,
    surface::Surface,
    upscale::Upscale,
};
use crate::{canvas::TileIndex, picture::Picture};

use tasks::{Item, Tasks};
pub use tasks::{Place, Progress};

/// A job under way.
#[derive(Debug)]
pub struct Job {
    plan: Arc<Plan>,
    /// The given picture, until it is resized.
    source: Option<Picture>,
    embeddings: Embeddings,
    state: State,
    tasks: Tasks,
    dump: Option<Dump>,
    progress: Progress,
}

/// What the job waits for.
#[derive(Debug)]
enum State {
    /// The embeddings; those that have come, by text.
    Embedding(Vec<Option<Tensor>>),
    /// A computation; `then` says what its result is for.
    Computing(Then),
    /// A pass.
    Denoising(Then, Box<Pass>),
    /// A decode.
    Decoding(Box<Decoding>),
    /// A pass of an upscaling network.
    Upscaling(Box<Upscale>),
    /// The encode before the hires pass.
    Encoding(Box<Encoding>),
    /// Nothing: it is over.
    Ended,
}

/// Which half of the job something is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The base picture, or what enlarges it.
    Base,
    /// The finished picture.
    Hires,
}

// === impl Job ===

impl Job {
    /// Begins with what the job starts from.
    #[must_use]
    pub fn new(plan: Plan, source: impl Into<Source>) -> (Self, Vec<Action>) {
        let total = plan.summary().tasks as u64;
        let texts = plan.texts.len();
        let dump = plan.spec().dump.then(Dump::default);
        let first = plan.spec().goal.first_stage();
        let mut job = Self {
            plan: Arc::new(plan),
            source: None,
            embeddings: Embeddings::default(),
            state: State::Embedding(vec![None; texts]),
            tasks: Tasks::default(),
            dump,
            progress: Progress::new(first, total, texts as u64),
        };
        let actions = match source.into() {
            Source::Latent(latent) => Some(job.begin_decode(latent)),
            Source::Picture(picture) if matches!(job.plan.end, End::Latent(_)) => Some(job.resize(picture)),
            Source::Picture(picture) => {
                job.source = Some(picture);
                None
            }
            Source::Nothing => None,
        };
        if let Some(actions) = actions {
            return (job, actions);
        }
        // One task a text: a long one must not make a message that holds them all.
        let requests = (0..texts).map(|text| job.tasks.open(Item::Embed(text), (0, 0), Vec::new())).collect();
        let actions = job.enqueue(requests);
        (job, actions)
    }

    /// What the job was planned to do.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How far it is.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// A tensor that a task's work names.
    #[must_use]
    pub fn tensor(&self, digest: Digest) -> Option<Arc<Tensor>> {
        self.embeddings.get(digest).map(Arc::clone).or_else(|| match &self.state {
            State::Encoding(encoding) => encoding.tensor(digest),
            _ => self.source().filter(|(name, _)| *name == digest).map(|(_, source)| Arc::clone(source)),
        })
    }

    /// All tensors that works of this job may name.
    pub fn tensors(&self) -> impl Iterator<Item = Digest> {
        let encoded = match &self.state {
            State::Encoding(encoding) => encoding.digests(),
            _ => Vec::new(),
        };
        self.embeddings.digests().chain(self.source().map(|(digest, _)| digest)).chain(encoded)
    }

    /// The latent that an exact decode's works name.
    fn source(&self) -> Option<(Digest, &Arc<Tensor>)> {
        match &self.state {
            State::Decoding(decoding) => decoding.source(),
            _ => None,
        }
    }

    /// Moves on.
    ///
    /// # Errors
    /// A result does not fit its task, or a computation failed: the job cannot go on.
    pub fn apply(&mut self, event: Event) -> Result<Vec<Action>, Error> {
        match event {
            Event::Done { task, answer } => {
                let Some(item) = self.tasks.close(task) else {
                    return Ok(Vec::new());
                };
                self.progress.count();
                self.done(item, answer)
            }
            Event::Computed(computed) => self.computed(computed?),
            Event::Written { rows } => Ok(self.wrote(rows)),
        }
    }

    fn done(&mut self, item: Item, answer: Answer) -> Result<Vec<Action>, Error> {
        if let Item::Decode(tile) = item {
            return self.decoded_tile(tile, answer);
        }
        match item {
            Item::Measure => return Ok(self.measured(answer)),
            Item::Encode(tile) => return self.encode_done(Some(tile), answer),
            Item::EncodeEnd => return self.encode_done(None, answer),
            _ => {}
        }
        let tensor = decoding::only(answer)?;
        match (item, &mut self.state) {
            (Item::Embed(text), State::Embedding(tensors)) => {
                tensors[text] = Some(tensor);
                if tensors.iter().any(Option::is_none) {
                    return Ok(Vec::new());
                }
                self.embeddings = Embeddings::new(tensors.drain(..).flatten());
                self.embedded()
            }
            (Item::Group(group), State::Denoising(_, pass)) => {
                let ready = pass.complete(group, &tensor)?;
                if pass.is_done() { self.denoised() } else { Ok(self.enqueue_groups(ready)) }
            }
            (Item::Upscale(tile), State::Upscaling(_)) => self.upscaled(tile, tensor),
            // A task of a stage that is over cannot be open: a stage ends with its last task.
            _ => Ok(Vec::new()),
        }
    }

    fn computed(&mut self, computed: Computed) -> Result<Vec<Action>, Error> {
        match (computed, std::mem::replace(&mut self.state, State::Ended)) {
            (Computed::Started { pass, ready, kept }, State::Computing(then)) => {
                if let Some(dump) = &mut self.dump {
                    kept.into_iter().for_each(|(name, tensor)| dump.keep(name, tensor));
                }
                let stage = if then == Then::Base { Stage::Base } else { Stage::Hires };
                self.progress.enter(stage, pass.plan().tasks());
                self.state = State::Denoising(then, pass);
                let mut actions = self.enqueue_groups(ready);
                if stage == Stage::Base {
                    actions.extend(self.share());
                }
                Ok(actions)
            }
            (Computed::Resumed { pass, ready }, State::Computing(then)) => {
                Ok(self.resumed(then, pass, ready))
            }
            (Computed::Latent(latent), State::Computing(_)) => self.save(&latent),
            (Computed::Enlarged(encoding), State::Computing(_)) => {
                let tasks = self.plan.encode().map_or(0, EncodePlan::tasks);
                Ok(self.begin_encode(encoding, tasks))
            }
            (Computed::Joined(encoding), State::Computing(_)) => Ok(self.end_encode(encoding)),
            (Computed::Dumped(dump), State::Computing(_)) => {
                Ok(vec![Action::Finish(Output { dump: Some(dump), latent: None })])
            }
            (Computed::Encoded(latent), State::Computing(_)) => {
                Ok(vec![Action::Finish(Output { latent: Some(latent), dump: None })])
            }
            _ => Ok(Vec::new()),
        }
    }

    fn embedded(&mut self) -> Result<Vec<Action>, Error> {
        if let (Some(dump), Some(setup)) =
            (&mut self.dump, self.plan.base.as_ref().or(self.plan.hires.as_ref()))
        {
            let [prompt, negative] = self.embeddings.first(setup);
            prompt.into_iter().for_each(|tensor| dump.keep("prompt_embeds", tensor));
            negative.into_iter().for_each(|tensor| dump.keep("negative_embeds", tensor));
        }
        let plan = Arc::clone(&self.plan);
        if let Some(base) = &plan.base {
            self.progress.enter(Stage::Base, base.plan.tasks());
            let (pass, noise) = (base.plan.clone(), self.noise(Then::Base));
            return Ok(self.compute(Then::Base, move || compute::start(pass, Origin::Noise, noise)));
        }
        let Some(source) = self.source.take() else {
            return Ok(Vec::new());
        };
        self.progress.enter(Stage::Upscale, 0);
        let mut actions = self.enlarge(source)?;
        actions.extend(self.share());
        Ok(actions)
    }

    /// The conditioning of a tiled hires pass, while that is still ahead.
    fn share(&self) -> Option<Action> {
        let tiled = self.plan.hires.as_ref().is_some_and(|hires| 1 < hires.plan.groups());
        tiled.then(|| Action::Share(self.embeddings.digests().collect()))
    }

    fn compute(
        &mut self,
        then: Then,
        run: impl FnOnce() -> Result<Computed, Error> + Send + 'static,
    ) -> Vec<Action> {
        self.state = State::Computing(then);
        vec![Action::Compute(Computation::new(run))]
    }

    fn enqueue_groups(&mut self, ready: Vec<GroupIndex>) -> Vec<Action> {
        let State::Denoising(then, pass) = &self.state else {
            return Vec::new();
        };
        let cfg_scale = self.plan.spec().cfg_scale;
        let stage = if *then == Then::Base { 1 } else { 4 };
        let items: Vec<_> = ready
            .into_iter()
            .map(|group| {
                let (call, _) = pass.call(group);
                let guidance = self.embeddings.guidance(self.setup(*then), call, cfg_scale);
                (group, call, pass.neighbours(group), conditioning::names(&guidance))
            })
            .collect();
        let mut requests = Vec::with_capacity(items.len());
        for (group, call, neighbours, tensors) in items {
            let position = (stage << 32) | call as u64;
            requests.push(self.tasks.open(Item::Group(group), (position, neighbours), tensors));
        }
        self.enqueue(requests)
    }

    /// Tiles of the decode that may be run now, or their next steps.
    fn enqueue_decode(&mut self) -> Vec<Action> {
        let State::Decoding(decoding) = &mut self.state else {
            return Vec::new();
        };
        if decoding.measure().is_some() {
            return self.enqueue_measure();
        }
        let tiles = decoding.release();
        if tiles.is_empty() {
            return Vec::new();
        }
        let source = decoding.source().map(|(source, _)| source);
        let call = ((self.progress.stage as u64) << 32) | decoding.passed() as u64;
        let tiles = tiles.map(TileIndex);
        let requests = tiles.map(|tile| match source {
            Some(source) => self.tasks.open_next(Item::Decode(tile), call, source),
            None => self.tasks.open(Item::Decode(tile), (call, 0), Vec::new()),
        });
        let requests = requests.collect();
        self.enqueue(requests)
    }

    /// The estimate that tiles in fast mode wait for.
    fn enqueue_measure(&mut self) -> Vec<Action> {
        let call = (self.progress.stage as u64) << 32;
        let request = self.tasks.open(Item::Measure, (call, 0), Vec::new());
        self.enqueue(vec![request])
    }

    /// The estimate is there.
    fn measured(&mut self, answer: Answer) -> Vec<Action> {
        let Answer::Statistics(statistics) = answer else { return Vec::new() };
        match &mut self.state {
            State::Decoding(decoding) => {
                decoding.measured(statistics);
                self.enqueue_decode()
            }
            State::Encoding(encoding) => {
                encoding.measured(statistics);
                self.enqueue_encode()
            }
            _ => Vec::new(),
        }
    }

    fn enqueue_tiles(&mut self, tiles: usize, item: impl Fn(TileIndex) -> Item) -> Vec<Action> {
        let indices = (0..).map(TileIndex).take(tiles);
        let stage = self.progress.stage as u64;
        let requests = indices.map(|tile| self.tasks.open(item(tile), (stage << 32, 0), Vec::new()));
        let requests = requests.collect();
        self.enqueue(requests)
    }

    fn setup(&self, then: Then) -> &PassSetup {
        let setup = match then {
            Then::Base => self.plan.base.as_ref(),
            Then::Hires => self.plan.hires.as_ref(),
        };
        setup.expect("a pass that runs was planned")
    }

    fn noise(&self, then: Then) -> Noise {
        let names = match then {
            Then::Base => Names { noise: "base_noise", origin: "base_origin", start: "base_start" },
            Then::Hires => Names { noise: "hires_noise", origin: "upscaled_latent", start: "hires_start" },
        };
        let spec = self.plan.spec();
        Noise { rng: spec.rng, seed: spec.seed, dump: self.dump.is_some().then_some(names) }
    }
}

#[cfg(test)]
mod tests;
