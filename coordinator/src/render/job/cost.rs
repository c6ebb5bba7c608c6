//! What a task costs and how long it may wait: new requests in, the same with both filled in out.

use super::{Action, Job, State, tasks::Item};
use crate::{
    fleet::Class,
    render::{class, event::Request},
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
        // The barriers that a tile of the VAE has passed: stages lie above.
        let passed = usize::try_from(request.call & u64::from(u32::MAX)).unwrap_or(usize::MAX);
        match (item, &self.state) {
            (Item::Group(group), State::Denoising(_, pass)) => {
                class::denoise(request.tensors.len(), pass.shape(group))
            }
            (Item::Upscale(tile), State::Upscaling(upscale)) => {
                class::upscale(upscale.name().0, upscale.shape(tile))
            }
            (Item::Decode(tile), State::Decoding(decoding)) => class::decode(passed, decoding.height(tile)),
            (Item::Encode(tile), State::Encoding(encoding)) => class::encode(passed, encoding.height(tile)),
            (Item::EncodeEnd, _) => class::ENCODE_END,
            (Item::Measure, _) => class::MEASURE,
            _ => class::EMBED,
        }
    }
}
