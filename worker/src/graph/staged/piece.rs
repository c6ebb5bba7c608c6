//! A stage in pieces that fit into memory: a tile's regions and a number of bytes in, one run of the engine each out.

use tessera_proto::Rect;

use super::{
    Regions, Scale, Staged,
    program::{Area, Program},
    reach::Span,
    regions::rect,
};

/// One run of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The part of each of the stage's planes to give in, in the order of [`Stage::planes`](super::Stage::planes).
    pub inputs: Vec<Rect>,
    /// What to take of the planes that come out.
    pub outputs: Vec<Output>,
    /// What to take of the shared tensors that come out: rows, with all columns.
    pub shared: Vec<Output>,
    /// Most bytes of planes and values alive at once during the run.
    pub bytes: u64,
    /// The same without what is made of keys and values alone, which is as large for the smallest piece.
    pub own_bytes: u64,
}

/// A result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Output {
    /// The plane, or the shared tensor.
    pub index: usize,
    /// Where the tensor that comes out lies.
    pub made: Rect,
    /// The part of it that is right and wanted.
    pub kept: Rect,
}

/// A stage and what is wanted of it.
struct Order<'a> {
    regions: &'a Regions,
    program: &'a Program,
    /// For each result of the program, its plane or shared tensor.
    targets: Vec<usize>,
    /// How many of them are planes.
    planes: usize,
    lengths: &'a [[i64; 2]],
    wanted: Vec<(usize, Area)>,
}

// === impl Staged ===

impl Staged {
    /// The runs that make a stage of a tile, one if `memory` bytes are enough for it beside what is made of keys and
    /// values alone. More are bands of rows, then parts of rows, of nearly equal size; attention asks for many, as each
    /// token looks at all.
    #[must_use]
    pub fn pieces(&self, regions: &Regions, stage: usize, memory: u64) -> Vec<Piece> {
        let parts = &self.stages()[stage];
        let order = Order {
            regions,
            program: &parts.program,
            targets: [parts.gives.as_slice(), &parts.gives_shared].concat(),
            planes: parts.gives.len(),
            lengths: &regions.lengths[stage],
            wanted: regions.wanted(self, stage),
        };
        order.pieces(memory)
    }

    /// Most bytes that one tile takes in a section, when each run may take `memory`: its planes and the values of a
    /// run, without the shared tensors, which all tiles of a worker have in common.
    #[must_use]
    pub fn peak(&self, regions: &Regions, memory: u64) -> u64 {
        let at = |stage: usize| self.alive(regions, stage) + self.run_bytes(regions, stage, memory);
        regions.stages().map(at).max().unwrap_or(0)
    }

    /// Most bytes of planes that a tile holds while a stage of its section runs.
    #[must_use]
    pub fn held_bytes(&self, regions: &Regions) -> u64 {
        regions.stages().map(|stage| self.alive(regions, stage)).max().unwrap_or(0)
    }

    /// Bytes of planes that stay when a section is done, the network's input among them.
    #[must_use]
    pub fn kept_bytes(&self, regions: &Regions) -> u64 {
        let exits = regions.exits().iter().filter(|&&plane| plane != self.input());
        let own = exits.map(|&plane| self.plane_bytes(regions, plane)).sum::<u64>();
        own + self.plane_bytes(regions, self.input())
    }

    /// Most bytes of one run of a stage, when it may take `memory`.
    #[must_use]
    pub fn run_bytes(&self, regions: &Regions, stage: usize, memory: u64) -> u64 {
        self.pieces(regions, stage, memory).iter().map(|piece| piece.bytes).max().unwrap_or(0)
    }

    /// Bytes of a tile's planes that are alive while a stage runs.
    fn alive(&self, regions: &Regions, stage: usize) -> u64 {
        let lives = |plane: &usize| {
            let known = &self.planes()[*plane];
            known.made_by.is_none_or(|made| made <= stage)
                && (stage <= known.read_until || regions.exits().contains(plane))
        };
        (0..self.planes().len()).filter(lives).map(|plane| self.plane_bytes(regions, plane)).sum()
    }

    fn plane_bytes(&self, regions: &Regions, plane: usize) -> u64 {
        let pixels = regions.held(plane).map_or(0, Rect::area);
        let values = u64::try_from(self.planes()[plane].channels).unwrap_or(u64::MAX);
        values.saturating_mul(pixels).saturating_mul(4)
    }

