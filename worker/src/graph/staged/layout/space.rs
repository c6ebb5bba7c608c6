//! Operators that move pixels: convolution, padding, enlarging, joining of channels.

use super::{
    super::{super::onnx::NodeProto, Error, fold::place as place_of, reach::Reach},
    Axis, Effect, Rule,
};

// === impl Rule ===

impl<'g> Rule<'_, 'g> {
    /// `[1, c, h, w]` with weights `[k, c / groups, kh, kw]` to `[1, k, ?, ?]`.
    pub(super) fn conv(&self) -> Result<Effect<'g>, Error> {
        let from = self.layout(0).filter(|layout| layout.picture_channels().is_some());
        let from = from.ok_or_else(|| self.setting("its input is no picture [n, c, h, w]"))?;
        let weights = self.name(1).filter(|name| self.layouts.get(name).is_none());
        let dims = weights.and_then(|name| self.view.inference().dims(name));
        let Some([Some(channels), _, Some(height), Some(width)]) = dims else {
            return Err(self.setting("its weights have no known shape [k, c, h, w]"));
        };
        if !matches!(text(self.node, "auto_pad"), "" | "NOTSET") {
            return Err(self.setting("it pads by itself (auto_pad)"));
        }
        let list = |name, default: i64, count: usize| match self.node.ints(name) {
            None => Some(vec![default; count]),
            Some(list) => (list.len() == count && list.iter().all(|&n| default <= n)).then(|| list.to_vec()),
        };
        let (strides, dilations) = (list("strides", 1, 2), list("dilations", 1, 2));
        let (Some(strides), Some(dilations), Some(pads)) = (strides, dilations, list("pads", 0, 4)) else {
            return Err(self.setting("its strides, dilations or pads are none of a picture's"));
        };
        if strides[0] != strides[1] {
            return Err(self.setting("its strides differ for rows and columns"));
        }
        let window = |axis: usize, kernel: i64| Reach::Window {
            kernel,
            stride: strides[axis],
            dilation: dilations[axis],
            before: pads[axis],
            after: pads[axis + 2],
        };
        let scale = from.scale.divided(strides[0]).ok_or_else(|| self.setting("its stride is too large"))?;
        let axes = vec![Axis::Fixed(1), Axis::Fixed(*channels), Axis::Rows, Axis::Columns];
        let reach = Some([window(0, *height), window(1, *width)]);
        Ok(Effect { reach, ..Effect::plain(axes, scale) })
    }

    /// Constant padding of rows and columns.
    pub(super) fn pad(&self) -> Result<Effect<'g>, Error> {
        let from = self.layout(0).filter(|layout| layout.picture_channels().is_some());
        let from = from.ok_or_else(|| self.setting("its input is no picture [n, c, h, w]"))?;
        if !matches!(text(self.node, "mode"), "" | "constant") {
            return Err(self.setting("it pads with copies of pixels, not with a constant"));
        }
        let pads = match self.name(1) {
            Some(name) => self.constants.wholes(name),
            None => self.node.ints("pads").map(<[i64]>::to_vec),
        };
        let known = pads.filter(|_| self.name(3).is_none());
        let Some(&[0, 0, top, left, 0, 0, bottom, right]) = known.as_deref() else {
            return Err(self.setting("its pads are not known, or not those of rows and columns"));
        };
        if [top, left, bottom, right].into_iter().any(|pad| pad < 0) {
            return Err(self.setting("its pads are negative"));
        }
        let reach = [(top, bottom), (left, right)].map(|(before, after)| Reach::Pad { before, after });
        Ok(Effect { reach: Some(reach), ..Effect::plain(from.axes.clone(), from.scale) })
    }

    /// Every pixel repeated in both directions.
    pub(super) fn enlarge(&self) -> Result<Effect<'g>, Error> {
        let from = self.layout(0).filter(|layout| layout.picture_channels().is_some());
        let from = from.ok_or_else(|| self.setting("its input is no picture [n, c, h, w]"))?;
        // Resize has its regions of interest between the picture and the scales since operator set 11.
        let at = if self.node.is("Resize") && 11 <= self.operators { 2 } else { 1 };
        let scales = self.name(at).and_then(|name| self.constants.wholes(name));
        let Some(&[1, 1, factor, other]) = scales.as_deref() else {
            return Err(self.setting("it resizes by a factor that is not known or not whole"));
        };
        if factor != other || factor < 1 {
            return Err(self.setting("it resizes rows and columns differently"));
        }
        if !self.repeats(factor) {
            return Err(self.setting("it resizes by another rule than repeating each pixel"));
        }
        let scale = from.scale.multiplied(factor).ok_or_else(|| self.setting("it enlarges too much"))?;
        Ok(Effect { reach: Some([Reach::Enlarge { factor }; 2]), ..Effect::plain(from.axes.clone(), scale) })
    }

    /// Whether the settings give pixel `i` of the result from pixel `i / factor`, rounded down.
    ///
    /// Asymmetric coordinates are `i / factor`. Those from the middle of pixels are `(i + 1/2) / factor - 1/2`, which
    /// lies less than a half from the same pixel, so rounding to the nearest gives it.
    fn repeats(&self, factor: i64) -> bool {
        let nearest = matches!(text(self.node, "mode"), "" | "nearest");
        if self.node.is("Upsample") || self.operators < 11 {
            return nearest;
        }
        let rounding = match text(self.node, "nearest_mode") {
            "" => "round_prefer_floor",
            rounding => rounding,
        };
        nearest
            && match text(self.node, "coordinate_transformation_mode") {
                "" | "half_pixel" | "half_pixel_symmetric" | "pytorch_half_pixel" => {
                    rounding.starts_with("round")
                }
                "asymmetric" => rounding == "floor" || (rounding == "round_prefer_floor" && factor <= 2),
                _ => false,
            }
    }

    /// Channels side by side.
    pub(super) fn concat(&self) -> Result<Effect<'g>, Error> {
        let unlike = || self.setting("it joins pictures or tokens of different layouts");
        let all: Option<Vec<_>> = (0..self.node.input.len()).map(|input| self.layout(input)).collect();
        let all = all.ok_or_else(unlike)?;
        let first = *all.first().ok_or_else(unlike)?;
        let axis =
            self.node.int("axis").and_then(|axis| place_of(axis, first.axes.len())).ok_or_else(unlike)?;
        let (mut axes, mut sum) = (first.axes.clone(), 0);
        for layout in all {
            let Some(&Axis::Fixed(length)) = layout.axes.get(axis) else {
                return Err(self.setting("it joins along rows, columns or tokens"));
            };
            sum += length;
            axes[axis] = Axis::Fixed(length);
            if layout.axes != axes || layout.scale != first.scale {
                return Err(unlike());
            }
        }
        axes[axis] = Axis::Fixed(sum);
        Ok(Effect::plain(axes, first.scale))
    }
}

/// An attribute that is a text; empty when there is none.
fn text<'n>(node: &'n NodeProto, name: &str) -> &'n str {
    let bytes = node.attribute(name).and_then(|attribute| attribute.s.as_deref());
    bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
}
