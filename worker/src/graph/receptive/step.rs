//! What one node does to the place of px: a node in; how it changes sizes and how far it looks out.

use super::{Form, Level};
use crate::graph::{View, onnx::NodeProto};

/// Operators that look at one px, or at one place of several pictures, at a time.
const PX_BY_PX: [&str; 33] = [
    "Abs",
    "Add",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Cos",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Log",
    "Max",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pow",
    "Reciprocal",
    "Relu",
    "Selu",
    "Sigmoid",
    "Sin",
    "Softplus",
    "Sqrt",
    "Sub",
    "Tanh",
];

/// Axes of `[n, c, h, w]`.
const CHANNELS: i64 = 1;

/// The order in which `[n, c, h/f, f, w/f, f]` becomes `[n, c, f, f, h/f, w/f]`: torch's `pixel_unshuffle`.
const FOLDS: [i64; 6] = [0, 1, 3, 5, 2, 4];

/// The orders in which `[n, c, f, f, h, w]` and `[n, f, f, c, h, w]` become `[n, c, h, f, w, f]`: torch's `pixel_shuffle`
/// and TensorFlow's `depth_to_space`, and the axis that holds `f`.
const UNFOLDS: [([i64; 6], usize); 2] = [([0, 1, 4, 2, 5, 3], 2), ([0, 3, 4, 1, 5, 2], 1)];

/// A step on the way from the picture to its enlargement. Lengths in px of the node's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Each px by itself.
    Same,
    /// A window of `arm` px to the farther side, moved by `stride`: convolutions and pools.
    Window { stride: u64, arm: u64 },
    /// Each px becomes `factor` x `factor`, from itself and `arm` px to each side.
    Enlarge { factor: u64, arm: u64 },
    /// A transposed convolution that enlarges by `stride`: the extent of its kernel and the padding cut off.
    Spread { stride: u64, extent: u64, cut: u64 },
    /// Blocks of `factor` x `factor` px become one px of more channels.
    Fold { factor: u64 },
    /// A reshape, which takes sides apart or puts them together.
    Reshape,
    /// Sides are filled up by an amount that depends on them, as spandrel does before folding.
    FillUp,
    /// Not understood.
    Other,
}

// === impl Step ===

impl Step {
    /// Whether a node takes only the size of its input.
    pub(super) fn reads_no_px(node: &NodeProto) -> bool {
        node.is("Shape") || node.is("Size")
    }

    /// What a node does that has a picture among its inputs.
    pub(super) fn of(node: &NodeProto, view: &View<'_>) -> Self {
        if !matches!(node.domain(), "" | "ai.onnx") {
            return Self::Other;
        }
        let blocks = || node.int("blocksize").and_then(positive);
        let known = match node.op_type() {
            op if PX_BY_PX.contains(&op) => Some(Self::Same),
            "Concat" | "Split" | "Gather" => (node.int("axis") == Some(CHANNELS)).then_some(Self::Same),
            "Conv" | "MaxPool" | "AveragePool" => window(node, view),
            "ConvTranspose" => spread(node, view),
            "DepthToSpace" => blocks().map(|factor| Self::Enlarge { factor, arm: 0 }),
            "SpaceToDepth" => blocks().map(|factor| Self::Fold { factor }),
            "Resize" | "Upsample" => resize(node, view),
            "Reshape" | "Unsqueeze" | "Squeeze" => Some(Self::Reshape),
            "Transpose" => transpose(node, view),
            "Slice" => slice(node, view),
            "Pad" => pad(node, view),
            _ => None,
        };
        known.unwrap_or(Self::Other)
    }

