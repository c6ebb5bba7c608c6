//! How far an operator looks along one axis: a span of its result in, the span of its input out, and back.
//!
//! All positions are whole numbers on the axis of the whole picture, 0 at its rim. A tile is run by giving the graph
//! a slice of the input; the operators then pad the slice as they pad the picture. Where the slice ends at the rim
//! that is right, elsewhere it makes wrong values, which [`Reach::need`] keeps out of what is asked for.

/// Positions `start <= x < end` on one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// What an operator does to one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Reach {
    /// Each position from the same position.
    Same,
    /// A window that moves by `stride`: `y[i]` of `x[i * stride - before + dilation * 0..kernel]`.
    Window { kernel: i64, stride: i64, dilation: i64, before: i64, after: i64 },
    /// Positions added at both rims.
    Pad { before: i64, after: i64 },
    /// Each position repeated: `y[i] = x[i / factor]`.
    Enlarge { factor: i64 },
}

// === impl Span ===

impl Span {
    pub(super) fn new(start: i64, end: i64) -> Self {
        Self { start, end }
    }

    pub(super) fn len(self) -> i64 {
        self.end - self.start
    }

    /// The least span that holds both.
    pub(super) fn hull(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The part on an axis of this length, at least one position.
    fn on(self, length: i64) -> Self {
        let start = self.start.clamp(0, length - 1);
        Self { start, end: self.end.clamp(start + 1, length) }
    }
}

// === impl Reach ===

impl Reach {
    /// Length of the result for an input of this length; not positive when the input is too short.
    pub(super) fn length(self, input: i64) -> i64 {
        match self {
            Self::Same => input,
            Self::Window { kernel, stride, dilation, before, after } => {
                (input + before + after - dilation * (kernel - 1) - 1).div_euclid(stride) + 1
            }
            Self::Pad { before, after } => input + before + after,
            Self::Enlarge { factor } => input * factor,
        }
    }

    /// What a span of the result is made of, on an input axis of this length.
    pub(super) fn need(self, result: Span, length: i64) -> Span {
        let span = match self {
            Self::Same => result,
            Self::Window { kernel, stride, dilation, before, .. } => Span {
                start: result.start * stride - before,
                end: (result.end - 1) * stride - before + dilation * (kernel - 1) + 1,
            },
            Self::Pad { before, .. } => Span { start: result.start - before, end: result.end - before },
            Self::Enlarge { factor } => Span {
                start: result.start.div_euclid(factor),
                end: (result.end + factor - 1).div_euclid(factor),
            },
        };
        span.on(length)
    }

    /// What a slice's start must be a multiple of, where the result's start must be a multiple of `result`.
    pub(super) fn alignment(self, result: i64) -> i64 {
        match self {
            Self::Same | Self::Pad { .. } => result,
            Self::Window { stride, .. } => stride * result,
            Self::Enlarge { factor } => result / gcd(result, factor),
        }
    }

