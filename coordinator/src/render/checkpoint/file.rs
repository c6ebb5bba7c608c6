//! A checkpoint's file: a checkpoint in, safetensors out, and back.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use safetensors::{Dtype, SafeTensorError, SafeTensors, View};
use serde::{Deserialize, Serialize};
use tessera_proto::{Moments, Stage, Tensor};

use super::{Checkpoint, Relief, Rest};
use crate::{
    picture::Picture,
    render::{
        job::{Progress, Then},
        pass::PassRest,
    },
};

/// Changes with the meaning of any part.
const VERSION: u32 = 2;

/// Key of the JSON in the file's metadata.
const ABOUT: &str = "tessera";

/// Key of what the owner keeps beside it.
const BOOKS: &str = "books";

/// Why bytes are no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They are no safetensors file, or cannot be made one.
    #[error("it is no safetensors file: {0}")]
    Safetensors(#[from] SafeTensorError),
    /// The JSON is missing or is not ours.
    #[error("its description cannot be read: {0}")]
    About(#[from] serde_json::Error),
    /// It is of another version.
    #[error("it is of version {found}, this coordinator reads {VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// A part is missing, or is not what its name says.
    #[error("its part {part:?} is missing or damaged")]
    Part {
        /// The part.
        part: String,
    },
}

/// What is not a tensor.
#[derive(Serialize, Deserialize)]
struct About {
    version: u32,
    stage: Stage,
    /// Tasks done in the stage, of the stage, done in the job, of the job.
    tasks: [u64; 4],
    reliefs: Vec<Relief>,
    texts: usize,
    /// Names of the intermediate tensors, when they were asked for.
    dump: Option<Vec<String>>,
    rest: Kind,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Kind {
    Pass { hires: bool, registers: usize, results: Vec<u32>, held: Vec<u32>, start: bool },
    Decode { counts: Vec<u64> },
    Upscale { pass: usize },
    Encode,
}

/// A tensor on its way into the file.
struct Part<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

/// The tensors of a file.
struct Parts<'a>(SafeTensors<'a>);

/// Writes a checkpoint.
pub(super) fn write(checkpoint: &Checkpoint) -> Result<Vec<u8>, Error> {
    let Checkpoint { progress, reliefs, embeddings, dump, rest, books } = checkpoint;
    let mut parts: Vec<(String, Part<'_>)> = Vec::new();
    let texts = embeddings.iter().enumerate().map(|(index, text)| (format!("text.{index}"), tensor(text)));
    parts.extend(texts);
    for (name, kept) in dump.iter().flatten() {
        parts.push((format!("dump.{name}"), tensor(kept)));
    }
    let rest = match rest {
        Rest::Pass(then, PassRest { x, registers, results, held, start }) => {
            parts.push(("x".to_owned(), list(x)));
            parts.extend(start.as_ref().map(|start| ("start".to_owned(), list(start))));
            let registers = registers.iter().enumerate();
            parts
                .extend(registers.clone().map(|(index, values)| (format!("register.{index}"), list(values))));
            parts.extend(held.iter().map(|(tile, values)| (format!("tile.{tile}"), list(values))));
            Kind::Pass {
                hires: *then == Then::Hires,
                registers: registers.len(),
                results: results.clone(),
                held: held.iter().map(|&(tile, _)| tile).collect(),
                start: start.is_some(),
            }
        }
        Rest::Decode { latent, known } => {
            parts.push(("latent".to_owned(), list(latent)));
            for (index, moments) in known.iter().enumerate() {
                parts.push((format!("mean.{index}"), doubles(moments.mean())));
                parts.push((format!("m2.{index}"), doubles(moments.m2())));
            }
            Kind::Decode { counts: known.iter().map(Moments::count).collect() }
        }
        Rest::Upscale { pass, picture } => {
            parts.push(("picture".to_owned(), pixels(picture)));
            Kind::Upscale { pass: *pass }
        }
        Rest::Encode { picture } => {
            parts.push(("picture".to_owned(), pixels(picture)));
            Kind::Encode
        }
    };
    let Progress { stage, stage_done, stage_total, done, total } = *progress;
    let about = About {
        version: VERSION,
        stage,
        tasks: [stage_done, stage_total, done, total],
        reliefs: reliefs.clone(),
        texts: embeddings.len(),
        dump: dump.as_ref().map(|dump| dump.iter().map(|(name, _)| name.clone()).collect()),
        rest,
    };
    let mut metadata = HashMap::from([(ABOUT.to_owned(), serde_json::to_string(&about)?)]);
    metadata.extend(books.iter().map(|books| (BOOKS.to_owned(), books.clone())));
    Ok(safetensors::serialize(parts, Some(metadata))?)
}

/// Reads a checkpoint.
pub(super) fn read(bytes: &[u8]) -> Result<Checkpoint, Error> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let entry = |key| header.metadata().as_ref().and_then(|metadata| metadata.get(key));
    let about: About = serde_json::from_str(entry(ABOUT).ok_or_else(|| missing(ABOUT))?)?;
    let books = entry(BOOKS).cloned();
    let About { version, stage, tasks, reliefs, texts, dump, rest } = about;
    if version != VERSION {
        return Err(Error::Version { found: version });
    }
    let parts = Parts(SafeTensors::deserialize(bytes)?);
    let rest = match rest {
        Kind::Pass { hires, registers, results, held, start } => {
            let registers = (0..registers).map(|index| parts.list(&format!("register.{index}")));
            let held = held.into_iter().map(|tile| Ok((tile, parts.list(&format!("tile.{tile}"))?)));
            let rest = PassRest {
                x: parts.list("x")?,
                registers: registers.collect::<Result<_, _>>()?,
                results,
                held: held.collect::<Result<_, Error>>()?,
                start: start.then(|| parts.list("start").map(Arc::new)).transpose()?,
            };
            Rest::Pass(if hires { Then::Hires } else { Then::Base }, rest)
        }
        Kind::Decode { counts } => {
            let known = counts.into_iter().enumerate().map(|(index, count)| {
                let [mean, m2] = ["mean", "m2"].map(|name| parts.doubles(&format!("{name}.{index}")));
                Moments::new(count, mean?, m2?).map_err(|_| missing(&format!("mean.{index}")))
            });
            Rest::Decode { latent: parts.list("latent")?, known: known.collect::<Result<_, _>>()? }
        }
        Kind::Upscale { pass } => Rest::Upscale { pass, picture: parts.pixels()? },
        Kind::Encode => Rest::Encode { picture: parts.pixels()? },
    };
    let [stage_done, stage_total, done, total] = tasks;
    let named = |name: String| Ok::<_, Error>((parts.tensor(&format!("dump.{name}"))?, name));
    let dump = dump.map(|names| {
        names.into_iter().map(named).map(|part| part.map(|(tensor, name)| (name, tensor))).collect()
    });
    Ok(Checkpoint {
        progress: Progress { stage, stage_done, stage_total, done, total },
        reliefs,
        embeddings: (0..texts)
            .map(|index| parts.tensor(&format!("text.{index}")))
            .collect::<Result<_, _>>()?,
        dump: dump.transpose()?,
        rest,
        books,
    })
}

fn tensor(tensor: &Tensor) -> Part<'_> {
    Part { shape: tensor.shape().to_vec(), ..list(tensor.data()) }
}