    /// Bytes of all keys and values on a canvas.
    #[must_use]
    pub fn shared_bytes(&self, canvas: super::Canvas) -> u64 {
        self.shared().iter().map(|shared| shared.bytes(pixels(canvas, shared.scale))).sum()
    }
}

// === impl Order ===

impl Order<'_> {
    fn pieces(&self, memory: u64) -> Vec<Piece> {
        let Some((lattice, hull)) = self.hull() else {
            return self.piece(self.wanted.clone()).into_iter().collect();
        };
        let [mut rows, mut columns] = hull.map(Span::len);
        // Shared tensors are made of whole rows.
        let narrowest = if self.targets.len() == self.planes { 1 } else { columns };
        while self.is_over(memory, lattice, [rows, columns], hull) {
            if 1 < rows {
                rows = (rows + 1) / 2;
            } else if narrowest < columns {
                columns = (columns + 1) / 2;
            } else {
                break;
            }
        }
        let mut pieces = Vec::new();
        for down in parts(hull[0], rows) {
            for across in parts(hull[1], columns) {
                pieces.extend(self.piece(self.within(lattice, [down, across])));
            }
        }
        pieces
    }

    /// The coarsest scale of what is wanted and all of it on that scale; `None` when nothing is, or when the scales
    /// are no multiples of each other.
    fn hull(&self) -> Option<(Scale, Area)> {
        let scales = self.wanted.iter().map(|&(value, _)| self.program.scale(value));
        let lattice = scales.reduce(Scale::coarser)?;
        let mut hull: Option<Area> = None;
        for &(value, area) in &self.wanted {
            let per = self.program.scale(value).per(lattice)?;
            let area = area.map(|span| Span::new(span.start / per, (span.end + per - 1) / per));
            hull = Some(hull.map_or(area, |hull| [hull[0].hull(area[0]), hull[1].hull(area[1])]));
        }
        Some((lattice, hull?))
    }

    /// Whether a run of this size, in the middle of what is wanted, takes more than `memory`.
    fn is_over(&self, memory: u64, lattice: Scale, size: [i64; 2], hull: Area) -> bool {
        let middle = [0, 1].map(|axis| {
            let start = hull[axis].start + (hull[axis].len() - size[axis]) / 2;
            Span::new(start, start + size[axis])
        });
        self.piece(self.within(lattice, middle)).is_some_and(|piece| memory < piece.own_bytes)
    }

    /// What is wanted inside a part of the lattice.
    fn within(&self, lattice: Scale, part: Area) -> Vec<(usize, Area)> {
        let inside = |&(value, wanted): &(usize, Area)| {
            let per = self.program.scale(value).per(lattice)?;
            let common = [0, 1].map(|axis| {
                let (part, wanted): (Span, Span) = (part[axis], wanted[axis]);
                Span::new((part.start * per).max(wanted.start), (part.end * per).min(wanted.end))
            });
            common.iter().all(|span| span.start < span.end).then_some((value, common))
        };
        self.wanted.iter().filter_map(inside).collect()
    }

    fn piece(&self, wanted: Vec<(usize, Area)>) -> Option<Piece> {
        if wanted.is_empty() {
            return None;
        }
        let inputs = self.program.need(&wanted, self.lengths);
        let places = self.program.places(&inputs);
        let (mut outputs, mut shared) = (Vec::new(), Vec::new());
        for &(value, kept) in &wanted {
            let position = self.program.outputs.iter().position(|&output| output == value)?;
            let output =
                Output { index: self.targets[position], made: rect(places[value])?, kept: rect(kept)? };
            if position < self.planes { outputs.push(output) } else { shared.push(output) }
        }
        let whole = |scale| pixels(self.regions.canvas, scale);
        let (bytes, own_bytes) =
            (self.program.peak(&places, whole), self.program.peak_of_part(&places, whole));
        let inputs: Option<Vec<Rect>> = inputs.into_iter().map(rect).collect();
        Some(Piece { inputs: inputs?, outputs, shared, bytes, own_bytes })
    }
}

/// A span in parts of `size`, the last perhaps smaller.
fn parts(span: Span, size: i64) -> impl Iterator<Item = Span> {
    let count = (span.len() + size - 1) / size;
    (0..count).map(move |index| {
        let start = span.start + index * size;
        Span::new(start, (start + size).min(span.end))
    })
}

/// Pixels of the whole picture at a scale.
fn pixels(canvas: super::Canvas, scale: Scale) -> u64 {
    let length = |at: u32| u64::try_from(scale.mapped(i64::from(at), Scale::ONE)).unwrap_or(0);
    length(canvas.width) * length(canvas.height)
}
