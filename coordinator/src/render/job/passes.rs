//! From one pass to the next: a denoised latent in; its decode, its enlargement or the pass that follows out.

use std::sync::Arc;

use tessera_proto::Stage;

use super::{Action, Decoding, End, Enlarge, Error, Job, Origin, State, Surface, Then, compute};

impl Job {
    /// A pass is over: its latent is decoded, enlarged or saved.
    pub(super) fn denoised(&mut self) -> Result<Vec<Action>, Error> {
        let State::Denoising(then, pass) = std::mem::replace(&mut self.state, State::Ended) else {
            return Ok(Vec::new());
        };
        let pass_plan = pass.plan().clone();
        let latent = pass.into_latent();
        if let Some(dump) = &mut self.dump {
            let name = if then == Then::Base { "base_latent" } else { "hires_latent" };
            dump.keep(name, compute::latent_tensor(&pass_plan, &latent)?);
        }
        let plan = Arc::clone(&self.plan);
        match (then, &plan.enlarge) {
            (Then::Base, Some(Enlarge::Picture { decode: Some(decode), .. })) => {
                self.progress.enter(Stage::Upscale, decode.tasks());
                let surface = Surface::kept(decode.size())?;
                let run = Decoding::new(decode, &latent, plan.facts().scaling_factor, surface)?;
                self.state = State::Decoding(Box::new(run));
                Ok(self.enqueue_decode())
            }
            (Then::Base, Some(_)) => Ok(self.encoded(latent)),
            _ => self.save(&latent),
        }
    }

    /// The latent to enlarge is there: the base pass's own, or an encoded picture.
    pub(super) fn encoded(&mut self, latent: Vec<f32>) -> Vec<Action> {
        if matches!(self.plan.end, End::Latent(_)) {
            return self.write_latent(latent);
        }
        let plan = Arc::clone(&self.plan);
        let Some(hires) = &plan.hires else {
            return Vec::new();
        };
        let (pass, noise) = (hires.plan.clone(), self.noise(Then::Hires));
        self.progress.enter(Stage::Hires, pass.tasks());
        let plan = Arc::clone(&self.plan);
        self.compute(Then::Hires, move || {
            let latent = match &plan.enlarge {
                Some(Enlarge::Latent { filter, cover, keep, .. }) => {
                    let from = plan.latent_size(plan.base_size());
                    compute::resize_latent((&latent, from), *filter, *cover, *keep)?
                }
                Some(Enlarge::Picture { cover, keep, .. }) => {
                    compute::cut_latent((&latent, plan.latent_size(*cover)), *keep)?
                }
                None => latent,
            };
            compute::start(pass, Origin::Latent(latent), noise)
        })
    }
}