    /// The size of the result of this step on pictures of these sizes.
    pub(super) fn level(self, given: &[Level]) -> Level {
        let &[Level::Picture { num, den, form }, ref rest @ ..] = given else { return Level::Other };
        let alike =
            |level: &Level| matches!(*level, Level::Picture { num: n, den: d, .. } if (n, d) == (num, den));
        if !rest.iter().all(alike) {
            return Level::Other;
        }
        let form = match (self, form) {
            (Self::Reshape, Form::Plain) => Form::Apart,
            (Self::Reshape, form) => form,
            (Self::Fold { .. } | Self::Enlarge { .. }, Form::Apart | Form::Turned) => Form::Turned,
            (_, Form::Apart) => return Level::Other,
            _ => Form::Plain,
        };
        match self {
            Self::Same | Self::Reshape | Self::FillUp => Level::Picture { num, den, form },
            Self::Enlarge { factor: by, .. } | Self::Spread { stride: by, .. } => {
                Level::picture(num.saturating_mul(by), den, form)
            }
            Self::Fold { factor: by } | Self::Window { stride: by, .. } => {
                Level::picture(num, den.saturating_mul(by), form)
            }
            Self::Other => Level::Other,
        }
    }

    /// Px around a tile that must be known before this step, so that `after` px around it are right after it.
    pub(super) fn before(self, after: u64) -> Option<u64> {
        match self {
            Self::Same | Self::Reshape | Self::FillUp => Some(after),
            Self::Window { stride, arm } => after.checked_mul(stride)?.checked_add(arm),
            Self::Enlarge { factor, arm } => Some(after.div_ceil(factor) + arm),
            // Result px o comes from px i with o = i * stride - cut + 0..extent, on both sides of the tile.
            Self::Spread { stride, extent, cut } => {
                let left = (after + extent - 1).saturating_sub(cut) / stride;
                let right = (after + cut).div_ceil(stride);
                Some(left.max(right))
            }
            Self::Fold { factor } => after.checked_mul(factor),
            Self::Other => None,
        }
    }
}

/// Kernel, stride, dilation and padding of one axis.
struct Axis {
    extent: u64,
    stride: u64,
    before: u64,
    after: u64,
}

/// Both axes of a convolution or pool; `None` where they cannot be told or differ in stride.
fn axes(node: &NodeProto, view: &View<'_>) -> Option<[Axis; 2]> {
    let weights = || {
        let dims = view.inference().dims(node.input.get(1)?)?;
        dims.get(2..4)?.iter().copied().collect::<Option<Vec<i64>>>()
    };
    let kernel = node.ints("kernel_shape").map(<[i64]>::to_vec).or_else(weights)?;
    let list = |name: &str, length: usize, default: i64| {
        node.ints(name).map_or_else(|| vec![default; length], <[i64]>::to_vec)
    };
    let (strides, dilations, pads) = (list("strides", 2, 1), list("dilations", 2, 1), list("pads", 4, 0));
    let padding =
        node.attribute("auto_pad").and_then(|attribute| attribute.s.as_deref()).unwrap_or(b"NOTSET");
    let axis = |at: usize| {
        let whole =
            |list: &[i64], at: usize| list.get(at).copied().and_then(|value| u64::try_from(value).ok());
        let extent = (whole(&kernel, at)?.checked_sub(1)?).checked_mul(whole(&dilations, at)?)? + 1;
        let (before, after) = match padding {
            b"NOTSET" => (whole(&pads, at)?, whole(&pads, at + 2)?),
            b"SAME_UPPER" => ((extent - 1) / 2, extent / 2),
            b"SAME_LOWER" => (extent / 2, (extent - 1) / 2),
            _ => (0, 0),
        };
        Some(Axis { extent, stride: whole(&strides, at).filter(|&stride| 0 < stride)?, before, after })
    };
    let both = [axis(0)?, axis(1)?];
    (both[0].stride == both[1].stride).then_some(both)
}

/// A convolution or pool whose result has the input's sides divided by the stride.
fn window(node: &NodeProto, view: &View<'_>) -> Option<Step> {
    let axes = axes(node, view)?;
    let mut arm = 0;
    for Axis { extent, stride, before, after } in &axes {
        let padding = before + after;
        // floor((L + padding - extent) / stride) + 1 == L / stride for every multiple L of the stride.
        if *extent <= padding || padding + stride < *extent {
            return None;
        }
        arm = arm.max(*before).max(extent.saturating_sub(stride + before));
    }
    Some(Step::Window { stride: axes[0].stride, arm })
}

