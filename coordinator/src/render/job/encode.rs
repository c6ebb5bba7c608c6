//! The way of a job's picture through the encoder: answers of its tiles in, tasks and the latent out.

use tessera_proto::{Answer, Digest, Stage};

use super::{Action, Error, Job, State, Then, tasks::Item};
use crate::{
    canvas::TileIndex,
    render::{
        encoding::{Encoding, Step},
        event::Computed,
        plan::End,
    },
};

impl Job {
    /// Begins with a picture of the encoder's size.
    pub(super) fn begin_encode(&mut self, encoding: Box<Encoding>, tasks: usize) -> Vec<Action> {
        // Where the latent is all that is asked for, nothing is enlarged.
        let stage = if matches!(self.plan.end, End::Latent(_)) { Stage::Encode } else { Stage::Upscale };
        self.progress.enter(stage, tasks);
        self.state = State::Encoding(encoding);
        self.enqueue_encode()
    }

    /// An answer of a tile, or, without one, of the network's last part.
    pub(super) fn encode_done(
        &mut self,
        tile: Option<TileIndex>,
        answer: Answer,
    ) -> Result<Vec<Action>, Error> {
        let State::Encoding(encoding) = &mut self.state else { return Ok(Vec::new()) };
        let step = encoding.complete(tile, answer)?;
        let release = |digest: Digest| Action::Release(digest);
        Ok(match step {
            Step::Wait => Vec::new(),
            Step::Advance => self.enqueue_encode(),
            Step::Join => {
                let released = encoding.digests().into_iter().map(release);
                let mut actions: Vec<Action> = released.collect();
                if let State::Encoding(encoding) = std::mem::replace(&mut self.state, State::Ended) {
                    actions.extend(self.compute(Then::Base, move || Ok(joined(*encoding))));
                }
                actions
            }
            Step::Done(posterior) => {
                let released: Vec<Action> = encoding.digests().into_iter().map(release).collect();
                let latent = self.latent_of(posterior)?;
                let mut actions = self.encoded(latent);
                actions.extend(released);
                actions
            }
        })
    }

    /// What the tiles have made is joined: the network's last part is next.
    pub(super) fn end_encode(&mut self, encoding: Box<Encoding>) -> Vec<Action> {
        let call = ((self.progress.stage as u64) << 32) | (encoding.passed() as u64 + 1);
        let request = self.tasks.open(Item::EncodeEnd, (call, 0), encoding.digests());
        self.state = State::Encoding(encoding);
        self.enqueue(vec![request])
    }

    /// All tiles of the encode, or their next steps.
    pub(super) fn enqueue_encode(&mut self) -> Vec<Action> {
        let State::Encoding(encoding) = &self.state else { return Vec::new() };
        if encoding.measure().is_some() {
            return self.enqueue_measure();
        }
        let call = ((self.progress.stage as u64) << 32) | encoding.passed() as u64;
        let tiles = (0..).map(TileIndex).take(encoding.tiles());
        let requests = tiles.map(|tile| match encoding.source(tile) {
            Some(source) => self.tasks.open_next(Item::Encode(tile), call, source),
            None => self.tasks.open(Item::Encode(tile), (call, 0), Vec::new()),
        });
        let requests = requests.collect();
        self.enqueue(requests)
    }
}

fn joined(encoding: Encoding) -> Computed {
    Computed::Joined(Box::new(match encoding {
        Encoding::Exact(exact) => Encoding::Exact(exact.join()),
        blend @ Encoding::Blend(_) => blend,
    }))
}