    /// Where the result lies when the operator runs on a slice whose start is aligned.
    pub(super) fn run(self, slice: Span) -> Span {
        let start = match self {
            Self::Same | Self::Pad { .. } => slice.start,
            Self::Window { stride, .. } => slice.start / stride,
            Self::Enlarge { factor } => slice.start * factor,
        };
        Span { start, end: start + self.length(slice.len()) }
    }
}

pub(super) fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

pub(super) fn lcm(a: i64, b: i64) -> i64 {
    a / gcd(a, b) * b
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs an operator on numbers: sums with unlike factors, so that every wrong position shows.
    fn run(reach: Reach, values: &[i64]) -> Vec<i64> {
        let length = i64::try_from(values.len()).unwrap();
        let at = |index: i64| {
            usize::try_from(index).ok().and_then(|index| values.get(index)).copied().unwrap_or(0)
        };
        let one = |index: i64| match reach {
            Reach::Same => at(index).wrapping_mul(5),
            Reach::Window { kernel, stride, dilation, before, .. } => {
                let term = |k: i64| at(index * stride - before + dilation * k).wrapping_mul(2 * k + 3);
                (0..kernel).map(term).fold(7, i64::wrapping_add)
            }
            Reach::Pad { before, .. } => at(index - before),
            Reach::Enlarge { factor } => at(index / factor),
        };
        (0..reach.length(length)).map(one).collect()
    }

    fn reach() -> impl Strategy<Value = Reach> {
        let window = (1_i64..5, 1_i64..4, 1_i64..3, 0_i64..3, 0_i64..3).prop_map(
            |(kernel, stride, dilation, before, after)| Reach::Window {
                kernel,
                stride,
                dilation,
                before,
                after,
            },
        );
        let pad = (0_i64..3, 0_i64..3).prop_map(|(before, after)| Reach::Pad { before, after });
        prop_oneof![Just(Reach::Same), window, pad, (2_i64..4).prop_map(|factor| Reach::Enlarge { factor })]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Any chain of operators, any part of its result: run on the slice that the part needs, it gives that part.
        #[test]
        fn a_slice_gives_what_the_whole_gives(
            chain in prop::collection::vec(reach(), 1..7), length in 20_i64..60, at in 0_i64..1000, size in 1_i64..40,
        ) {
            let values: Vec<i64> = (0..length).map(|index| index * index * 31 + 17).collect();
            let mut lengths = vec![length];
            let mut whole = values.clone();
            for reach in &chain {
                whole = run(*reach, &whole);
                lengths.push(i64::try_from(whole.len()).unwrap());
            }
            prop_assume!(lengths.iter().all(|&length| 0 < length && length < 4000));
            let last = *lengths.last().unwrap();
            let start = at % last;
            let wanted = Span::new(start, (start + size).min(last));
            let (mut need, mut alignment) = (wanted, 1);
            for (reach, &length) in chain.iter().zip(&lengths).rev() {
                need = reach.need(need, length);
                alignment = reach.alignment(alignment);
            }
            let slice = Span::new(need.start / alignment * alignment, need.end);
            let range = usize::try_from(slice.start).unwrap()..usize::try_from(slice.end).unwrap();
            let (mut part, mut place) = (values[range].to_vec(), slice);
            for reach in &chain {
                part = run(*reach, &part);
                place = reach.run(place);
                prop_assert_eq!(place.len(), i64::try_from(part.len()).unwrap());
            }
            for position in wanted.start..wanted.end {
                let found = usize::try_from(position - place.start).ok().and_then(|at| part.get(at));
                prop_assert_eq!(found, whole.get(usize::try_from(position).unwrap()), "at {}", position);
            }
        }
    }

    #[test]
    fn the_known_operators() {
        let conv = Reach::Window { kernel: 3, stride: 1, dilation: 1, before: 1, after: 1 };
        assert_eq!(conv.need(Span::new(0, 4), 9), Span::new(0, 5));
        assert_eq!(conv.need(Span::new(4, 9), 9), Span::new(3, 9));
        assert_eq!(conv.length(9), 9);
        // The encoder's halving: one column of zeros at the right, then every second window of three.
        let (pad, halve) = (
            Reach::Pad { before: 0, after: 1 },
            Reach::Window { kernel: 3, stride: 2, dilation: 1, before: 0, after: 0 },
        );
        assert_eq!(halve.length(pad.length(16)), 8);
        assert_eq!(pad.need(halve.need(Span::new(3, 5), 17), 16), Span::new(6, 11));
        assert_eq!(pad.need(halve.need(Span::new(7, 8), 17), 16), Span::new(14, 16));
        assert_eq!(halve.alignment(1), 2);
        let enlarge = Reach::Enlarge { factor: 2 };
        assert_eq!(enlarge.need(Span::new(3, 5), 8), Span::new(1, 3));
        assert_eq!((enlarge.alignment(2), enlarge.alignment(3)), (1, 3));
    }
}
