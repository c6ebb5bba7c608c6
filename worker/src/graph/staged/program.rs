//! A stage as far as places and sizes go: what is wanted of its results in, what that needs of its inputs, where its
//! results lie and how much memory they take out.

use super::{
    Scale,
    layout::{Axis, Layout},
    reach::{Reach, Span, lcm},
};

/// Bytes of a value in memory: engines compute in f32 on processors, whatever the graph's own type.
const VALUE_BYTES: u64 = 4;

/// A part of a picture: rows, then columns.
pub(super) type Area = [Span; 2];

/// How long a value's axes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Size {
    /// The product of the lengths that are always the same.
    fixed: u64,
    /// Whether there is a value for each pixel of the part that is computed.
    by_part: bool,
    /// Whether there is a value for each pixel of the whole picture (keys), for each of the others.
    by_whole: bool,
}

/// A value that depends on what the picture shows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    size: Size,
    scale: Scale,
    /// Whether it is made of keys or values alone, and so is the same for all parts.
    whole: bool,
    /// The value whose memory this is: itself, or what it is a view of.
    owner: usize,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    inputs: Vec<usize>,
    output: usize,
    reach: [Reach; 2],
}

/// A stage's nodes. Values are numbers in the order of [`Program::value`] and [`Program::step`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Program {
    values: Vec<Value>,
    steps: Vec<Step>,
    /// Inputs that are pictures.
    pub(super) inputs: Vec<usize>,
    /// Results that are pictures, then those that all tiles share.
    pub(super) outputs: Vec<usize>,
}

// === impl Program ===

impl Program {
    /// Adds an input: a picture, or (`whole`) keys or values.
    pub(super) fn value(&mut self, layout: &Layout, whole: bool) -> usize {
        let owner = self.values.len();
        self.values.push(Value { size: Size::of(&layout.axes, whole), scale: layout.scale, whole, owner });
        owner
    }

    /// Adds a node and returns its result. A view takes no memory of its own.
    pub(super) fn step(
        &mut self,
        inputs: Vec<usize>,
        layout: &Layout,
        reach: [Reach; 2],
        view: bool,
    ) -> usize {
        let whole = !inputs.is_empty() && inputs.iter().all(|&input| self.values[input].whole);
        let output = self.value(layout, whole);
        if view && let Some(&input) = inputs.first() {
            self.values[output].owner = self.values[input].owner;
        }
        self.steps.push(Step { inputs, output, reach });
        output
    }

    /// The scale of a value.
    pub(super) fn scale(&self, value: usize) -> Scale {
        self.values[value].scale
    }

    /// Rows and columns of every value for inputs of these sizes; `None` when one would be empty.
    pub(super) fn lengths(&self, inputs: &[[i64; 2]]) -> Option<Vec<[i64; 2]>> {
        let parts: Vec<Area> =
            inputs.iter().map(|length| length.map(|length| Span::new(0, length))).collect();
        let places = self.places(&parts);
        let lengths: Vec<[i64; 2]> = places.iter().map(|area| area.map(Span::len)).collect();
        let empty =
            |(value, lengths): (&Value, &[i64; 2])| !value.whole && lengths.iter().any(|&length| length < 1);
        (!self.values.iter().zip(&lengths).any(empty)).then_some(lengths)
    }

    /// Where every value lies when the graph is run on these parts of its inputs.
    pub(super) fn places(&self, inputs: &[Area]) -> Vec<Area> {
        let mut places = vec![[Span::new(0, 0); 2]; self.values.len()];
        for (&input, &area) in self.inputs.iter().zip(inputs) {
            places[input] = area;
        }
        for step in self.steps.iter().filter(|step| !self.values[step.output].whole) {
            let from = step.inputs.iter().find(|&&input| !self.values[input].whole);
            if let Some(&from) = from {
                let area = places[from];
                places[step.output] = [step.reach[0].run(area[0]), step.reach[1].run(area[1])];
            }
        }
        places
    }

