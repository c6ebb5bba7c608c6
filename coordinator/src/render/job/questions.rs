//! What others ask of a running job, none of which changes it: a task's work, its name, the worth of its result.

use tessera_proto::{Answer, Failure, FailureKind, Work};

use super::{
    Error, Job, State,
    tasks::{Item, Place},
};
use crate::{canvas::TileIndex, fleet::TaskNumber};

impl Job {
    /// The work of a task whose result has not been given.
    ///
    /// # Errors
    /// None in a consistent job.
    pub fn work(&self, task: TaskNumber) -> Result<Option<Work>, Error> {
        let Some(item) = self.tasks.get(task) else {
            return Ok(None);
        };
        Ok(Some(match (item, &self.state) {
            (Item::Embed(text), _) => Work::Embed { texts: vec![self.plan.texts[text].clone()] },
            (Item::Group(group), State::Denoising(then, pass)) => {
                let (call, model_call) = pass.call(group);
                let setup = self.setup(*then);
                Work::Denoise {
                    tiles: pass.tiles(group)?,
                    input_scale: model_call.c_in,
                    timestep: model_call.timestep,
                    guidance: self.embeddings.guidance(setup, call, self.plan.spec().cfg_scale),
                }
            }
            (Item::Decode(tile), State::Decoding(decode)) => decode.work(tile)?,
            (Item::Upscale(tile), State::Upscaling(upscale)) => upscale.work(tile)?,
            (Item::Measure, State::Decoding(decoding)) => return Ok(decoding.measure()),
            (Item::Measure, State::Encoding(encoding)) => return Ok(encoding.measure()),
            (Item::Encode(tile), State::Encoding(encoding)) => return encoding.work(Some(tile)),
            (Item::EncodeEnd, State::Encoding(encoding)) => return encoding.work(None),
            _ => return Ok(None),
        }))
    }

    /// A task in words, for messages: "hires tile 7, model call 3".
    #[must_use]
    pub fn describe(&self, task: TaskNumber) -> String {
        let stage = self.progress.stage.name();
        match (self.tasks.get(task), &self.state) {
            (Some(Item::Group(group)), State::Denoising(_, pass)) => {
                format!("{stage} tile {}, model call {}", pass.first_tile(group).0, pass.call(group).0)
            }
            (Some(Item::Decode(tile)), _) => format!("{stage} tile {} (vae decoder)", tile.0),
            (Some(Item::Upscale(tile)), State::Upscaling(upscale)) => {
                let (pass, network) = upscale.name();
                format!("{stage} tile {} (upscaler {network:?}, pass {pass})", tile.0)
            }
            (Some(Item::Encode(tile)), _) => format!("{stage} tile {} (vae encoder)", tile.0),
            (Some(Item::Measure), _) => format!("{stage}, estimate of statistics (vae)"),
            (Some(Item::EncodeEnd), _) => format!("{stage}, last part (vae encoder)"),
            _ => stage.to_owned(),
        }
    }

    /// Where a task lies in the job.
    #[must_use]
    pub fn place(&self, task: TaskNumber) -> Place {
        let (tile, step) = match (self.tasks.get(task), &self.state) {
            (Some(Item::Group(group)), State::Denoising(_, pass)) => {
                (Some(pass.first_tile(group).0), Some(pass.call(group).0 as u64))
            }
            (Some(Item::Decode(tile) | Item::Upscale(tile) | Item::Encode(tile)), _) => (Some(tile.0), None),
            _ => (None, None),
        };
        Place { stage: self.progress.stage, tile, step }
    }

    /// Judges a result before it changes anything: one tensor, of the shape that the task implies, every value a number;
    /// or the statistics that the task is for.
    ///
    /// # Errors
    /// It is not; the task may be tried again.
    pub fn check(&self, task: TaskNumber, answer: Answer) -> Result<Answer, Failure> {
        let wrong = |message| Err(Failure { kind: FailureKind::WrongShape, message });
        let fits = match (self.tasks.get(task), &self.state) {
            (Some(Item::Decode(tile)), State::Decoding(decoding)) => decoding.fits(tile, &answer),
            (Some(Item::Encode(tile)), State::Encoding(encoding)) => encoding.fits(Some(tile), &answer),
            (Some(Item::EncodeEnd | Item::Measure), State::Encoding(encoding)) => {
                encoding.fits(None, &answer)
            }
            (Some(Item::Measure), State::Decoding(decoding)) => decoding.fits(TileIndex(0), &answer),
            _ => true,
        };
        if !fits {
            return wrong(format!("the result is {}, which does not fit its task", shape(&answer)));
        }
        // Statistics are judged where they are read.
        let Answer::Tensors(tensors) = &answer else { return Ok(answer) };
        let [tensor] = tensors.as_slice() else {
            return wrong(format!("the result has {} tensors, must have 1", tensors.len()));
        };
        let fits = match (self.tasks.get(task), &self.state) {
            (Some(Item::Embed(_)), _) => {
                let width = self.plan.facts().embedding_width as usize;
                matches!(tensor.shape(), &[_, columns] if columns == width)
            }
            (Some(Item::Group(group)), State::Denoising(_, pass)) => tensor.shape() == pass.shape(group),
            (Some(Item::Upscale(tile)), State::Upscaling(upscale)) => tensor.shape() == upscale.shape(tile),
            _ => true,
        };
        if !fits {
            return wrong(format!("the result has shape {:?}, which does not fit its task", tensor.shape()));
        }
        if !tensor.is_finite() {
            let message = "the result holds NaN or infinity".to_owned();
            return Err(Failure { kind: FailureKind::NotFinite, message });
        }
        Ok(answer)
    }
}

/// An answer in words.
fn shape(answer: &Answer) -> String {
    match answer {
        Answer::Tensors(tensors) => match tensors.as_slice() {
            [tensor] => format!("of shape {:?}", tensor.shape()),
            tensors => format!("{} tensors", tensors.len()),
        },
        Answer::Moments(moments) => format!("statistics of {} groups", moments.mean().len()),
        Answer::Statistics(list) => format!("statistics of {} barriers", list.len()),
    }
}
