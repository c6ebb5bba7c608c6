//! Operators on tokens, the pixels in one line: views, products, softmax.

use super::{
    super::{super::Entry, Error, fold::place as place_of},
    Axis, Effect, Rule,
};

/// An entry of a Reshape's target.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    /// This length.
    Length(i64),
    /// An axis of the input, kept.
    Kept(Axis),
    /// Not known here; perhaps read from this axis of some tensor.
    Open(Option<usize>),
}

// === impl Rule ===

impl<'g> Rule<'_, 'g> {
    pub(super) fn reshape(&self) -> Result<Effect<'g>, Error> {
        let from = self.layout(0).ok_or_else(|| self.setting("its first input is no picture"))?;
        let entries = self.name(1).and_then(|name| self.view.inference().values(name));
        let entries = entries.ok_or_else(|| self.setting("it reshapes to dimensions that are not known"))?;
        let target = |(axis, entry): (usize, &Entry)| match (entry, entry.whole()) {
            (Entry::Axis(0), _) => Some(Target::Length(1)),
            (Entry::Axis(axis), _) => Some(Target::Open(Some(*axis))),
            (_, Some(0)) => from.axes.get(axis).map(|&axis| match axis {
                Axis::Fixed(length) => Target::Length(length),
                axis => Target::Kept(axis),
            }),
            (_, Some(length)) if 0 < length => Some(Target::Length(length)),
            _ => Some(Target::Open(None)),
        };
        let targets: Option<Vec<Target>> = entries.iter().enumerate().map(target).collect();
        let axes = targets.and_then(|targets| reshaped(&from.axes, &targets));
        let axes = axes.ok_or_else(|| self.setting("it does not keep rows, columns or tokens together"))?;
        Ok(Effect::plain(axes, from.scale))
    }

    pub(super) fn transpose(&self) -> Result<Effect<'g>, Error> {
        let from = self.layout(0).ok_or_else(|| self.setting("its first input is no picture"))?;
        let rank = i64::try_from(from.axes.len()).unwrap_or(i64::MAX);
        let order = self.node.ints("perm").map_or_else(|| (0..rank).rev().collect(), <[i64]>::to_vec);
        let pick = |&axis: &i64| from.axes.get(usize::try_from(axis).ok()?).copied();
        let axes: Option<Vec<Axis>> = order.iter().map(pick).collect();
        let axes = axes.filter(|axes| axes.len() == from.axes.len());
        let axes = axes.ok_or_else(|| self.setting("its order names no axes"))?;
        Ok(Effect::plain(axes, from.scale))
    }

    /// Axes of length 1 put in or taken out.
    pub(super) fn unit_axes(&self) -> Result<Effect<'g>, Error> {
        let from = self.layout(0).ok_or_else(|| self.setting("its first input is no picture"))?;
        let listed = match self.name(1) {
            Some(name) => self.constants.wholes(name),
            None => self.node.ints("axes").map(<[i64]>::to_vec),
        };
        let listed = listed.ok_or_else(|| self.setting("its axes are not known"))?;
        let put_in = self.node.is("Unsqueeze");
        let rank = from.axes.len() + if put_in { listed.len() } else { 0 };
        let places: Option<Vec<usize>> = listed.iter().map(|&axis| place_of(axis, rank)).collect();
        let places = places.ok_or_else(|| self.setting("its axes are not known"))?;
        let axes: Option<Vec<Axis>> = if put_in {
            let mut rest = from.axes.iter().copied();
            (0..rank)
                .map(|axis| if places.contains(&axis) { Some(Axis::Fixed(1)) } else { rest.next() })
                .collect()
        } else {
            let units = places.iter().all(|&axis| from.axes[axis] == Axis::Fixed(1));
            let kept = from.axes.iter().enumerate().filter(|(axis, _)| !places.contains(axis));
            units.then(|| kept.map(|(_, &axis)| axis).collect())
        };
        let axes = axes.ok_or_else(|| self.setting("it takes out an axis that is not of length 1"))?;
        Ok(Effect::plain(axes, from.scale))
    }

    /// Softmax over what attention looks at, or over channels.
    pub(super) fn softmax(&self) -> Result<Effect<'g>, Error> {
        let from = self.layout(0).ok_or_else(|| self.setting("its first input is no picture"))?;
        // Before operator set 13 the axis splits the dimensions in two: the last one means the same.
        let default = if 13 <= self.operators { -1 } else { 1 };
        let rank = from.axes.len();
        let axis = place_of(self.node.int("axis").unwrap_or(default), rank);
        let axis = axis.filter(|&axis| 13 <= self.operators || axis + 1 == rank);
        match axis.map(|axis| from.axes[axis]) {
            Some(Axis::Keys | Axis::Fixed(_)) => Ok(Effect::plain(from.axes.clone(), from.scale)),
            _ => Err(self.attention("its softmax is not over what the tokens look at")),
        }
    }

    pub(super) fn matmul(&self) -> Result<Effect<'g>, Error> {
        let (axes, scale, product) = match (self.layout(0), self.layout(1)) {
            (Some(a), Some(b)) => {
                let (axes, all_needed) = self.content_product(&a.axes, &b.axes)?;
                let fits = (a.scale == b.scale).then_some(axes);
                (fits, a.scale, all_needed)
            }
            (Some(tokens), None) => (weighted(&tokens.axes, &self.constant_axes(1)?), tokens.scale, None),
            (None, Some(tokens)) => (weighted(&self.constant_axes(0)?, &tokens.axes), tokens.scale, None),
            (None, None) => (None, super::Scale::ONE, None),
        };
        let axes = axes.ok_or_else(|| self.setting("it multiplies tokens with weights of another layout"))?;
        Ok(Effect { product: product.and_then(|input| self.name(input)), ..Effect::plain(axes, scale) })
    }

    /// The axes of a product of two values that both depend on the picture, and the operand that all tokens are
    /// needed of.
    fn content_product(&self, a: &[Axis], b: &[Axis]) -> Result<(Vec<Axis>, Option<usize>), Error> {
        use Axis::{Fixed, Keys, Tokens};
        let unknown = || self.attention("tokens meet in a product that is neither q kᵀ nor softmax(...) v");
        let ([outer_a @ .., rows, left], [outer_b @ .., right, columns]) = (a, b) else {
            return Err(unknown());
        };
        let fixed = |axes: &[Axis]| axes.iter().all(|axis| matches!(axis, Fixed(_)));
        let outer = super::broadcast(outer_a, outer_b).filter(|axes| fixed(axes)).ok_or_else(unknown)?;
        let (rows, columns, all_needed) = match (*rows, *left, *right, *columns) {
            // q kᵀ
            (Tokens, Fixed(a), Fixed(b), Tokens) if a == b => (Tokens, Keys, 1),
            // softmax(...) v
            (Tokens, Keys, Tokens, Fixed(depth)) => (Tokens, Fixed(depth), 1),
            // vᵀ softmax(...)ᵀ
            (Fixed(depth), Tokens, Keys, Tokens) => (Fixed(depth), Tokens, 0),
            _ => return Err(unknown()),
        };
        Ok(([outer.as_slice(), &[rows, columns]].concat(), Some(all_needed)))
    }
}

