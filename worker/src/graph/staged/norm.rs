//! Group normalisations as exporters write them: one node of a spelling in, what it normalises and how out.
//!
//! ```text
//! x ─ Reshape [n, groups, -1] ─ InstanceNormalization ─ Reshape (shape of x) ─ (· w [c, 1, 1]) ─ (+ b [c, 1, 1])
//! x ─ GroupNormalization
//! ```
//!
//! Casts and Identity nodes may stand between them. Weights that cannot be read here (they lie in a file beside the
//! model) stay behind the normalisation as the multiplication and addition that they are.

use tessera_proto::GroupNorm;

use super::{
    super::{Entry, View, onnx::NodeProto},
    fold::Constants,
};

/// What both operators take for `epsilon` when the graph gives none.
const EPSILON: f64 = 1e-5;

/// The operator set from which `GroupNormalization` has weights for channels instead of groups.
const WEIGHTS_BY_CHANNEL: i64 = 21;

/// A normalisation that was understood.
#[derive(Debug)]
pub(super) struct Found<'g> {
    /// What is normalised, `[n, c, ...]`.
    pub(super) input: &'g str,
    /// Its number of dimensions.
    pub(super) rank: usize,
    /// The node that gives the result.
    pub(super) last: usize,
    /// The numbers.
    pub(super) norm: GroupNorm,
}

/// A graph to search.
pub(super) struct Search<'a, 'g> {
    pub(super) view: &'a View<'g>,
    pub(super) constants: &'a Constants<'g>,
    /// The version of the standard operator set.
    pub(super) operators: i64,
}

/// Groups of the input's channels, and a factor and an addend for each.
struct Groups<'a, 'g> {
    input: &'g str,
    dims: &'a [Option<i64>],
    /// Whether the input is reshaped into groups, and so must be reshaped back.
    reshaped: bool,
    scale: Vec<f64>,
    shift: Vec<f64>,
}

/// Whether a node is at the heart of a normalisation, one that is looked for or another.
pub(super) fn is_heart(node: &NodeProto) -> bool {
    node.op_type().ends_with("Normalization")
}

// === impl Search ===

