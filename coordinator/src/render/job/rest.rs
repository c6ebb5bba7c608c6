//! A job set down and taken up again: a job in, its checkpoint out, and back.

use std::sync::Arc;

use tessera_proto::Stage;

use super::{
    Action, Computed, DecodePlan, Decoding, Dump, Embeddings, EncodePlan, End, Enlarge, Error, Job, Plan,
    State, Surface, Tasks, Then, Upscale,
};
use crate::{
    render::{
        checkpoint::{At, Checkpoint, Mark, Rest},
        encoding::Encoding,
        pass::Pass,
    },
    sample::NoiseSource,
};

impl Job {
    /// Where the job rests, if it does: while something is computed, the checkpoint before holds.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        let at = match &self.state {
            State::Denoising(_, pass) => At::Pass(pass.completed()),
            State::Decoding(decoding) => At::Decode(decoding.passed()),
            State::Upscaling(upscale) => At::Upscale(upscale.pass()),
            State::Encoding(encoding) => encoding.picture().map(|_| At::Encode)?,
            State::Embedding(_) | State::Computing(_) | State::Ended => return None,
        };
        Some(Mark { stage: self.progress.stage, at })
    }

    /// What the job can be taken up again from; none where it has no [mark](Self::mark). Copies the latent.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let mut progress = self.progress;
        let rest = match &self.state {
            State::Denoising(then, pass) => Rest::Pass(*then, pass.rest()),
            State::Decoding(decoding) => {
                progress.rewind(decoding.left());
                Rest::Decode { latent: decoding.latent().to_vec(), known: decoding.known().to_vec() }
            }
            State::Upscaling(upscale) => {
                progress.rewind(upscale.tasks());
                Rest::Upscale { pass: upscale.pass(), picture: upscale.picture().clone() }
            }
            State::Encoding(encoding) => {
                progress.rewind(self.plan.encode().map_or(0, EncodePlan::tasks));
                Rest::Encode { picture: encoding.picture()?.clone() }
            }
            State::Embedding(_) | State::Computing(_) | State::Ended => return None,
        };
        Some(Checkpoint {
            progress,
            reliefs: self.plan.reliefs().to_vec(),
            embeddings: self.embeddings.in_order(),
            dump: self.dump.as_ref().map(Dump::shared),
            rest,
            books: None,
        })
    }

    /// Takes a job up again. Its plan is the one that it began with.
    ///
    /// # Errors
    /// The checkpoint is not one of such a job: it can only begin anew.
    pub fn resume(mut plan: Plan, checkpoint: Checkpoint) -> Result<(Self, Vec<Action>), Error> {
        let Checkpoint { progress, reliefs, embeddings, dump, rest, .. } = checkpoint;
        for relief in reliefs {
            plan.relieve(relief)?;
        }
        if embeddings.len() != plan.texts.len() || dump.is_some() != plan.spec().dump {
            return Err(Error::Checkpoint);
        }
        let mut job = Self {
            plan: Arc::new(plan),
            source: None,
            embeddings: Embeddings::shared(embeddings),
            state: State::Ended,
            tasks: Tasks::default(),
            dump: dump.map(Dump::of),
            progress,
        };
        let mut actions = match rest {
            Rest::Pass(then, rest) => {
                let setup = if then == Then::Base { &job.plan.base } else { &job.plan.hires };
                let plan = setup.as_ref().ok_or(Error::Checkpoint)?.plan.clone();
                let mut noise = NoiseSource::new(job.plan.spec().rng, job.plan.spec().seed);
                job.compute(then, move || {
                    // What the pass started from.
                    drop(noise.draw(plan.values()));
                    let (pass, ready) = Pass::resume(plan, rest, noise)?;
                    Ok(Computed::Resumed { pass: Box::new(pass), ready })
                })
            }
            Rest::Decode { latent, known } => {
                let (plan, surface) = job.decode()?;
                job.state = State::Decoding(Box::new(Decoding::resumed(&plan, latent, known, surface)?));
                job.enqueue_decode()
            }
            Rest::Upscale { pass, picture } => {
                let Some(Enlarge::Picture { network: Some(network), .. }) = &job.plan.enlarge else {
                    return Err(Error::Checkpoint);
                };
                let upscale = Upscale::new(Arc::clone(network), pass, picture)?;
                let upscale = upscale.map_err(|_| Error::Checkpoint)?;
                job.begin_pass(Box::new(upscale))
            }
            Rest::Encode { picture } => {
                let plan = job.plan.encode().cloned().ok_or(Error::Checkpoint)?;
                let channels = job.plan.facts().latent_channels as usize;
                job.compute(Then::Base, move || {
                    Ok(Computed::Enlarged(Box::new(Encoding::new(plan, picture, channels)?)))
                })
            }
        };
        if job.progress.stage < Stage::Hires {
            actions.extend(job.share());
        }
        Ok((job, actions))
    }

    /// How the present stage decodes, and where to.
    fn decode(&self) -> Result<(DecodePlan, Surface), Error> {
        match (self.progress.stage, &self.plan.enlarge, &self.plan.end) {
            (Stage::Upscale, Some(Enlarge::Picture { decode: Some(decode), .. }), _) => {
                Ok((decode.clone(), Surface::kept(decode.size())?))
            }
            (Stage::Decode, _, End::Picture(decode)) => {
                Ok((decode.clone(), Surface::passing(self.plan.target(), self.dump.is_some())?))
            }
            _ => Err(Error::Checkpoint),
        }
    }

    /// A pass goes on.
    pub(super) fn resumed(
        &mut self,
        then: Then,
        pass: Box<Pass>,
        ready: Vec<crate::render::pass::GroupIndex>,
    ) -> Vec<Action> {
        self.state = State::Denoising(then, pass);
        self.enqueue_groups(ready)
    }
}
