//! A network cut into stages, with an engine for each and for the whole: an input and a tile size in, the result out.
//! It does what a coordinator and its workers do, in one process.

use std::{collections::BTreeMap, fs, ops::Range, path::Path, sync::Arc};

use bytes::Bytes;
use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;
use tessera_proto::{Affine, Moments, Rect, Tensor};
use tessera_worker::{
    engine::{Engine, Error, Named, Network, OnnxEngine, Options, Runtime, Value, library::Places},
    graph::{
        Model,
        attention::Fused,
        staged::{Canvas, Core, Extent, Patch, Run, Section, Staged, Tile},
    },
};

/// A network, whole and in stages.
pub(crate) struct Rig {
    staged: Arc<Staged>,
    network: Network,
    engines: Engines,
    _folder: TempDir,
}

/// The stages' engines; a stage is a network of its own.
struct Engines {
    engine: OnnxEngine,
    runs: usize,
}

/// A file of tensors.
pub(crate) struct Golden(Vec<u8>);

// === impl Rig ===

impl Rig {
    /// Cuts a graph file. Stages are fused as the engine does it.
    pub(crate) fn new(network: Network, file: &Path) -> Self {
        let model = Model::parse(Bytes::from(fs::read(file).unwrap())).unwrap();
        Self::of(network, &model, |staged, stage| staged.stages()[stage].model().encode())
    }

    /// Takes a graph, with a say in the bytes of each stage.
    pub(crate) fn of(network: Network, model: &Model, bytes: impl Fn(&Staged, usize) -> Vec<u8>) -> Self {
        let staged = Staged::cut(model).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::load(&Places::of_process(None)).unwrap_or_else(|error| panic!("{error}"));
        let options = Options { device: "cpu:1".parse().unwrap(), fuse: true };
        let mut engine = OnnxEngine::new(runtime, options).unwrap();
        let mut add = |network: Network, name: &str, bytes: Vec<u8>| {
            let file = folder.path().join(name);
            fs::write(&file, bytes).unwrap();
            engine.add(network, file);
        };
        add(network.clone(), "whole.onnx", model.encode());
        for stage in 0..staged.stages().len() {
            add(of_stage(stage), &format!("{stage}.onnx"), bytes(&staged, stage));
        }
        Self { staged: Arc::new(staged), network, engines: Engines { engine, runs: 0 }, _folder: folder }
    }

    /// Attentions that were fused in all stages.
    pub(crate) fn fused(&mut self) -> usize {
        self.loaded().iter().map(|fused| fused.fused).sum()
    }

    /// Attentions in all stages that were not.
    pub(crate) fn left(&mut self) -> usize {
        self.loaded().iter().map(|fused| fused.left).sum()
    }

    fn loaded(&mut self) -> Vec<Fused> {
        let stages = 0..self.staged.stages().len();
        stages.map(|stage| self.engines.engine.load(&of_stage(stage)).unwrap()).collect()
    }

    /// Runs of stages so far.
    pub(crate) fn runs(&self) -> usize {
        self.engines.runs
    }

    /// The whole graph on the whole input.
    pub(crate) fn untiled(&mut self, input: &Tensor) -> Tensor {
        let [input_name, output_name] =
            [self.staged.input(), self.staged.output()].map(|plane| self.staged.planes()[plane].name.clone());
        let inputs = [Named { name: &input_name, value: Value::Tensor(input) }];
        self.engines.engine.run(&self.network, &inputs, &[&output_name]).unwrap().pop().unwrap()
    }

    /// The stages, in tiles of `size` latents.
    pub(crate) fn tiled(&mut self, input: &Tensor, size: u32, memory: u64) -> Tensor {
        let canvas = canvas_of(input);
        let scale = self.staged.scale();
        // Latents are a decoder's input and an encoder's result.
        let decodes = scale.down() == 1;
        let latents = Canvas { width: canvas.width / scale.down(), height: canvas.height / scale.down() };
        let place = |rect: Rect| if decodes { Core::Input(rect) } else { Core::Output(rect) };
        let (down, across) = (edges(latents.height, &[size]), edges(latents.width, &[size]));
        let cores = grid(&down, &across).into_iter().map(place).collect();
        self.run(input, cores, memory)
    }

