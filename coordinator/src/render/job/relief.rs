//! A stage that finds no memory begins again with less at a time: a task that failed so in, what to do out.
//!
//! A pass takes half as many tiles in a call, a decode or encode tiles of half the side. What the stage began with is still there;
//! only once rows have left for the file it is too late. The picture is that of a job that asked for so little: which
//! worker ran out of memory, and when, does not show in it.

use std::sync::Arc;

use tessera_proto::Stage;

use super::{Action, Computed, Error, Job, State, Then, tasks::Item};
use crate::{
    fleet::TaskNumber,
    render::{
        checkpoint::{Less, Relief},
        encoding::Encoding,
        pass::Pass,
        plan::EncodePlan,
    },
    sample::NoiseSource,
};

impl Job {
    /// A worker has no memory for a task. Where its stage can be done with half as much at a time, it begins again so and
    /// a note says so; `None` where it cannot.
    ///
    /// # Errors
    /// None in a consistent job.
    pub fn relieve(&mut self, task: TaskNumber) -> Result<Option<Vec<Action>>, Error> {
        match self.tasks.get(task) {
            Some(Item::Group(_)) => self.relieve_pass(),
            Some(Item::Decode(_)) => self.relieve_decode(),
            Some(Item::Encode(_)) => self.relieve_encode(),
            _ => Ok(None),
        }
    }

    fn relieve_pass(&mut self) -> Result<Option<Vec<Action>>, Error> {
        let State::Denoising(then, pass) = &self.state else { return Ok(None) };
        let (then, before) = (*then, pass.plan().clone());
        let Some((after, start)) = pass.halved() else { return Ok(None) };
        let note = format!(
            "a worker had no memory for {} tiles in a call: the {} stage begins again with {}; --tile-batch {} begins so",
            before.batch,
            self.progress.stage.name(),
            after.batch,
            after.batch
        );
        self.progress.redo(before.tasks(), after.tasks());
        let relief = Relief { base: then == Then::Base, to: Less::Batch(after.batch), note };
        Arc::make_mut(&mut self.plan).relieve(relief)?;
        self.tasks.clear();
        let (rng, seed) = (self.plan.spec().rng, self.plan.spec().seed);
        let mut actions = vec![Action::Withdraw { forget: None }];
        actions.extend(self.compute(then, move || {
            let mut noise = NoiseSource::new(rng, seed);
            // What the pass started from.
            drop(noise.draw(after.values()));
            let (pass, ready) = Pass::new(after, Arc::unwrap_or_clone(start), noise);
            Ok(Computed::Resumed { pass: Box::new(pass), ready })
        }));
        Ok(Some(actions))
    }

    fn relieve_encode(&mut self) -> Result<Option<Vec<Action>>, Error> {
        let Some(EncodePlan::Exact(before)) = self.plan.encode().cloned() else { return Ok(None) };
        let Some(after) = before.halved()? else { return Ok(None) };
        let State::Encoding(encoding) = &self.state else { return Ok(None) };
        let read: Vec<_> = encoding.digests();
        let State::Encoding(encoding) = std::mem::replace(&mut self.state, State::Ended) else {
            return Ok(None);
        };
        // Tiles have it as long as they run.
        let picture = encoding.into_picture().ok_or(Error::Checkpoint)?;
        let note = format!(
            "a worker had no memory for vae encode tiles of {} px: the encode begins again with {}; --vae-encode-tile {} \
             begins so",
            before.side(),
            after.side(),
            after.side()
        );
        self.progress.redo(before.tasks(), after.tasks());
        let to = Less::EncodeSide(after.side());
        Arc::make_mut(&mut self.plan).relieve(Relief { base: true, to, note })?;
        self.tasks.clear();
        let channels = self.plan.facts().latent_channels as usize;
        let mut actions = vec![Action::Withdraw { forget: None }];
        actions.extend(read.into_iter().map(Action::Release));
        actions.extend(self.compute(Then::Base, move || {
            let encoding = Encoding::new(EncodePlan::Exact(after), picture, channels)?;
            Ok(Computed::Enlarged(Box::new(encoding)))
        }));
        Ok(Some(actions))
    }

    fn relieve_decode(&mut self) -> Result<Option<Vec<Action>>, Error> {
        let State::Decoding(decoding) = &mut self.state else { return Ok(None) };
        let Some(run) = decoding.halved()? else { return Ok(None) };
        let (Some(before), Some(exact)) = (decoding.exact(), run.exact()) else { return Ok(None) };
        let (before, after) = (before.plan(), exact.plan());
        let note = format!(
            "a worker had no memory for vae tiles of {} latent px: the {} stage begins again with {}; --vae-tile {} \
             begins so",
            before.side(),
            self.progress.stage.name(),
            after.side(),
            after.side()
        );
        self.progress.redo(before.tasks(), after.tasks());
        let base = self.progress.stage == Stage::Upscale;
        Arc::make_mut(&mut self.plan).relieve(Relief { base, to: Less::Side(after.side()), note })?;
        let (source, _) = exact.source();
        **decoding = run;
        self.tasks.clear();
        let mut actions = vec![Action::Withdraw { forget: Some(source) }];
        actions.extend(self.enqueue_decode());
        Ok(Some(actions))
    }

    /// What helps a task that failed for want of memory, for its message.
    #[must_use]
    pub fn advice(&self, task: TaskNumber) -> Option<String> {
        let exact = match &self.state {
            State::Decoding(decoding) => decoding.exact(),
            _ => None,
        };
        let flags = match (self.tasks.get(task)?, exact) {
            (Item::Decode(_), Some(exact)) if exact.plan().estimate.is_none() => {
                return Some(format!(
                    "vae tiles of {} latent px cannot be made smaller now: give the worker more memory, or another device",
                    exact.plan().side()
                ));
            }
            (Item::Measure, _) => "take --vae exact, or a smaller --vae-tile or --vae-encode-tile",
            (Item::Decode(_), _) => "take --vae exact, or a smaller --vae-tile",
            (Item::Encode(_), _) => "take a smaller --vae-encode-tile",
            (Item::Upscale(_), _) => "take a smaller --upscale-tile",
            (Item::Group(_), _) => "take a smaller --tile or --tile-batch",
            (Item::Embed(_) | Item::EncodeEnd, _) => return None,
        };
        Some(flags.to_owned())
    }
}