    /// The parts of the inputs that the wanted parts of values need, on pictures with these lengths of each value.
    ///
    /// All inputs get matching parts, so that those that are added match in size, and their starts are where strides
    /// fall on the same pixels as in the whole picture.
    pub(super) fn need(&self, wanted: &[(usize, Area)], lengths: &[[i64; 2]]) -> Vec<Area> {
        let mut needs: Vec<Option<Area>> = vec![None; self.values.len()];
        let mut aligned = vec![[1_i64; 2]; self.values.len()];
        for &(value, area) in wanted {
            needs[value] = Some(joined(needs[value], area));
        }
        for step in self.steps.iter().rev() {
            let Some(area) = needs[step.output] else { continue };
            for &input in step.inputs.iter().filter(|&&input| !self.values[input].whole) {
                let need = [0, 1].map(|axis| step.reach[axis].need(area[axis], lengths[input][axis]));
                needs[input] = Some(joined(needs[input], need));
                for axis in [0, 1] {
                    let alignment = step.reach[axis].alignment(aligned[step.output][axis]);
                    aligned[input][axis] = lcm(aligned[input][axis], alignment);
                }
            }
        }
        let coarsest = self.inputs.iter().map(|&input| self.scale(input)).reduce(Scale::coarser);
        let per = |input: usize| coarsest.and_then(|coarsest| self.scale(input).per(coarsest)).unwrap_or(1);
        let [rows, columns] = [0, 1].map(|axis| {
            let (mut hull, mut step) = (None::<Span>, 1);
            for &input in &self.inputs {
                let Some(need) = needs[input].map(|area| area[axis]) else { continue };
                let enlarge = Reach::Enlarge { factor: per(input) };
                let span = enlarge.need(need, i64::MAX);
                hull = Some(hull.map_or(span, |hull| hull.hull(span)));
                step = lcm(step, enlarge.alignment(aligned[input][axis]));
            }
            hull.map(|hull| Span::new(hull.start / step * step, (hull.end + step - 1) / step * step))
        });
        let part = |axis: usize, input: usize| {
            let hull = [rows, columns][axis].unwrap_or(Span::new(0, 1));
            let (per, length) = (per(input), lengths[input][axis]);
            Span::new(hull.start * per, (hull.end * per).min(length))
        };
        self.inputs.iter().map(|&input| [part(0, input), part(1, input)]).collect()
    }

    /// Most bytes that are alive at once when values lie at these places: the inputs, and every result until its last
    /// reader. `whole` gives the pixels of the whole picture at a scale.
    pub(super) fn peak(&self, places: &[Area], whole: impl Fn(Scale) -> u64) -> u64 {
        self.peak_of(|value| self.bytes(value, places, &whole))
    }

    /// The same without what is made of keys and values alone: smaller parts do not make it smaller.
    pub(super) fn peak_of_part(&self, places: &[Area], whole: impl Fn(Scale) -> u64) -> u64 {
        self.peak_of(|value| if self.values[value].whole { 0 } else { self.bytes(value, places, &whole) })
    }

    fn bytes(&self, value: usize, places: &[Area], whole: impl Fn(Scale) -> u64) -> u64 {
        let (area, known) = (places[value], &self.values[value]);
        let pixels = |span: Span| u64::try_from(span.len()).unwrap_or(0);
        known.size.bytes(pixels(area[0]) * pixels(area[1]), whole(known.scale))
    }

    fn peak_of(&self, bytes: impl Fn(usize) -> u64) -> u64 {
        let mut last_read = vec![0; self.values.len()];
        for (index, step) in self.steps.iter().enumerate() {
            for &input in &step.inputs {
                last_read[self.values[input].owner] = index;
            }
        }
        for &kept in self.inputs.iter().chain(&self.outputs) {
            last_read[self.values[kept].owner] = usize::MAX;
        }
        let mut made = vec![false; self.values.len()];
        let mut alive: u64 = self.inputs.iter().map(|&input| bytes(input)).sum();
        let mut peak = alive;
        for (index, step) in self.steps.iter().enumerate() {
            if self.values[step.output].owner == step.output {
                alive += bytes(step.output);
                made[step.output] = true;
            }
            peak = peak.max(alive);
            let mut done: Vec<usize> = step.inputs.iter().map(|&input| self.values[input].owner).collect();
            done.sort_unstable();
            done.dedup();
            let ending = done.into_iter().filter(|&owner| made[owner] && last_read[owner] == index);
            alive -= ending.map(&bytes).sum::<u64>();
        }
        peak
    }
}

// === impl Size ===

impl Size {
    fn of(axes: &[Axis], whole: bool) -> Self {
        let fixed = axes.iter().map(|axis| match axis {
            Axis::Fixed(length) => u64::try_from(*length).unwrap_or(1),
            _ => 1,
        });
        let pixels = axes.iter().any(|axis| matches!(axis, Axis::Rows | Axis::Columns | Axis::Tokens));
        let keys = axes.contains(&Axis::Keys);
        Self { fixed: fixed.product(), by_part: pixels && !whole, by_whole: keys || (pixels && whole) }
    }

    fn bytes(self, part: u64, whole: u64) -> u64 {
        let part = if self.by_part { part } else { 1 };
        let whole = if self.by_whole { whole } else { 1 };
        [VALUE_BYTES, part, whole].into_iter().fold(self.fixed, u64::saturating_mul)
    }
}

fn joined(area: Option<Area>, other: Area) -> Area {
    area.map_or(other, |area| [area[0].hull(other[0]), area[1].hull(other[1])])
}