impl<'a, 'g> Search<'a, 'g> {
    /// The normalisation whose heart this node is; `None` when anything about it is not as expected.
    pub(super) fn find(&self, index: usize, node: &'g NodeProto) -> Option<Found<'g>> {
        match node.op_type() {
            "GroupNormalization" => self.group(index, node),
            "InstanceNormalization" => self.instance(index, node),
            _ => None,
        }
    }

    fn group(&self, index: usize, node: &'g NodeProto) -> Option<Found<'g>> {
        let input = node.input.first()?;
        let dims = self.view.inference().dims(input)?;
        let channels = length(dims.get(1))?;
        let groups = node.int("num_groups").and_then(|groups| usize::try_from(groups).ok())?;
        let numbers = |at: usize| self.constants.get(node.input.get(at)?).map(|small| small.values.clone());
        let by_channel = |values: Vec<f64>| {
            let expected = if WEIGHTS_BY_CHANNEL <= self.operators { channels } else { groups };
            (values.len() == expected).then(|| spread(&values, channels)).flatten()
        };
        let (weight, bias) = (by_channel(numbers(1)?)?, by_channel(numbers(2)?)?);
        let norm = GroupNorm::new(groups, epsilon(node), rounded(&weight), rounded(&bias)).ok()?;
        Some(Found { input, rank: dims.len(), last: index, norm })
    }

    fn instance(&self, index: usize, node: &'g NodeProto) -> Option<Found<'g>> {
        let groups = self.groups(node)?;
        let (rank, channels) = (groups.dims.len(), length(groups.dims.get(1))?);
        let (mut value, mut last) = (node.output.first()?.as_str(), index);
        if groups.reshaped {
            (last, value) = self.reshaped_back(value, groups.dims)?;
        }
        let (mut weight, mut bias) = (spread(&groups.scale, channels)?, spread(&groups.shift, channels)?);
        if let Some((after, factors)) = self.by_channel(value, "Mul", channels, rank) {
            for (number, factor) in weight.iter_mut().chain(&mut bias).zip(factors.iter().cycle()) {
                *number *= factor;
            }
            last = after;
            value = self.view.node(after).output.first()?;
        }
        if let Some((after, addends)) = self.by_channel(value, "Add", channels, rank) {
            for (number, addend) in bias.iter_mut().zip(&addends) {
                *number += addend;
            }
            last = after;
        }
        let norm =
            GroupNorm::new(groups.scale.len(), epsilon(node), rounded(&weight), rounded(&bias)).ok()?;
        Some(Found { input: groups.input, rank, last, norm })
    }

    /// What an `InstanceNormalization` normalises: channels gathered in groups by a Reshape, or each by itself.
    fn groups(&self, node: &'g NodeProto) -> Option<Groups<'a, 'g>> {
        let numbers = |at: usize| self.constants.get(node.input.get(at)?).map(|small| small.values.clone());
        let (scale, shift) = (numbers(1)?, numbers(2)?);
        let mut value = node.input.first()?.as_str();
        while let Some(maker) =
            self.view.maker(value).filter(|maker| maker.is("Cast") || maker.is("Identity"))
        {
            value = maker.input.first()?;
        }
        let dims_of = |value| self.view.inference().dims(value);
        let Some(reshape) = self.view.maker(value).filter(|maker| maker.is("Reshape")) else {
            let dims = dims_of(value)?;
            let fits = length(dims.get(1))? == scale.len();
            return fits.then_some(Groups { input: value, dims, reshaped: false, scale, shift });
        };
        let input = reshape.input.first()?.as_str();
        let dims = dims_of(input)?;
        let [batch, groups, rest @ ..] = self.view.inference().values(reshape.input.get(1)?)? else {
            return None;
        };
        let same_batch = batch.whole().is_some() && batch.whole() == dims.first().copied().flatten();
        let batch_kept = matches!(batch, Entry::Axis(0)) || batch.whole() == Some(0) || same_batch;
        let grouped = groups.whole().and_then(|groups| usize::try_from(groups).ok()) == Some(scale.len());
        // With batch and groups fixed, one more axis holds all that is left; further ones must have length 1.
        let ones = rest.iter().skip(1).all(|entry| entry.whole() == Some(1));
        let fits = batch_kept && grouped && ones && rest.first()?.whole().is_none_or(|length| length == -1);
        fits.then_some(Groups { input, dims, reshaped: true, scale, shift })
    }

    /// The Reshape that gives a value the dimensions that it had before, and its result.
    fn reshaped_back(&self, mut value: &'g str, dims: &[Option<i64>]) -> Option<(usize, &'g str)> {
        loop {
            let (index, node) = self.next(value)?;
            let output = node.output.first()?.as_str();
            if node.is("Reshape") {
                let target = self.view.inference().values(node.input.get(1)?)?;
                let open = target.iter().filter(|entry| entry.whole() == Some(-1)).count();
                let kept = |(axis, entry): (usize, &Entry)| match (entry, entry.whole()) {
                    (Entry::Axis(from), _) => *from == axis,
                    (_, Some(-1)) => open == 1,
                    (_, Some(length)) => dims.get(axis).copied().flatten() == Some(length),
                    _ => false,
                };
                let fits = target.len() == dims.len() && target.iter().enumerate().all(kept);
                return fits.then_some((index, output));
            }
            if !node.is("Cast") && !node.is("Identity") {
                return None;
            }
            value = output;
        }
    }

    /// The node that multiplies or adds one constant for each channel, and these constants.
    fn by_channel(
        &self,
        mut value: &'g str,
        op: &str,
        channels: usize,
        rank: usize,
    ) -> Option<(usize, Vec<f64>)> {
        loop {
            let (index, node) = self.next(value)?;
            if node.is("Cast") || node.is("Identity") {
                value = node.output.first()?;
                continue;
            }
            let other = node.input.iter().find(|input| *input != value).filter(|_| node.is(op))?;
            let constant = self.constants.get(other)?;
            let mut dims = constant.dims.as_slice();
            while let [1, rest @ ..] = dims
                && rank - 1 <= rest.len()
            {
                dims = rest;
            }
            let along_channels = dims.split_first().is_some_and(|(first, rest)| {
                *first == channels && rest.len() == rank - 2 && rest.iter().all(|&length| length == 1)
            });
            return along_channels.then(|| (index, constant.values.clone()));
        }
    }

    /// The only node that reads a value, apart from those that read its shape.
    fn next(&self, value: &str) -> Option<(usize, &'g NodeProto)> {
        let readers = self.view.readers(value).iter().map(|&index| (index, self.view.node(index)));
        let mut readers = readers.filter(|(_, node)| !node.is("Shape"));
        let first = readers.next();
        first.filter(|_| readers.next().is_none())
    }
}

fn length(dim: Option<&Option<i64>>) -> Option<usize> {
    dim.copied().flatten().and_then(|length| usize::try_from(length).ok())
}

fn epsilon(node: &NodeProto) -> f64 {
    node.attribute("epsilon").and_then(|attribute| attribute.f).map_or(EPSILON, f64::from)
}

/// One number for each channel, from one for each group of neighbours.
fn spread(groups: &[f64], channels: usize) -> Option<Vec<f64>> {
    let each = channels.checked_div(groups.len()).filter(|each| each * groups.len() == channels)?;
    Some(groups.iter().flat_map(|&number| std::iter::repeat_n(number, each)).collect())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "weights are f32 or less; products of two are rounded once"
)]
fn rounded(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}
