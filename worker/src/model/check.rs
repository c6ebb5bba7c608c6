//! A graph's inputs and outputs and the model's facts in; whether the two belong together out.
//!
//! Exporters differ: ids of 32 or 64 bits, a timestep of any type and of rank 0 or 1, an encoder that returns moments
//! or a sample. The engine adapts to those; what is refused here is what no adapting helps.

use std::path::Path;

use tessera_proto::ModelFacts;

use super::Error;
use crate::engine::Network;
use crate::graph::{Element, GraphFacts, Slot};
use crate::text::CHUNK;

/// What an input or output must be like.
struct Wanted {
    elements: &'static [Element],
    ranks: &'static [usize],
    /// Axes whose length is known, where the graph fixes one, and the lengths that are right.
    lengths: Vec<(usize, Vec<u64>)>,
}

const REAL: &[Element] = &[Element::F32, Element::F16];
const WHOLE: &[Element] = &[Element::I64, Element::I32];
const ANY: &[Element] = &[Element::F32, Element::F16, Element::I64, Element::I32];

/// Checks that the graph in `file` is the network that it should be, and belongs to the model of these facts.
///
/// # Errors
/// An input is missing or superfluous, or an input or output has another type, rank or fixed length than the model
/// needs; the sentence names the file and the input.
pub fn graph(file: &Path, network: &Network, graph: &GraphFacts, facts: &ModelFacts) -> Result<(), Error> {
    let inputs = wanted_inputs(network, facts);
    let refuse = |reason: String| Err(Error::Graph { file: file.to_owned(), reason });
    // The VAE and upscalers take one picture, under a name that each exporter chooses.
    if let [(None, wanted)] = inputs.as_slice() {
        match graph.inputs.as_slice() {
            [input] => wanted.check(input, "input").or_else(refuse)?,
            found => {
                return refuse(format!("it takes {} inputs ({}), must take one", found.len(), list(found)));
            }
        }
    } else {
        for (name, wanted) in &inputs {
            let name = name.unwrap_or_default();
            match graph.input(name) {
                Some(input) => wanted.check(input, "input").or_else(refuse)?,
                None => {
                    return refuse(format!("it lacks the input {name:?}, it takes {}", list(&graph.inputs)));
                }
            }
        }
        let known = |input: &&Slot| inputs.iter().any(|(name, _)| *name == Some(input.name.as_str()));
        if let Some(extra) = graph.inputs.iter().find(|input| !known(input)) {
            return refuse(format!("it needs the input {extra}, which Stable Diffusion 1.x does not have"));
        }
    }
    match graph.outputs.first() {
        Some(output) => wanted_output(network, facts).check(output, "output").or_else(refuse),
        None => refuse("it has no output".to_owned()),
    }
}

/// Checks that the graph in `file` takes one picture of any size and gives one, as upscaling networks do.
///
/// # Errors
/// It does not; the sentence names the file and the input.
pub fn picture_to_picture(file: &Path, graph: &GraphFacts) -> Result<(), Error> {
    let refuse = |reason: String| Err(Error::Graph { file: file.to_owned(), reason });
    let [input] = graph.inputs.as_slice() else {
        let inputs = &graph.inputs;
        return refuse(format!(
            "an upscaler takes one picture, it takes {} inputs ({})",
            inputs.len(),
            list(inputs)
        ));
    };
    let output = graph.outputs.first().map_or(Ok(()), |output| Wanted::picture().check(output, "output"));
    Wanted::picture()
        .check(input, "input")
        .and(output)
        .or_else(|reason| refuse(format!("as an upscaler, {reason}")))?;
    match (input.fixed(3), input.fixed(2)) {
        (None, None) => Ok(()),
        (width, height) => {
            let side = |length: Option<u64>| length.map_or_else(|| "any".to_owned(), |px| px.to_string());
            let size = format!("{}x{}", side(width), side(height));
            refuse(format!("it takes pictures of {size} px only: export it with free sides"))
        }
    }
}

/// The inputs of a network by name; `None` where any name will do.
fn wanted_inputs(network: &Network, facts: &ModelFacts) -> Vec<(Option<&'static str>, Wanted)> {
    let channels = vec![u64::from(facts.latent_channels)];
    let width = vec![u64::from(facts.embedding_width)];
    match network {
        Network::TextEncoder => {
            vec![(Some("input_ids"), Wanted::new(WHOLE, &[2], vec![(1, vec![CHUNK as u64])]))]
        }
        Network::Unet => vec![
            (Some("sample"), Wanted::new(REAL, &[4], vec![(1, channels)])),
            (Some("timestep"), Wanted::new(ANY, &[0, 1], Vec::new())),
            (Some("encoder_hidden_states"), Wanted::new(REAL, &[3], vec![(2, width)])),
        ],
        Network::VaeDecoder | Network::Stage { .. } => {
            vec![(None, Wanted::new(REAL, &[4], vec![(1, channels)]))]
        }
        Network::VaeEncoder | Network::Upscaler(_) => vec![(None, Wanted::picture())],
    }
}

/// The first output of a network, which is the one that tasks read.
fn wanted_output(network: &Network, facts: &ModelFacts) -> Wanted {
    let channels = u64::from(facts.latent_channels);
    match network {
        Network::TextEncoder => Wanted::new(REAL, &[3], vec![(2, vec![u64::from(facts.embedding_width)])]),
        Network::Unet => Wanted::new(REAL, &[4], vec![(1, vec![channels])]),
        Network::VaeEncoder => Wanted::new(REAL, &[4], vec![(1, vec![channels, 2 * channels])]),
        Network::VaeDecoder | Network::Stage { .. } | Network::Upscaler(_) => Wanted::picture(),
    }
}

// === impl Wanted ===

impl Wanted {
    fn new(elements: &'static [Element], ranks: &'static [usize], lengths: Vec<(usize, Vec<u64>)>) -> Self {
        Self { elements, ranks, lengths }
    }

    /// `[n, 3, h, w]`
    fn picture() -> Self {
        Self::new(REAL, &[4], vec![(1, vec![3])])
    }

    fn check(&self, slot: &Slot, kind: &str) -> Result<(), String> {
        let or = |words: Vec<String>| words.join(" or ");
        if !self.elements.contains(&slot.element) {
            let elements = or(self.elements.iter().map(Element::to_string).collect());
            return Err(format!("its {kind} {slot} must hold {elements}"));
        }
        if slot.rank().is_some_and(|rank| !self.ranks.contains(&rank)) {
            let ranks = or(self.ranks.iter().map(usize::to_string).collect());
            return Err(format!("its {kind} {slot} must have {ranks} dimensions"));
        }
        for (axis, lengths) in &self.lengths {
            if slot.fixed(*axis).is_some_and(|length| !lengths.contains(&length)) {
                let lengths = or(lengths.iter().map(u64::to_string).collect());
                return Err(format!("its {kind} {slot} must have length {lengths} in dimension {axis}"));
            }
        }
        Ok(())
    }
}

fn list(slots: &[Slot]) -> String {
    let names: Vec<String> = slots.iter().take(8).map(Slot::to_string).collect();
    if names.is_empty() { "none".to_owned() } else { names.join("; ") }
}
