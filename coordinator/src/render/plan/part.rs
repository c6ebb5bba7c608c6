//! Plans of jobs that are one half of a VAE alone: a latent or a picture in; its tiles out.

use tessera_proto::job::Size;

use super::{End, Error, Plan, Planner, size};
use crate::render::metadata;

impl Planner<'_> {
    /// The decode of a latent of `size` latent px.
    pub(super) fn decode_alone(self, channels: usize, size: Size) -> Result<Plan, Error> {
        let expected = self.facts.latent_channels as usize;
        if channels != expected {
            return Err(Error::LatentChannels { model: self.facts.name.clone(), channels, expected });
        }
        let end = End::Picture(self.vae_decode(size::of_latent(size, self.facts)?)?);
        let plan = self.part(None, end);
        metadata::of(&plan).header().check()?;
        Ok(plan)
    }

    /// The encode of a picture of `size` px.
    pub(super) fn encode_alone(mut self, size: Size) -> Result<Plan, Error> {
        if !self.facts.encodes_images {
            return Err(self.no_encoder("an encode", ""));
        }
        let source = size::input(size, self.facts, &mut self.notes)?;
        let end = End::Latent(self.vae_encode(source)?);
        Ok(self.part(Some(source), end))
    }

    fn part(self, source: Option<Size>, end: End) -> Plan {
        let (spec, facts) = (self.spec.clone(), self.facts.clone());
        Plan {
            texts: Vec::new(),
            source,
            base: None,
            enlarge: None,
            hires: None,
            end,
            notes: self.notes,
            reliefs: Vec::new(),
            spec,
            facts,
        }
    }
}

#[cfg(test)]
mod tests {
    use tessera_proto::{
        JobSpec, ModelFacts, Stage, facts,
        job::{Draft, Posterior},
    };

    use super::*;
    use crate::render::Given;

    fn planned(draft: Draft, given: Given) -> Result<Plan, Error> {
        Plan::new(&JobSpec::new(draft).unwrap(), &ModelFacts::simulated(), given)
    }

    fn latent(channels: usize, width: u32, height: u32) -> Given {
        Given::Latent { channels, size: Size { width, height } }
    }

    fn encode(width: u32, height: u32) -> Result<Plan, Error> {
        planned(Draft::encode(vec![1], Posterior::Mean), Given::Picture(Size { width, height }))
    }

    #[test]
    fn a_decode_is_its_tiles_and_nothing_else() {
        let plan = planned(Draft::decode(vec![1]), latent(4, 96, 64)).unwrap();
        assert_eq!(plan.target(), Size { width: 768, height: 512 });
        let summary = plan.summary();
        assert_eq!(summary.texts, 0);
        assert_eq!(summary.stages.iter().map(|stage| stage.stage).collect::<Vec<_>>(), [Stage::Decode]);
        assert_eq!(summary.tasks, 4 * (facts::SIMULATED_BARRIERS as usize + 1));
    }

    #[test]
    fn an_encode_ends_with_a_latent() {
        let plan = encode(1001, 512).unwrap();
        assert_eq!(plan.target(), Size { width: 1000, height: 512 });
        assert_eq!(plan.notes().len(), 1, "the picture is resized to whole latent px: {:?}", plan.notes());
        let summary = plan.summary();
        assert_eq!(summary.stages.iter().map(|stage| stage.stage).collect::<Vec<_>>(), [Stage::Encode]);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let refusal = |result: Result<Plan, Error>| result.unwrap_err().to_string();
        assert_eq!(
            refusal(planned(Draft::decode(vec![1]), latent(16, 64, 64))),
            "the latent has 16 channels, model \"sim\" decodes 4: name the model that it was made with"
        );
        let large = refusal(planned(Draft::decode(vec![1]), latent(4, 4096, 64)));
        assert!(
            large.starts_with("the picture of the latent is 32768x512 px, the limit is 16384 px a side"),
            "{large}"
        );
        assert!(refusal(encode(4, 512)).contains("each side needs at least 8 px"));
    }
}
