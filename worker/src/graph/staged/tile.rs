//! One tile on its way through a section: its tensors in, after each stage its statistics, at the end its result out.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    convert::Infallible,
    sync::Arc,
};

use tessera_proto::{Affine, Moments, MomentsError, Rect, Tensor};

use super::{Output, Patch, Piece, Regions, Stage, Staged};

/// Runs stages: an engine, seen from a tile.
pub trait Run {
    /// What goes wrong in it.
    type Error;

    /// Runs a stage's graph and returns the results named in `outputs`, in that order.
    ///
    /// # Errors
    /// The engine fails.
    fn run(
        &mut self,
        stage: usize,
        inputs: &[(&str, &Tensor)],
        outputs: &[&str],
    ) -> Result<Vec<Tensor>, Self::Error>;
}

/// A tile between two stages. A stage that fails leaves it as it was, so it can be run again.
#[derive(Debug, Clone)]
pub struct Tile {
    staged: Arc<Staged>,
    regions: Regions,
    next: usize,
    planes: BTreeMap<usize, Patch>,
    shared: BTreeMap<usize, Arc<Tensor>>,
}

/// Why a tile does not go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error<E> {
    /// The engine fails.
    #[error(transparent)]
    Run(E),
    /// A plane is absent, or does not hold what the tile needs.
    #[error("plane {name:?} is needed at {needed:?} and not there")]
    Plane {
        /// The plane.
        name: String,
        /// The part that is needed.
        needed: Rect,
    },
    /// Keys or values are absent.
    #[error("shared tensor {name:?} is needed and not there")]
    Shared {
        /// The tensor.
        name: String,
    },
    /// The factors of a normalisation are absent, or those of another one.
    #[error("normalisation {norm} needs factors for {channels} channels")]
    Affine {
        /// The normalisation.
        norm: usize,
        /// Its channels.
        channels: usize,
    },
    /// A result has another shape than the stage should give.
    #[error("stage {stage}: {name:?} came out in shape {shape:?}, which does not fit {place:?}")]
    Shape {
        /// The stage.
        stage: usize,
        /// The result.
        name: String,
        /// The shape that came out.
        shape: Vec<usize>,
        /// Where it should lie.
        place: Rect,
    },
    /// Statistics cannot be counted: a value is NaN or infinite.
    #[error("stage {stage}: {source}")]
    Moments {
        /// The stage.
        stage: usize,
        /// What is wrong.
        source: MomentsError,
    },
    /// All stages of the section are done.
    #[error("the section ends with stage {last}")]
    Done {
        /// The last stage.
        last: usize,
    },
}

/// What a stage gave.
#[derive(Default)]
struct Results {
    planes: BTreeMap<usize, Patch>,
    /// Parts of shared tensors, in the order of their rows.
    shared: BTreeMap<usize, Vec<Tensor>>,
}

// === impl Tile ===

