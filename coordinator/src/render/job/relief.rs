//! A stage that finds no memory begins again in smaller tiles: a task that failed so in, what to do out.
//!
//! Its latent is still there; only once rows have left for the file it is too late. The picture is that of a job that asked
//! for the smaller tile.

use std::sync::Arc;

use tessera_proto::Stage;

use super::{Action, Error, Job, State, tasks::Item};
use crate::{fleet::TaskNumber, render::checkpoint::Relief};

impl Job {
    /// A worker has no memory for a task. Where its stage can be done in tiles of half the side, it begins again with
    /// them and a note says so; `None` where it cannot.
    ///
    /// # Errors
    /// None in a consistent job.
    pub fn relieve(&mut self, task: TaskNumber) -> Result<Option<Vec<Action>>, Error> {
        let Some(Item::Decode(_)) = self.tasks.get(task) else { return Ok(None) };
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
        Arc::make_mut(&mut self.plan).relieve(Relief { base, side: after.side(), note })?;
        let (source, _) = exact.source();
        **decoding = run;
        self.tasks.clear();
        let mut actions = vec![Action::Withdraw { forget: source }];
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
