//! What must be known of an upscaling network to cut pictures for it: its graph in; its factor, how far around a px it
//! looks, and which sides it takes out.
//!
//! Two passes. Forwards, each value that is a picture (or features of one) gets its size, as a share of the input's.
//! Backwards, each gets how many px around a tile must be known for the tile's result to be right: a convolution adds
//! its arms, and what enlarges by a factor divides what was needed after it. Convolutions that pad with zeros at a tile's
//! rim then give, inside, what they give for the whole picture; at the picture's own rim they see the same zeros.
//!
//! What is not understood is taken for something that looks at the whole picture, never for nothing.

mod step;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use tessera_proto::facts::{MAX_MULTIPLE, MAX_RADIUS, MAX_UPSCALE};

use super::{Model, View};
use step::Step;

/// The key of a file's metadata that holds the factor; deploy/export-model writes it, and so do others.
const SCALE: &str = "scale";

/// How an upscaling network treats pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upscaling {
    /// Px of the result per px of the picture, on each side.
    pub scale: u32,
    /// How far around a px its result depends on the picture, px; `None` = on all of it, or not known.
    pub radius: Option<u32>,
    /// Both sides of a picture, and the places of tiles, must be multiples of this, px.
    pub multiple: u32,
}

/// Why a graph is no upscaling network that we run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It makes nothing larger, or by a broken factor.
    #[error(
        "it makes pictures {from} px wide {to} px wide, must enlarge them by a whole factor of 2 to {MAX_UPSCALE}"
    )]
    Factor {
        /// Width of a picture, px.
        from: u64,
        /// Width of its result, px.
        to: u64,
    },
    /// Neither the graph nor its metadata tells the factor.
    #[error(
        "by which factor it enlarges cannot be told from its graph, and it has no metadata {SCALE:?}: export it with \
         deploy/export-model"
    )]
    Unknown,
    /// The metadata holds no factor.
    #[error("its metadata {SCALE:?} is {text:?}, must be a whole number from 2 to {MAX_UPSCALE}")]
    Metadata {
        /// What it holds, shortened.
        text: String,
    },
    /// The graph and its metadata contradict each other.
    #[error("its metadata {SCALE:?} is {metadata}, but its graph enlarges by {graph}")]
    Disagree {
        /// The metadata's factor.
        metadata: u32,
        /// The graph's factor.
        graph: u32,
    },
    /// It folds larger blocks of px than any published network.
    #[error(
        "it takes pictures whose sides are multiples of {multiple} px, at most {MAX_MULTIPLE} is allowed"
    )]
    Multiple {
        /// What sides must be multiples of, px.
        multiple: u64,
    },
}

/// What is known of a value that depends on the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// A picture or features of one, `num / den` times as large as the input; in lowest terms.
    Picture { num: u64, den: u64, form: Form },
    /// Anything else.
    Other,
}

/// How the sides of a picture are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `[n, c, h, w]`.
    Plain,
    /// Being taken apart, to `[n, c, h/f, f, w/f, f]`, say.
    Apart,
    /// Turned, and perhaps not yet put together again.
    Turned,
}

/// Reads what must be known of a network with one input and one output, both `[n, 3, h, w]`.
///
/// # Errors
/// It is no upscaling network, or its factor cannot be told.
pub fn upscaling(model: &Model) -> Result<Upscaling, Error> {
    let view = View::new(model.graph());
    let levels = levels(model, &view);
    let graph = model.graph();
    let output = graph.output.first().and_then(|output| levels.get(output.name())).copied();
    let stated = model.metadata(SCALE).map(stated).transpose()?;
    let Some(Level::Picture { num, den, form: Form::Plain | Form::Turned }) = output else {
        let scale = stated.ok_or(Error::Unknown)?;
        return Ok(Upscaling { scale, radius: None, multiple: 1 });
    };
    let scale = u32::try_from(num).ok().filter(|scale| den == 1 && (2..=MAX_UPSCALE).contains(scale));
    let scale = scale.ok_or(Error::Factor { from: 64 * den, to: 64 * num })?;
    if let Some(metadata) = stated.filter(|&metadata| metadata != scale) {
        return Err(Error::Disagree { metadata, graph: scale });
    }
    let multiple = levels.values().fold(1, |multiple, level| match level {
        Level::Picture { den, .. } => lcm(multiple, *den),
        Level::Other => multiple,
    });
    let multiple = u32::try_from(multiple)
        .ok()
        .filter(|&multiple| multiple <= MAX_MULTIPLE)
        .ok_or(Error::Multiple { multiple })?;
    Ok(Upscaling { scale, radius: radius(model, &view, &levels, multiple), multiple })
}