impl Tile {
    /// A tile before the first stage of its section. `entries` are planes that hold at least what the tile needs of
    /// them (it takes its part), `shared` the keys and values of earlier sections.
    ///
    /// # Errors
    /// An entry is absent or too small.
    pub fn new<'p>(
        staged: Arc<Staged>,
        regions: Regions,
        entries: impl Fn(usize) -> Option<&'p Patch>,
        shared: impl IntoIterator<Item = (usize, Arc<Tensor>)>,
    ) -> Result<Self, Error<Infallible>> {
        let mut planes = BTreeMap::new();
        for plane in regions.entries(&staged) {
            let needed = regions.held(plane).unwrap_or_else(|| regions.extent(plane));
            let absent = || Error::Plane { name: staged.planes()[plane].name.clone(), needed };
            let part = entries(plane).and_then(|patch| patch.crop(needed)).ok_or_else(absent)?;
            planes.insert(plane, part.into_owned());
        }
        let next = regions.stages().start;
        Ok(Self { staged, regions, next, planes, shared: shared.into_iter().collect() })
    }

    /// The stage that runs next; the section's end when all are done.
    #[must_use]
    pub fn next(&self) -> usize {
        self.next
    }

    /// What the tile computes with.
    #[must_use]
    pub fn regions(&self) -> &Regions {
        &self.regions
    }

    /// The planes that it holds now, to be stored away or looked at.
    #[must_use]
    pub fn planes(&self) -> &BTreeMap<usize, Patch> {
        &self.planes
    }

    /// The same, to be taken away while the tile waits and put back before it goes on.
    pub fn planes_mut(&mut self) -> &mut BTreeMap<usize, Patch> {
        &mut self.planes
    }

    /// The keys and values that it was given or has made.
    #[must_use]
    pub fn shared(&self) -> &BTreeMap<usize, Arc<Tensor>> {
        &self.shared
    }

    /// Runs the next stage, in pieces of at most `memory` bytes, with the factors of all normalisations known so far,
    /// by their numbers. Returns the statistics of each normalisation that waits for them, over the tile's core.
    ///
    /// # Errors
    /// Something that the stage needs is absent, or the engine fails, or gives NaN or infinity.
    pub fn advance<R: Run>(
        &mut self,
        run: &mut R,
        factors: &BTreeMap<usize, Affine>,
        memory: u64,
    ) -> Result<Vec<(usize, Moments)>, Error<R::Error>> {
        if !self.regions.stages().contains(&self.next) {
            return Err(Error::Done { last: self.regions.stages().end.saturating_sub(1) });
        }
        let staged = Arc::clone(&self.staged);
        let stage = &staged.stages()[self.next];
        let factors = self.factors(stage, factors)?;
        let mut results = Results::default();
        let pieces = staged.pieces(&self.regions, self.next, memory);
        for piece in &pieces {
            let tensors = self.run_piece(run, piece, &factors)?;
            self.take(piece, tensors, &mut results)?;
        }
        let moments = self.moments(stage, &results)?;
        for (index, parts) in results.shared {
            let joined = joined(&parts, staged.shared()[index].axis);
            self.shared.insert(index, Arc::new(joined));
        }
        self.planes.append(&mut results.planes);
        let (done, exits) = (self.next, self.regions.exits());
        self.planes.retain(|plane, _| done < staged.planes()[*plane].read_until || exits.contains(plane));
        self.next += 1;
        Ok(moments)
    }

    /// The factors and addends that a stage applies, by the names of its inputs.
    fn factors<E>(
        &self,
        stage: &Stage,
        known: &BTreeMap<usize, Affine>,
    ) -> Result<Vec<(&str, Tensor)>, Error<E>> {
        let mut inputs = Vec::new();
        for &index in stage.applies() {
            let norm = &self.staged.norms()[index];
            let channels = norm.numbers.channels();
            let tensor = |values: &Vec<f32>| Tensor::new([1, channels, 1, 1], values.clone()).ok();
            let tensors =
                known.get(&index).and_then(|affine| Some((tensor(&affine.scale)?, tensor(&affine.shift)?)));
            let (scale, shift) = tensors.ok_or(Error::Affine { norm: index, channels })?;
            inputs.extend([(norm.scale.as_str(), scale), (norm.shift.as_str(), shift)]);
        }
        Ok(inputs)
    }

    fn run_piece<R: Run>(
        &self,
        run: &mut R,
        piece: &Piece,
        factors: &[(&str, Tensor)],
    ) -> Result<Vec<Tensor>, Error<R::Error>> {
        let stage = &self.staged.stages()[self.next];
        let mut parts = Vec::new();
        for (&plane, &needed) in stage.planes().iter().zip(&piece.inputs) {
            let name = &self.staged.planes()[plane].name;
            let part: Option<Cow<'_, Patch>> = self.planes.get(&plane).and_then(|patch| patch.crop(needed));
            parts.push((name.as_str(), part.ok_or_else(|| Error::Plane { name: name.clone(), needed })?));
        }
        let mut inputs: Vec<(&str, &Tensor)> =
            parts.iter().map(|(name, part)| (*name, part.tensor())).collect();
        inputs.extend(factors.iter().map(|(name, tensor)| (*name, tensor)));
        for &index in stage.shared_inputs() {
            let name = self.staged.shared()[index].name.as_str();
            let tensor = self.shared.get(&index).ok_or_else(|| Error::Shared { name: name.to_owned() })?;
            inputs.push((name, tensor));
        }
        let planes = piece.outputs.iter().map(|output| self.staged.planes()[output.index].name.as_str());
        let shared = piece.shared.iter().map(|output| self.staged.shared()[output.index].name.as_str());
        let outputs: Vec<&str> = planes.chain(shared).collect();
        run.run(self.next, &inputs, &outputs).map_err(Error::Run)
    }

    /// Crops what came out and puts it where it belongs.
    fn take<E>(&self, piece: &Piece, tensors: Vec<Tensor>, results: &mut Results) -> Result<(), Error<E>> {
        let mut tensors = tensors.into_iter();
        let misfit = |name: &str, shape: &[usize], place: Rect| Error::Shape {
            stage: self.next,
            name: name.to_owned(),
            shape: shape.to_vec(),
            place,
        };
        for &Output { index, made, kept } in &piece.outputs {
            let plane = &self.staged.planes()[index];
            let tensor = tensors.next().ok_or_else(|| misfit(&plane.name, &[], made))?;
            let shape = tensor.shape().to_vec();
            let patch = Patch::new(made, tensor).filter(|_| shape[1] == plane.channels);
            let patch = patch.ok_or_else(|| misfit(&plane.name, &shape, made))?;
            let held = self.regions.held(index).unwrap_or(kept);
            if held == kept && kept == made {
                results.planes.insert(index, patch);
                continue;
            }
            let part = patch.crop(kept).ok_or_else(|| misfit(&plane.name, &shape, made))?;
            if held == kept {
                results.planes.insert(index, part.into_owned());
                continue;
            }
            if let Entry::Vacant(vacant) = results.planes.entry(index) {
                let blank = Patch::blank(held, plane.channels);
                vacant.insert(blank.ok_or_else(|| misfit(&plane.name, &shape, held))?);
            }
            results.planes.entry(index).and_modify(|patch| patch.paste(&part));
        }
        for &Output { index, made, kept } in &piece.shared {
            let shared = &self.staged.shared()[index];
            let tensor = tensors.next().ok_or_else(|| misfit(&shared.name, &[], made))?;
            let rows = rows_of(&tensor, shared.axis, made, kept);
            let rows = rows.ok_or_else(|| misfit(&shared.name, tensor.shape(), made))?;
            results.shared.entry(index).or_default().push(rows);
        }
        Ok(())
    }

    fn moments<E>(&self, stage: &Stage, results: &Results) -> Result<Vec<(usize, Moments)>, Error<E>> {
        let mut all = Vec::new();
        for &index in stage.counts() {
            let norm = &self.staged.norms()[index];
            let empty = || Moments::empty(norm.numbers.channels());
            let moments = match (self.regions.core(norm.plane), results.planes.get(&norm.plane)) {
                (Some(core), Some(patch)) => {
                    let within = shifted(core, patch.place());
                    let counted = Moments::of(patch.tensor(), within);
                    counted.map_err(|source| Error::Moments { stage: self.next, source })?
                }
                _ => empty(),
            };
            all.push((index, moments));
        }
        Ok(all)
    }
}

