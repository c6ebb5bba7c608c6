//! What a tile needs and keeps of every plane: its core in, rectangles out. Whole numbers, exact.

use std::ops::Range;

use tessera_proto::Rect;

use super::{Error, Plane, Scale, Section, Staged, program::Area, reach::Span};

/// The size of a picture as it goes into the network: latent px for a decoder, image px for an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Canvas {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// The part of the picture that a tile is there for. The cores of a picture's tiles share no pixel and cover it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Core {
    /// In pixels of the network's input.
    Input(Rect),
    /// In pixels of its result.
    Output(Rect),
}

/// The parts of every plane that a tile computes with in one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regions {
    pub(super) canvas: Canvas,
    pub(super) stages: Range<usize>,
    /// Rows and columns of every plane.
    extents: Vec<[i64; 2]>,
    /// Rows and columns of every value of every stage.
    pub(super) lengths: Vec<Vec<[i64; 2]>>,
    held: Vec<Option<Area>>,
    cores: Vec<Option<Rect>>,
    exits: Vec<usize>,
}

// === impl Staged ===

impl Staged {
    /// The parts that a tile with this core needs of every plane in a section; for a section that runs on the whole,
    /// the core is the whole picture.
    ///
    /// # Errors
    /// The core leaves the picture, or the picture is too small for the network.
    pub fn regions(&self, section: &Section, canvas: Canvas, core: Core) -> Result<Regions, Error> {
        let lengths = self.lengths(canvas)?;
        let extents = self.extents(canvas, &lengths);
        let (side, rect) = match core {
            Core::Input(rect) => (self.input(), rect),
            Core::Output(rect) => (self.output(), rect),
        };
        let [height, width] = extents[side];
        if width < i64::from(rect.x1()) || height < i64::from(rect.y1()) {
            return Err(Error::Core { core: rect, width: canvas.width, height: canvas.height });
        }
        let own = |plane: usize| {
            mapped(rect, (self.planes()[side].scale, extents[side]), &self.planes()[plane], extents[plane])
        };
        let cores: Vec<Option<Rect>> = (0..self.planes().len()).map(own).collect();
        let exits = self.exits(&section.stages);
        let mut regions = Regions {
            canvas,
            stages: section.stages.clone(),
            held: vec![None; extents.len()],
            extents,
            lengths,
            cores,
            exits,
        };
        regions.hold(self);
        Ok(regions)
    }

    /// The planes that a section makes for later ones, or as the network's result.
    fn exits(&self, stages: &Range<usize>) -> Vec<usize> {
        let leaves = |plane: &Plane| {
            plane.made_by.is_some_and(|made| stages.contains(&made)) && stages.end <= plane.read_until
        };
        (0..self.planes().len()).filter(|&plane| leaves(&self.planes()[plane])).collect()
    }

    /// Rows and columns of every value of every stage on a canvas.
    fn lengths(&self, canvas: Canvas) -> Result<Vec<Vec<[i64; 2]>>, Error> {
        let refused = || Error::Canvas { width: canvas.width, height: canvas.height };
        let mut extents = vec![[0, 0]; self.planes().len()];
        extents[self.input()] = [i64::from(canvas.height), i64::from(canvas.width)];
        let mut all = Vec::new();
        for stage in self.stages() {
            let inputs: Vec<[i64; 2]> = stage.planes.iter().map(|&plane| extents[plane]).collect();
            let lengths = stage.program.lengths(&inputs).ok_or_else(refused)?;
            for (&plane, &value) in stage.gives.iter().zip(&stage.program.outputs) {
                extents[plane] = lengths[value];
            }
            all.push(lengths);
        }
        let fits = |length: &i64| (1..=i64::from(u32::MAX)).contains(length);
        if extents.iter().flatten().all(fits) { Ok(all) } else { Err(refused()) }
    }

    fn extents(&self, canvas: Canvas, lengths: &[Vec<[i64; 2]>]) -> Vec<[i64; 2]> {
        let mut extents = vec![[0, 0]; self.planes().len()];
        extents[self.input()] = [i64::from(canvas.height), i64::from(canvas.width)];
        for (stage, lengths) in self.stages().iter().zip(lengths) {
            for (&plane, &value) in stage.gives.iter().zip(&stage.program.outputs) {
                extents[plane] = lengths[value];
            }
        }
        extents
    }
}

// === impl Regions ===

impl Regions {
    /// The size of the picture.
    #[must_use]
    pub fn canvas(&self) -> Canvas {
        self.canvas
    }

    /// The stages of the section.
    #[must_use]
    pub fn stages(&self) -> Range<usize> {
        self.stages.clone()
    }