    /// The stages, in tiles whose sizes in pixels of the result are these in turn.
    pub(crate) fn tiled_in_results(&mut self, input: &Tensor, sizes: [u32; 3], memory: u64) -> Tensor {
        let (canvas, scale) = (canvas_of(input), self.staged.scale());
        let [height, width] = [canvas.height, canvas.width].map(|length| length * scale.up() / scale.down());
        let cores =
            grid(&edges(height, &sizes), &edges(width, &sizes)).into_iter().map(Core::Output).collect();
        self.run(input, cores, memory)
    }

    fn run(&mut self, input: &Tensor, cores: Vec<Core>, memory: u64) -> Tensor {
        let staged = Arc::clone(&self.staged);
        let canvas = canvas_of(input);
        let whole = Rect::new(0, 0, canvas.width, canvas.height).unwrap();
        let mut planes = BTreeMap::from([(staged.input(), Patch::new(whole, input.clone()).unwrap())]);
        let (mut shared, mut factors) = (BTreeMap::new(), BTreeMap::new());
        for section in staged.sections() {
            let cores = match section.extent {
                Extent::Whole => vec![Core::Input(whole)],
                Extent::Tiles => cores.clone(),
            };
            let mut tiles: Vec<Tile> =
                cores.iter().map(|&core| self.tile(section, (canvas, core), &planes, &shared)).collect();
            for _ in section.stages.clone() {
                let counted: Vec<_> = tiles
                    .iter_mut()
                    .map(|tile| tile.advance(&mut self.engines, &factors, memory).unwrap())
                    .collect();
                factors.extend(merged(&staged, &counted));
            }
            for tile in &tiles {
                shared.extend(tile.shared().clone());
            }
            collect(&staged, &tiles, &mut planes);
        }
        planes.remove(&staged.output()).unwrap().into_tensor()
    }

    fn tile(
        &self,
        section: &Section,
        (canvas, core): (Canvas, Core),
        planes: &BTreeMap<usize, Patch>,
        shared: &BTreeMap<usize, Arc<Tensor>>,
    ) -> Tile {
        let regions = self.staged.regions(section, canvas, core).unwrap();
        let entries = |plane| planes.get(&plane);
        Tile::new(Arc::clone(&self.staged), regions, entries, shared.clone()).unwrap()
    }
}

impl Run for Engines {
    type Error = Error;

    fn run(
        &mut self,
        stage: usize,
        inputs: &[(&str, &Tensor)],
        outputs: &[&str],
    ) -> Result<Vec<Tensor>, Self::Error> {
        self.runs += 1;
        let inputs: Vec<Named<'_>> =
            inputs.iter().map(|&(name, tensor)| Named { name, value: Value::Tensor(tensor) }).collect();
        self.engine.run(&of_stage(stage), &inputs, outputs)
    }
}

/// What the engine calls a stage here.
fn of_stage(stage: usize) -> Network {
    Network::Upscaler(format!("stage {stage}"))
}

/// The factors that the statistics of all tiles give, merged in tile order.
fn merged(staged: &Staged, counted: &[Vec<(usize, Moments)>]) -> Vec<(usize, Affine)> {
    let mut all: BTreeMap<usize, Moments> = BTreeMap::new();
    for (norm, moments) in counted.iter().flatten() {
        let channels = staged.norms()[*norm].numbers.channels();
        all.entry(*norm).or_insert_with(|| Moments::empty(channels)).merge(moments).unwrap();
    }
    all.into_iter()
        .map(|(norm, moments)| (norm, staged.norms()[norm].numbers.affine(&moments).unwrap()))
        .collect()
}

