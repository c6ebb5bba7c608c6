//! What a task costs and how long it may wait: new requests in, the same with both filled in out.

use super::{Action, Job, State, tasks::Item};
use crate::{
    fleet::{Class, Kind},
    render::event::Request,
};

impl Job {
    /// Tasks that may be run now.
    pub(super) fn enqueue(&self, mut requests: Vec<Request>) -> Vec<Action> {
        // Where all tasks of a stage may run at once, all others can be done before one of them.
        let others = requests.len().saturating_sub(1) as u64;
        for request in &mut requests {
            let Some(item) = self.tasks.get(request.task) else { continue };
            request.class = self.class(item, request);
            request.slack = match (item, &self.state) {
                (Item::Group(group), State::Denoising(_, pass)) => pass.slack(group) as u64,
                _ => others,
            };
        }
        vec![Action::Enqueue(requests)]
    }

    /// The network that a task runs, and the size of what goes in.
    fn class(&self, item: Item, request: &Request) -> Class {
        // The barrier that a tile of the VAE stands at, or the network call that it waits for: stages lie above.
        let at = u32::try_from(request.call & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        let class = |kind, part, shape| Class { kind, part, shape };
        match (item, &self.state) {
            // Each part of the prompt is one more row in the call.
            (Item::Group(group), State::Denoising(_, pass)) => {
                let rows = u32::try_from(request.tensors.len()).unwrap_or(u32::MAX);
                class(Kind::Denoise, rows, narrow(pass.shape(group)))
            }
            (Item::Upscale(tile), State::Upscaling(upscale)) => {
                let (pass, _) = upscale.name();
                class(Kind::Upscale, u32::try_from(pass).unwrap_or(u32::MAX), narrow(upscale.shape(tile)))
            }
            (Item::Decode(tile), State::Decoding(decoding)) => {
                class(Kind::Decode, at, [1, 0, decoding.height(tile), 0])
            }
            (Item::Encode(tile), State::Encoding(encoding)) => {
                class(Kind::Encode, at, [1, 0, encoding.height(tile), 0])
            }
            (Item::EncodeEnd, _) => class(Kind::Encode, u32::MAX, [0; 4]),
            (Item::Measure, _) => class(Kind::Measure, 0, [0; 4]),
            _ => Class::default(),
        }
    }
}

fn narrow(shape: [usize; 4]) -> [u32; 4] {
    shape.map(|length| u32::try_from(length).unwrap_or(u32::MAX))
}