/// A transposed convolution whose result has the input's sides times the stride.
fn spread(node: &NodeProto, view: &View<'_>) -> Option<Step> {
    let axes = axes(node, view)?;
    let added = node.ints("output_padding").map_or_else(|| vec![0, 0], <[i64]>::to_vec);
    for (Axis { extent, stride, before, after }, added) in axes.iter().zip(&added) {
        if extent + u64::try_from(*added).ok()? != stride + before + after {
            return None;
        }
    }
    let [y, x] = axes;
    let same = (y.extent, y.before) == (x.extent, x.before);
    same.then_some(Step::Spread { stride: y.stride, extent: y.extent, cut: y.before })
}

/// Interpolation by one whole factor on both sides.
fn resize(node: &NodeProto, view: &View<'_>) -> Option<Step> {
    // `Resize` has a region of interest before the scales since operator set 11.
    let scales = if node.is("Resize") && 2 < node.input.len() { 2 } else { 1 };
    let scales = view.inference().wholes(node.input.get(scales)?)?;
    let &[1, 1, y, x] = scales.as_slice() else { return None };
    let text = |name: &str| node.attribute(name).and_then(|attribute| attribute.s.as_deref());
    let place = text("coordinate_transformation_mode").unwrap_or(b"half_pixel");
    let nearest = text("nearest_mode").unwrap_or(b"round_prefer_floor");
    let arm = match text("mode").unwrap_or(b"nearest") {
        // The corners of the whole picture decide about every px then.
        _ if place == b"align_corners" || place == b"tf_crop_and_resize" => return None,
        // Before operator set 11 there was one rule, and it was this one.
        b"nearest" if node.input.len() <= 2 => 0,
        b"nearest" if place == b"asymmetric" => u64::from(nearest != b"floor"),
        b"nearest" => u64::from(!nearest.starts_with(b"round")),
        b"linear" => 1,
        b"cubic" => 2,
        _ => return None,
    };
    (y == x).then_some(Step::Enlarge { factor: positive(y)?, arm })
}

/// The turn in the middle of a pixel shuffle, as exporters write it without an operator of its own.
fn transpose(node: &NodeProto, view: &View<'_>) -> Option<Step> {
    let order = node.ints("perm")?;
    let dims = view.inference().dims(node.input.first()?)?;
    let length = |axis: usize| dims.get(axis).copied().flatten().and_then(positive);
    if order == FOLDS {
        let factor = length(3)?;
        return (length(5) == Some(factor)).then_some(Step::Fold { factor });
    }
    let (_, axis) = UNFOLDS.iter().find(|(unfold, _)| order == unfold)?;
    let factor = length(*axis)?;
    (length(axis + 1) == Some(factor)).then_some(Step::Enlarge { factor, arm: 0 })
}

/// Some channels, or what is left of filled-up sides.
fn slice(node: &NodeProto, view: &View<'_>) -> Option<Step> {
    let inference = view.inference();
    let list = |at: usize| node.input.get(at).and_then(|name| inference.wholes(name));
    if list(3)?.iter().all(|&axis| axis == CHANNELS || axis == -3) {
        return Some(Step::Same);
    }
    let from_zero = list(1)?.iter().all(|&start| start == 0);
    let each =
        node.input.get(4).is_none_or(|_| list(4).is_some_and(|steps| steps.iter().all(|&step| step == 1)));
    // An end that is known would cut all pictures to one size.
    (from_zero && each && list(2).is_none()).then_some(Step::Same)
}

/// Nothing, or an amount that depends on the picture's sides; a fixed one would change the factor.
fn pad(node: &NodeProto, view: &View<'_>) -> Option<Step> {
    match view.inference().wholes(node.input.get(1)?) {
        None => Some(Step::FillUp),
        Some(pads) => pads.iter().all(|&px| px == 0).then_some(Step::Same),
    }
}

fn positive(value: i64) -> Option<u64> {
    u64::try_from(value).ok().filter(|&value| 0 < value)
}