/// A rectangle counted from the corner of the place that holds it.
fn shifted(core: Rect, place: Rect) -> Rect {
    let (x, y) = (place.x0(), place.y0());
    Rect::new(core.x0() - x, core.y0() - y, core.x1() - x, core.y1() - y).expect("as large as the core")
}

/// The rows `kept` of a shared tensor whose axis `axis` holds the rows `made`, one after another.
fn rows_of(tensor: &Tensor, axis: usize, made: Rect, kept: Rect) -> Option<Tensor> {
    let length = *tensor.shape().get(axis)?;
    let (rows, first) = (usize::try_from(made.height()).ok()?, usize::try_from(kept.y0() - made.y0()).ok()?);
    let count = usize::try_from(kept.height()).ok()?;
    let each = length.checked_div(rows).filter(|each| each * rows == length)?;
    let inner: usize = tensor.shape()[axis + 1..].iter().product();
    let blocks = tensor.data().chunks_exact(length * inner);
    let range = first * each * inner..(first + count) * each * inner;
    let data: Option<Vec<&[f32]>> = blocks.map(|block| block.get(range.clone())).collect();
    let mut shape = tensor.shape().to_vec();
    shape[axis] = count * each;
    Tensor::new(shape, data?.concat()).ok()
}

/// Parts of a tensor joined along an axis.
fn joined(parts: &[Tensor], axis: usize) -> Tensor {
    let first = parts.first().expect("a stage that shares a tensor has made a part of it");
    if parts.len() == 1 {
        return first.clone();
    }
    let lengths = |part: &Tensor| part.shape()[axis..].iter().product::<usize>();
    let blocks: usize = first.shape()[..axis].iter().product();
    let mut data = Vec::new();
    for block in 0..blocks {
        for part in parts {
            data.extend_from_slice(&part.data()[block * lengths(part)..(block + 1) * lengths(part)]);
        }
    }
    let mut shape = first.shape().to_vec();
    shape[axis] = parts.iter().map(|part| part.shape()[axis]).sum();
    Tensor::new(shape, data).expect("parts differ along this axis only")
}
