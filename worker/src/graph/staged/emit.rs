//! One stage as a graph of its own: the values that it must give in, its nodes, weights, inputs and outputs out.

use std::collections::HashSet;

use super::{
    super::{
        Element, Model, View,
        onnx::{DataType, GraphProto},
        view::for_each_read,
    },
    Error,
    error::place,
    kinds::Kinds,
    layout::{Axis, Layouts},
    level::Levels,
    net::{Net, value},
};

/// A graph and all that is known of it.
pub(super) struct Emitter<'a, 'g> {
    pub(super) net: &'g Net,
    pub(super) view: &'a View<'g>,
    pub(super) layouts: &'a Layouts<'g>,
    pub(super) levels: &'a Levels<'g>,
    pub(super) kinds: &'a Kinds<'g>,
    /// The model that the graph comes from, without its graph.
    pub(super) shell: Model,
}

/// The nodes of a stage and what they read from outside.
#[derive(Debug, Default)]
pub(super) struct Selection<'g> {
    /// Indices of nodes, in order.
    pub(super) nodes: Vec<usize>,
    /// Pictures of earlier stages, or the graph's input, in the order in which they were found.
    pub(super) pictures: Vec<&'g str>,
    /// Keys and values of earlier stages.
    pub(super) shared: Vec<&'g str>,
    /// Normalisations whose factors are read.
    pub(super) norms: Vec<usize>,
    /// Every name that is read.
    read: HashSet<&'g str>,
}

// === impl Emitter ===

impl<'g> Emitter<'_, 'g> {
    /// The nodes that give `outputs` in stage `stage`. It reads the pictures, keys and values that earlier stages have
    /// made. Sizes, and tokens on their way from a picture to a product, are computed again: they are cheaper than a
    /// tensor to hand over, and a tile's tokens are not those of the whole.
    pub(super) fn select(&self, stage: usize, outputs: &[&'g str]) -> Selection<'g> {
        let mut selection = Selection::default();
        let mut needed: HashSet<&str> = outputs.iter().copied().collect();
        let nodes: Vec<_> = self.view.nodes().collect();
        for (index, node) in nodes.into_iter().rev() {
            let Some(output) = node.output.iter().find(|output| needed.contains(output.as_str())) else {
                continue;
            };
            let earlier = self.layouts.get(output).filter(|_| self.levels.of(output) < stage);
            if let Some(layout) = earlier {
                if self.levels.shared.contains(&output.as_str()) {
                    selection.shared.push(output);
                    continue;
                }
                if layout.picture_channels().is_some() {
                    selection.pictures.push(output);
                    continue;
                }
            }
            selection.nodes.push(index);
            for_each_read(node, &mut |name| {
                needed.insert(name);
                selection.read.insert(name);
            });
        }
        selection.nodes.reverse();
        selection.pictures.reverse();
        selection.shared.reverse();
        let input = self.net.graph.input.iter().map(|input| input.name());
        selection
            .pictures
            .extend(input.filter(|name| self.layouts.get(name).is_some() && needed.contains(name)));
        let applied = |norm: &usize| needed.contains(self.net.norms[*norm].scale.as_str());
        selection.norms = (0..self.net.norms.len()).filter(applied).collect();
        selection
    }

    /// The model of a stage.
    ///
    /// # Errors
    /// The type of something that is handed over is not known.
    pub(super) fn model(&self, selection: &Selection<'g>, outputs: &[&'g str]) -> Result<Model, Error> {
        let graph = &self.net.graph;
        let mut inputs = Vec::new();
        for name in selection.pictures.iter().chain(&selection.shared) {
            inputs.push(self.declared(name)?);
        }
        for norm in selection.norms.iter().map(|&norm| &self.net.norms[norm]) {
            let channels = i64::try_from(norm.norm.channels()).ok();
            let dims = [Some(1), channels, Some(1), Some(1)];
            inputs.extend([&norm.scale, &norm.shift].map(|name| value(name, DataType::Float, &dims)));
        }
        let is_read = |name: &str| selection.read.contains(name);
        let stored = graph.initializer.iter().filter(|tensor| is_read(tensor.name())).cloned();
        let sparse = graph.sparse_initializer.iter();
        let sparse =
            sparse.filter(|tensor| tensor.values.as_ref().is_some_and(|values| is_read(values.name())));
        let mut model = self.shell.clone();
        *model.graph_mut() = GraphProto {
            node: selection.nodes.iter().map(|&index| self.view.node(index).clone()).collect(),
            name: graph.name.clone(),
            initializer: stored.collect(),
            sparse_initializer: sparse.cloned().collect(),
            input: inputs,
            output: outputs.iter().map(|name| self.declared(name)).collect::<Result<_, _>>()?,
            ..GraphProto::default()
        };
        Ok(model)
    }

    /// The element type of a value that is handed over.
    pub(super) fn element(&self, name: &str) -> Result<Element, Error> {
        match self.kinds.of(name) {
            DataType::Float => Ok(Element::F32),
            DataType::Float16 => Ok(Element::F16),
            _ => {
                let place = self.view.maker(name).map_or_else(|| name.to_owned(), place);
                Err(Error::Setting { place, reason: "its values are neither f32 nor f16" })
            }
        }
    }

    /// A value as an input or output: channels and heads fixed, batch and sizes free.
    fn declared(&self, name: &str) -> Result<super::super::onnx::ValueInfoProto, Error> {
        let kind = match self.element(name)? {
            Element::F16 => DataType::Float16,
            _ => DataType::Float,
        };
        let axes = self.layouts.get(name).map(|layout| layout.axes.as_slice()).unwrap_or_default();
        let dim = |(place, axis): (usize, &Axis)| match axis {
            Axis::Fixed(length) if place != 0 => Some(*length),
            _ => None,
        };
        Ok(value(name, kind, &axes.iter().enumerate().map(dim).collect::<Vec<_>>()))
    }
}