fn list(values: &[f32]) -> Part<'_> {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Part { dtype: Dtype::F32, shape: vec![values.len()], bytes: Cow::Owned(bytes) }
}

fn doubles(values: &[f64]) -> Part<'_> {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Part { dtype: Dtype::F64, shape: vec![values.len()], bytes: Cow::Owned(bytes) }
}

/// `[h, w, 3]`
fn pixels(picture: &Picture) -> Part<'_> {
    let shape = vec![picture.height() as usize, picture.width() as usize, 3];
    Part { dtype: Dtype::U8, shape, bytes: Cow::Borrowed(picture.rgb()) }
}

fn missing(part: &str) -> Error {
    Error::Part { part: part.to_owned() }
}

// === impl Part ===

impl View for Part<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

// === impl Parts ===

impl Parts<'_> {
    fn tensor(&self, name: &str) -> Result<Arc<Tensor>, Error> {
        let (shape, bytes) = self.of(name, Dtype::F32)?;
        let tensor = Tensor::new(shape, singles(&bytes)).map_err(|_| missing(name))?;
        Ok(Arc::new(tensor))
    }

    fn list(&self, name: &str) -> Result<Vec<f32>, Error> {
        Ok(singles(&self.of(name, Dtype::F32)?.1))
    }

    fn doubles(&self, name: &str) -> Result<Vec<f64>, Error> {
        let bytes = self.of(name, Dtype::F64)?.1;
        let (chunks, _) = bytes.as_chunks();
        Ok(chunks.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect())
    }

    fn pixels(&self) -> Result<Picture, Error> {
        let name = "picture";
        let (shape, bytes) = self.of(name, Dtype::U8)?;
        let [height, width] = [0, 1].map(|side| shape.get(side).and_then(|&side| u32::try_from(side).ok()));
        let size = width.zip(height).ok_or_else(|| missing(name))?;
        Picture::new(size.0, size.1, bytes).map_err(|_| missing(name))
    }

    /// Shape and bytes of a part.
    fn of(&self, name: &str, dtype: Dtype) -> Result<(Vec<usize>, Vec<u8>), Error> {
        let view = self.0.tensor(name).map_err(|_| missing(name))?;
        let fits = view.dtype() == dtype;
        fits.then(|| (view.shape().to_vec(), view.data().to_vec())).ok_or_else(|| missing(name))
    }
}

fn singles(bytes: &[u8]) -> Vec<f32> {
    let (chunks, _) = bytes.as_chunks();
    chunks.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}