fn stated(text: &str) -> Result<u32, Error> {
    let scale = text.trim().parse().ok().filter(|scale| (2..=MAX_UPSCALE).contains(scale));
    scale.ok_or_else(|| Error::Metadata { text: super::short(text) })
}

/// The sizes of all values that depend on the picture.
fn levels<'g>(model: &'g Model, view: &View<'g>) -> HashMap<&'g str, Level> {
    let mut levels = HashMap::new();
    let facts = model.facts();
    for input in &model.graph().input {
        if facts.input(input.name()).is_some() {
            levels.insert(input.name(), Level::Picture { num: 1, den: 1, form: Form::Plain });
        }
    }
    for (_, node) in view.nodes() {
        let given: Vec<Level> =
            node.input.iter().filter_map(|name| levels.get(name.as_str()).copied()).collect();
        let has_branches = node.attribute.iter().any(|attribute| attribute.subgraphs().next().is_some());
        let level = match given.as_slice() {
            // A branch may read any value of the graph around it.
            _ if has_branches => Level::Other,
            [] => continue,
            _ if Step::reads_no_px(node) => continue,
            given => Step::of(node, view).level(given),
        };
        levels.extend(node.output.iter().map(|output| (output.as_str(), level)));
    }
    levels
}

/// Px around a tile that the network must see; `None` when it may look at everything.
fn radius(model: &Model, view: &View<'_>, levels: &HashMap<&str, Level>, multiple: u32) -> Option<u32> {
    let output = model.graph().output.first()?.name();
    let mut needed: HashMap<&str, u64> = HashMap::from([(output, 0)]);
    let nodes: Vec<_> = view.nodes().collect();
    for (_, node) in nodes.into_iter().rev() {
        let after = node.output.iter().filter_map(|name| needed.get(name.as_str()).copied()).max();
        let Some(after) = after.filter(|_| !Step::reads_no_px(node)) else {
            continue;
        };
        let step = Step::of(node, view);
        for input in &node.input {
            match levels.get(input.as_str()) {
                None => {}
                Some(Level::Other) => return None,
                Some(_) => {
                    // Sides that are multiples of what the network folds need no filling up.
                    let before = step.before(after).filter(|_| step != Step::FillUp || 1 < multiple)?;
                    let entry = needed.entry(input).or_default();
                    *entry = before.max(*entry);
                }
            }
        }
    }
    let facts = model.facts();
    let input = facts.inputs.first()?;
    let radius = u32::try_from(needed.get(input.name.as_str()).copied().unwrap_or(0)).ok()?;
    (radius <= MAX_RADIUS).then_some(radius)
}

fn lcm(a: u64, b: u64) -> u64 {
    a / gcd(a, b) * b
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

// === impl Level ===

impl Level {
    /// The share `num / den` in lowest terms; [`Level::Other`] where numbers outgrow every picture.
    fn picture(num: u64, den: u64, form: Form) -> Self {
        let common = gcd(num, den).max(1);
        let (num, den) = (num / common, den / common);
        if u64::from(u16::MAX) < num.max(den) { Self::Other } else { Self::Picture { num, den, form } }
    }
}
