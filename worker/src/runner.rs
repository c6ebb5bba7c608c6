//! A model on a device: tasks in, tensors out. What the device thread runs.

use std::collections::HashMap;

use tessera_proto::{Answer, Digest, Failure, FailureKind, Guidance, Segment, Source, Tensor, Work};

use crate::{
    device::{Ran, Runner},
    engine::{Engine, Timed, Vae},
    exact::{Stages, Step, network_of},
    task,
    text::{self, CHUNK, Chunk, Tokenizer, emphasize},
};

/// Runs the tasks of one model on one engine.
pub(crate) struct ModelRunner {
    engine: Box<dyn Engine>,
    texts: Texts,
    vae_scale: usize,
    kept: HashMap<Digest, Tensor>,
    /// The networks of the VAE in stages, where they can be cut.
    stages: HashMap<Vae, Box<dyn Stages>>,
}

/// Runs nothing: there is no model yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoModel;

/// How prompts become tokens.
#[derive(Debug)]
pub(crate) enum Texts {
    /// By the model's tokenizer.
    Model(Box<Tokenizer>),
    /// Made up: each byte of a text is a token.
    Simulated,
}

// === impl ModelRunner ===

impl ModelRunner {
    /// `vae_scale`: image px per latent px.
    pub(crate) fn new(engine: Box<dyn Engine>, texts: Texts, vae_scale: usize) -> Self {
        Self { engine, texts, vae_scale, kept: HashMap::new(), stages: HashMap::new() }
    }

    /// The same with a network of the VAE in stages.
    pub(crate) fn with_stages(mut self, of: Vae, stages: Box<dyn Stages>) -> Self {
        self.stages.insert(of, stages);
        self
    }
}

impl Runner for ModelRunner {
    fn keep(&mut self, digest: Digest, tensor: Tensor) {
        self.kept.insert(digest, tensor);
    }

    fn forget(&mut self, digest: Digest) {
        self.kept.remove(&digest);
        self.stages.values_mut().for_each(|stages| stages.forget(digest));
    }

    fn forget_all(&mut self) {
        self.kept.clear();
        self.stages.values_mut().for_each(|stages| stages.forget_all());
    }

    fn run(&mut self, work: Work) -> Result<Ran, Failure> {
        let Self { engine, texts, vae_scale, kept, stages } = self;
        let mut engine = Timed::new(engine.as_mut());
        let tensors = match work {
            Work::Embed { texts: list } => {
                list.iter().map(|segments| embed(&mut engine, texts, segments)).collect::<Result<_, _>>()?
            }
            Work::Denoise { tiles, input_scale, timestep, guidance } => {
                let Guidance { cfg_scale, uncond, conds } = guidance;
                let named = |digest| kept.get(&digest).ok_or_else(|| unknown(digest));
                let conds: Vec<(f32, &Tensor)> = conds
                    .into_iter()
                    .map(|(weight, digest)| Ok((weight, named(digest)?)))
                    .collect::<Result<_, Failure>>()?;
                let uncond = named(uncond)?;
                let (tiles, conds) = (&tiles, conds.as_slice());
                let task = task::denoise::Denoise { tiles, input_scale, timestep, cfg_scale, uncond, conds };
                vec![task::denoise::denoise(&mut engine, &task)?]
            }
            Work::Encode { image } => vec![task::encode::encode(&mut engine, &image, *vae_scale)?],
            Work::Decode { latent } => vec![task::decode::decode(&mut engine, &latent, *vae_scale)?],
            Work::Upscale { network, image, keep } => {
                vec![task::upscale::upscale(&mut engine, &network, &image, keep)?]
            }
            Work::Advance { part, canvas, sources, core, known } => {
                let stages = stages.get_mut(&network_of(part)).ok_or_else(|| uncut(network_of(part)))?;
                let named = |source: Source| {
                    kept.get(&source.digest)
                        .map(|tensor| (source, tensor))
                        .ok_or_else(|| unknown(source.digest))
                };
                let sources: Vec<_> = sources.into_iter().map(named).collect::<Result<_, _>>()?;
                let step = Step { part, canvas, sources: &sources, core, known: &known };
                let answer = stages.advance(&mut engine, &step)?;
                return Ok(ran(answer, &engine));
            }
            Work::Measure { part, input } => {
                let of = network_of(part);
                let stages = stages.get_mut(&of).ok_or_else(|| uncut(of))?;
                let answer = stages.measure(&mut engine, part, &input)?;
                return Ok(ran(answer, &engine));
            }
        };
        Ok(ran(Answer::Tensors(tensors), &engine))
    }
}

impl std::fmt::Debug for ModelRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelRunner").field("kept", &self.kept.len()).finish_non_exhaustive()
    }
}

// === impl NoModel ===

impl Runner for NoModel {
    fn keep(&mut self, _: Digest, _: Tensor) {}

    fn forget(&mut self, _: Digest) {}

    fn forget_all(&mut self) {}

    fn run(&mut self, _: Work) -> Result<Ran, Failure> {
        let message = "this worker has no model yet".to_owned();
        Err(Failure { kind: FailureKind::Engine, message })
    }
}

// === impl Texts ===

impl Texts {
    fn chunks(&self, segments: &[Segment]) -> Result<Vec<Chunk>, text::Error> {
        match self {
            Self::Model(tokenizer) => tokenizer.chunks(segments),
            Self::Simulated => Ok(vec![simulated_chunk(segments)]),
        }
    }
}

/// A prompt as conditioning `[77 * chunks, width]`.
fn embed(engine: &mut dyn Engine, texts: &Texts, segments: &[Segment]) -> Result<Tensor, Failure> {
    let chunks = texts
        .chunks(segments)
        .map_err(|error| Failure { kind: FailureKind::Unsupported, message: error.to_string() })?;
    let ids: Vec<[i64; CHUNK]> = chunks.iter().map(|chunk| chunk.ids).collect();
    let hidden = task::embed::embed(engine, &ids)?;
    let width = hidden.shape().last().copied().unwrap_or(1);
    let mut values = hidden.into_data();
    for (hidden, chunk) in values.chunks_exact_mut(CHUNK * width).zip(&chunks) {
        emphasize(hidden, &chunk.weights);
    }
    Tensor::new([CHUNK * chunks.len(), width], values)
        .map_err(|error| Failure { kind: FailureKind::WrongShape, message: error.to_string() })
}

/// A chunk that depends on every byte of a prompt.
fn simulated_chunk(segments: &[Segment]) -> Chunk {
    let mut chunk = Chunk { ids: [0; CHUNK], weights: [1.0; CHUNK] };
    let texts = segments.iter().filter_map(|segment| match segment {
        Segment::Text { text, weight } => Some((text, *weight)),
        Segment::Break => None,
    });
    let bytes = texts.flat_map(|(text, weight)| text.bytes().map(move |byte| (byte, weight)));
    for (position, (byte, weight)) in bytes.enumerate() {
        let token = position % CHUNK;
        chunk.ids[token] = (chunk.ids[token] * 31 + i64::from(byte)) % 49_408;
        chunk.weights[token] = weight;
    }
    chunk
}

fn ran(answer: Answer, engine: &Timed<'_>) -> Ran {
    Ran { answer, busy: engine.busy(), unspent: engine.unspent() }
}

fn unknown(digest: Digest) -> Failure {
    let message = format!("the task names tensor {digest:?}, which was not sent before it");
    Failure { kind: FailureKind::Engine, message }
}

fn uncut(network: Vae) -> Failure {
    let message = format!("the VAE {} of this model cannot be run in stages", network.noun());
    Failure { kind: FailureKind::Unsupported, message }
}