/// The axes of a product with constant weights, over channels.
fn weighted(a: &[Axis], b: &[Axis]) -> Option<Vec<Axis>> {
    let ([outer_a @ .., rows, left], [outer_b @ .., right, columns]) = (a, b) else {
        return None;
    };
    let contracted = matches!((left, right), (Axis::Fixed(a), Axis::Fixed(b)) if a == b);
    let outer = super::broadcast(outer_a, outer_b).filter(|_| contracted)?;
    Some([outer.as_slice(), &[*rows, *columns]].concat())
}

/// The axes after a Reshape; `None` when it would tear tokens apart, or may.
///
/// Values stay in order, so an axis is kept where as many numbers lie before it and behind it as did. One entry that
/// is not known may be the tokens, one more is then computed from the rest.
fn reshaped(from: &[Axis], targets: &[Target]) -> Option<Vec<Axis>> {
    let is_moving = |axis: &Axis| !matches!(axis, Axis::Fixed(_));
    let first = from.iter().position(is_moving)?;
    let count = from[first..].iter().take_while(|axis| is_moving(axis)).count();
    let group = &from[first..first + count];
    let (before, after) = (product(&from[..first])?, product(&from[first + count..])?);
    // Rows and columns first: they are named, where tokens are only what is left.
    let forms: [&[Axis]; 2] = match group {
        [Axis::Rows, Axis::Columns] | [Axis::Tokens] => [&[Axis::Rows, Axis::Columns], &[Axis::Tokens]],
        other => [other, &[]],
    };
    forms.into_iter().find_map(|axes| {
        // From the end: a batch that is not known to be 1 must not be taken for the tokens.
        let mut starts = (0..=targets.len().checked_sub(axes.len())?).rev();
        starts.find_map(|start| placed(targets, start, axes, (before, after)))
    })
}

/// The axes when `axes` stand at `start` of the target.
fn placed(targets: &[Target], start: usize, axes: &[Axis], outside: (i64, i64)) -> Option<Vec<Axis>> {
    if axes.is_empty() {
        return None;
    }
    let end = start + axes.len();
    let stands = |(offset, axis): (usize, &Axis)| match (targets[start + offset], axis) {
        (Target::Kept(kept), axis) => kept == *axis,
        // Rows and columns cannot be told apart by their product: they must be read from these very axes.
        (Target::Open(read), Axis::Rows) => read == Some(2),
        (Target::Open(read), Axis::Columns) => read == Some(3),
        (Target::Open(_), _) => true,
        (Target::Length(_), _) => false,
    };
    if !axes.iter().enumerate().all(stands) {
        return None;
    }
    let lengths = |range: &[Target], total: i64| -> Option<Vec<Axis>> {
        let known = |target: &Target| match target {
            Target::Length(length) => Some(*length),
            Target::Kept(_) | Target::Open(_) => None,
        };
        let product: i64 = range.iter().filter_map(known).try_fold(1_i64, |all, one| all.checked_mul(one))?;
        let open = range.iter().filter(|target| matches!(target, Target::Open(_))).count();
        let kept = range.iter().any(|target| matches!(target, Target::Kept(_)));
        let rest = total.checked_div(product)?;
        let fits = !kept && rest * product == total && (open == 1 || (open == 0 && rest == 1));
        fits.then(|| range.iter().map(|target| Axis::Fixed(known(target).unwrap_or(rest))).collect())
    };
    let (head, tail) = (lengths(&targets[..start], outside.0)?, lengths(&targets[end..], outside.1)?);
    Some([head.as_slice(), axes, &tail].concat())
}

fn product(axes: &[Axis]) -> Option<i64> {
    axes.iter().try_fold(1_i64, |all, axis| match axis {
        Axis::Fixed(length) => all.checked_mul(*length),
        _ => None,
    })
}