    /// A whole plane.
    #[must_use]
    pub fn extent(&self, plane: usize) -> Rect {
        rect(self.extents[plane].map(|length| Span::new(0, length))).expect("planes are not empty")
    }

    /// What the tile needs of a plane and keeps of it; `None` when the section does without it.
    #[must_use]
    pub fn held(&self, plane: usize) -> Option<Rect> {
        self.held[plane].and_then(rect)
    }

    /// The tile's own part of a plane, over which it counts. `None` when a core is so small that it has no pixel of a
    /// coarse plane.
    #[must_use]
    pub fn core(&self, plane: usize) -> Option<Rect> {
        self.cores[plane]
    }

    /// The planes that must be there before the section starts.
    #[must_use]
    pub fn entries(&self, staged: &Staged) -> Vec<usize> {
        let enters = |plane: &usize| {
            let made = staged.planes()[*plane].made_by;
            self.held[*plane].is_some() && made.is_none_or(|made| made < self.stages.start)
        };
        (0..self.held.len()).filter(enters).collect()
    }

    /// The planes that the section makes for later ones, or as the network's result. At least the core is held.
    #[must_use]
    pub fn exits(&self) -> &[usize] {
        &self.exits
    }

    /// How far the tile's part of a plane goes beyond its core: left, top, right, bottom, in pixels of the plane.
    #[must_use]
    pub fn halo(&self, plane: usize) -> Option<[u32; 4]> {
        let (held, core) = (self.held(plane)?, self.core(plane)?);
        let sides = [
            core.x0().checked_sub(held.x0()),
            core.y0().checked_sub(held.y0()),
            held.x1().checked_sub(core.x1()),
            held.y1().checked_sub(core.y1()),
        ];
        Some(sides.map(|side| side.expect("a tile holds its core")))
    }

    /// Goes through the section backwards: what each stage must give says what it needs.
    fn hold(&mut self, staged: &Staged) {
        for plane in self.exits.clone() {
            self.keep(plane, self.cores[plane].map(area));
        }
        for index in self.stages.clone().rev() {
            let stage = &staged.stages()[index];
            for &norm in &stage.counts {
                let plane = staged.norms()[norm].plane;
                self.keep(plane, self.cores[plane].map(area));
            }
            let wanted = self.wanted(staged, index);
            if wanted.is_empty() {
                continue;
            }
            let needs = stage.program.need(&wanted, &self.lengths[index]);
            for (&plane, need) in stage.planes.iter().zip(needs) {
                self.keep(plane, Some(need));
            }
        }
    }

    /// What a stage has to give: values of its program and the parts of them.
    pub(super) fn wanted(&self, staged: &Staged, index: usize) -> Vec<(usize, Area)> {
        let stage = &staged.stages()[index];
        let (planes, shared) = stage.program.outputs.split_at(stage.gives.len());
        let held =
            planes.iter().zip(&stage.gives).filter_map(|(&value, &plane)| Some((value, self.held[plane]?)));
        let whole = |&value: &usize| (value, self.lengths[index][value].map(|length| Span::new(0, length)));
        held.chain(shared.iter().map(whole)).collect()
    }

    fn keep(&mut self, plane: usize, part: Option<Area>) {
        if let Some(part) = part {
            let held = &mut self.held[plane];
            *held = Some(held.map_or(part, |held| [held[0].hull(part[0]), held[1].hull(part[1])]));
        }
    }
}

/// A core on another plane. Edges are rounded down and the picture's own edges kept, so that cores that share an edge
/// here share one there, and cores that cover the picture here cover it there.
fn mapped(core: Rect, from: (Scale, [i64; 2]), to: &Plane, extent: [i64; 2]) -> Option<Rect> {
    let (scale, [height, width]) = from;
    let edge = |at: u32, rim: i64, length: i64| {
        if i64::from(at) == rim { length } else { to.scale.mapped(i64::from(at), scale).min(length) }
    };
    let (rows, columns) = (extent[0], extent[1]);
    rect([
        Span::new(edge(core.y0(), height, rows), edge(core.y1(), height, rows)),
        Span::new(edge(core.x0(), width, columns), edge(core.x1(), width, columns)),
    ])
}

/// Rows and columns as a rectangle; `None` when it is empty.
pub(super) fn rect([rows, columns]: Area) -> Option<Rect> {
    let edges = [columns.start, rows.start, columns.end, rows.end].map(u32::try_from);
    let [Ok(x0), Ok(y0), Ok(x1), Ok(y1)] = edges else { return None };
    Rect::new(x0, y0, x1, y1).ok()
}

pub(super) fn area(rect: Rect) -> Area {
    let span = |start: u32, end: u32| Span::new(i64::from(start), i64::from(end));
    [span(rect.y0(), rect.y1()), span(rect.x0(), rect.x1())]
}
