//! The last part of a job: a finished latent in; its picture's rows on their way to the file, in order, out.

use std::sync::Arc;

use tessera_proto::{Answer, Stage, Tensor};

use super::{Action, Decoding, End, Error, Job, Output, State, Step, Surface, Then, compute};
use crate::{
    canvas::TileIndex,
    render::{metadata, surface::Painted},
};

impl Job {
    /// Decodes the finished latent, `[c, h, w]`, straight into the picture's file.
    pub(super) fn save(&mut self, latent: &[f32]) -> Result<Vec<Action>, Error> {
        let plan = Arc::clone(&self.plan);
        let End::Picture(decode) = &plan.end else { return Ok(Vec::new()) };
        self.progress.enter(Stage::Decode, decode.tasks());
        let surface = Surface::passing(plan.target(), self.dump.is_some())?;
        let run = Decoding::new(decode, latent, plan.facts().scaling_factor, surface)?;
        self.state = State::Decoding(Box::new(run));
        Ok(self.enqueue_decode())
    }

    /// More rows are written: tiles further down may run. Late news of a decode that is over says nothing.
    pub(super) fn wrote(&mut self, rows: u32) -> Vec<Action> {
        if let State::Decoding(decoding) = &mut self.state {
            decoding.wrote(rows);
        }
        self.enqueue_decode()
    }

    /// A tile of a decode is there, or its statistics are.
    pub(super) fn decoded_tile(&mut self, tile: TileIndex, answer: Answer) -> Result<Vec<Action>, Error> {
        let State::Decoding(decoding) = &mut self.state else {
            return Ok(Vec::new());
        };
        let step = decoding.complete(tile, answer)?;
        let has_begun = decoding.has_begun();
        let mut actions = Vec::new();
        if let Some(band) = decoding.take() {
            if !has_begun {
                // Not before: until rows leave, the tiles may become others, which the file's texts name.
                actions.push(Action::Begin(metadata::of(&self.plan)));
            }
            actions.push(Action::Write(band));
        }
        match step {
            Step::Wait => {}
            Step::Advance => actions.extend(self.enqueue_decode()),
            Step::Done => {
                let source = self.source().map(|(digest, _)| Action::Release(digest));
                actions.extend(self.decoded()?);
                actions.extend(source);
            }
        }
        Ok(actions)
    }

    fn decoded(&mut self) -> Result<Vec<Action>, Error> {
        let State::Decoding(decoding) = std::mem::replace(&mut self.state, State::Ended) else {
            return Ok(Vec::new());
        };
        let image = match decoding.finish() {
            Painted::Picture(picture) => return self.enlarge(picture),
            Painted::File(image) => image,
        };
        self.progress.enter(Stage::Save, 0);
        let Some(mut dump) = self.dump.take() else {
            return Ok(vec![Action::Finish(Output::default())]);
        };
        if let Some(image) = image {
            let size = self.plan.target();
            dump.keep("image", Tensor::new([1, 3, size.height as usize, size.width as usize], image)?);
        }
        Ok(self.compute(Then::Hires, move || compute::dump(&dump)))
    }
}