/// What tiles have made, each its core, joined.
fn collect(staged: &Staged, tiles: &[Tile], planes: &mut BTreeMap<usize, Patch>) {
    for tile in tiles {
        for &plane in tile.regions().exits() {
            let whole =
                || Patch::blank(tile.regions().extent(plane), staged.planes()[plane].channels).unwrap();
            if let Some(core) = tile.regions().core(plane) {
                planes.entry(plane).or_insert_with(whole).paste(&tile.planes()[&plane].crop(core).unwrap());
            }
        }
    }
}

fn canvas_of(input: &Tensor) -> Canvas {
    let [_, _, height, width] = input.nchw().unwrap();
    Canvas { width: u32::try_from(width).unwrap(), height: u32::try_from(height).unwrap() }
}

/// Where tiles begin and end, their sizes taken in turn.
fn edges(length: u32, sizes: &[u32]) -> Vec<u32> {
    let mut edges = vec![0];
    for size in sizes.iter().cycle() {
        let next = edges.last().unwrap() + size;
        if length <= next {
            break;
        }
        edges.push(next);
    }
    edges.push(length);
    edges
}

fn grid(down: &[u32], across: &[u32]) -> Vec<Rect> {
    let row =
        |y: &[u32]| across.windows(2).map(|x| Rect::new(x[0], y[0], x[1], y[1]).unwrap()).collect::<Vec<_>>();
    down.windows(2).flat_map(row).collect()
}

/// Largest absolute difference.
pub(crate) fn distance(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.shape(), b.shape());
    a.data().iter().zip(b.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Every `step`th pixel of every `step`th row, from the first.
pub(crate) fn every(picture: &Tensor, step: usize) -> Tensor {
    let [_, channels, height, width] = picture.nchw().unwrap();
    let rows = picture.data().chunks_exact(width).enumerate();
    let kept = rows.filter(|(row, _)| (row % height).is_multiple_of(step));
    let data = kept.flat_map(|(_, row)| row.iter().step_by(step).copied()).collect();
    Tensor::new([1, channels, height.div_ceil(step), width.div_ceil(step)], data).unwrap()
}

/// Some columns of a picture.
pub(crate) fn columns(picture: &Tensor, range: Range<usize>) -> Tensor {
    let [_, channels, height, width] = picture.nchw().unwrap();
    let rows = picture.data().chunks_exact(width).flat_map(|row| row[range.clone()].to_vec());
    Tensor::new([1, channels, height, range.len()], rows.collect()).unwrap()
}

/// A picture whose mean and spread change from corner to corner.
pub(crate) fn waves(shape: [usize; 4]) -> Tensor {
    let [_, _, height, width] = shape;
    #[expect(clippy::cast_precision_loss, reason = "test data")]
    let wave = |index: usize| {
        let (across, down) =
            ((index % width) as f32 / width as f32, (index / width % height) as f32 / height as f32);
        (index as f32 * 0.37).sin() * (0.2 + across * down) + across - 0.5 * down
    };
    Tensor::new(shape, (0..shape.iter().product()).map(wave).collect()).unwrap()
}

/// The picture that the oracle encodes, spelled out in `tiled_vae.json`.
pub(crate) fn scene(height: u64, width: u64) -> Tensor {
    let mut data = Vec::new();
    for channel in 0..3 {
        for y in 0..height {
            for x in 0..width {
                let plane = match channel {
                    0 => x * 255 / (width - 1),
                    1 => y * 255 / (height - 1),
                    _ => 255 * ((x / 16 + y / 16) % 2),
                };
                let grain = ((x * 31 + y * 17 + channel * 71) * 2_654_435_761 % (1 << 32)) >> 24;
                let value = u8::try_from((plane * 7 + grain) / 8).unwrap();
                data.push(f32::from(value) / 127.5 - 1.0);
            }
        }
    }
    let [height, width] = [height, width].map(|length| usize::try_from(length).unwrap());
    Tensor::new([1, 3, height, width], data).unwrap()
}

// === impl Golden ===

impl Golden {
    pub(crate) fn open(path: &Path) -> Self {
        Self(fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    pub(crate) fn tensor(&self, name: &str) -> Tensor {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(view.dtype(), Dtype::F32);
        let values = view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        Tensor::new(view.shape(), values).unwrap()
    }
}
