//! Small networks of the VAE's topology in many spellings: a recipe in, a graph out.

use bytes::Bytes;
use half::f16;

use crate::graph::{
    onnx::{DataType, ModelProto, type_proto},
    sketch::Sketch,
};

/// Weights of one tensor after which they repeat; a prime, so that no two rows are alike.
const PERIOD: usize = 65_537;

/// How attention is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attention {
    None,
    /// On tokens, as torch exports `scaled_dot_product_attention`.
    Tokens {
        heads: i64,
    },
    /// As above, the scores added to a nought of their own size: `baddbmm` with beta = 0.
    Added,
    /// With 1x1 convolutions and the weights turned around: `v wᵀ`.
    Convolved,
}

/// How normalisations are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Norms {
    Instance,
    /// Weights behind Identity nodes, as exporters share equal ones.
    Shared,
    /// `GroupNormalization` of operator set 18, weights for groups.
    ByGroup,
    /// `GroupNormalization` of operator set 21, weights for channels.
    ByChannel,
}

/// A network.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// Channels at each resolution, the latent's first.
    pub(crate) levels: Vec<i64>,
    /// Blocks of two convolutions at each resolution.
    pub(crate) blocks: usize,
    pub(crate) groups: i64,
    pub(crate) attention: Attention,
    pub(crate) norms: Norms,
}

/// A graph in the making.
struct Build<'r> {
    recipe: &'r Recipe,
    sketch: Sketch,
    count: usize,
}

// === impl Recipe ===

impl Recipe {
    /// Three resolutions, one block each, attention of one head.
    pub(crate) fn small() -> Self {
        let attention = Attention::Tokens { heads: 1 };
        Self { levels: vec![8, 8, 4], blocks: 1, groups: 2, attention, norms: Norms::Instance }
    }

    /// Latents of 4 channels to pictures of 3.
    pub(crate) fn decoder(&self) -> ModelProto {
        let mut build = Build { recipe: self, sketch: Sketch::default(), count: 0 };
        let mut channels = self.levels[0];
        let mut value = build.conv("latent", [4, channels], 3);
        value = build.middle(&value, channels);
        for (level, &next) in self.levels.iter().enumerate() {
            for _ in 0..self.blocks {
                value = build.block(&value, channels, next);
                channels = next;
            }
            if level + 1 < self.levels.len() {
                value = build.enlarged(&value);
                value = build.conv(&value, [channels, channels], 3);
            }
        }
        build.finish(("latent", 4), &value, channels, 3)
    }

    /// Pictures of 3 channels to moments of 8.
    pub(crate) fn encoder(&self) -> ModelProto {
        let mut build = Build { recipe: self, sketch: Sketch::default(), count: 0 };
        let mut channels = self.levels.last().copied().unwrap();
        let mut value = build.conv("picture", [3, channels], 3);
        for (level, &next) in self.levels.iter().enumerate().rev() {
            for _ in 0..self.blocks {
                value = build.block(&value, channels, next);
                channels = next;
            }
            if 0 < level {
                value = build.halved(&value, channels);
            }
        }
        value = build.middle(&value, channels);
        build.finish(("picture", 3), &value, channels, 8)
    }
}

// === impl Build ===

impl Build<'_> {
    fn finish(mut self, input: (&str, i64), value: &str, channels: i64, outputs: i64) -> ModelProto {
        let value = self.norm(value, channels, 4);
        let value = self.silu(&value);
        let result = self.conv(&value, [channels, outputs], 3);
        self.sketch = self.sketch.node("Identity", &[&result], "result");
        let sketch = self.sketch.input(input.0, DataType::Float, &[-1, input.1, -1, -1]);
        let mut proto = sketch.output("result", DataType::Float, &[-1, outputs, -1, -1]).proto();
        if self.recipe.norms == Norms::ByChannel {
            proto.opset_import[0].version = Some(21);
        }
        proto
    }

    fn fresh(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}_{}", self.count)
    }

    fn node(&mut self, op: &str, inputs: &[&str]) -> String {
        self.node_with(op, inputs, &[])
    }

    fn node_with(&mut self, op: &str, inputs: &[&str], attributes: &[(&str, &[i64])]) -> String {
        let output = self.fresh(op);
        let sketch = std::mem::take(&mut self.sketch);
        self.sketch = sketch.node_with(op, inputs, &output, attributes);
        output
    }

    /// Weights that are neither alike nor large; very many repeat, so that a full-size network is made fast.
    fn weight(&mut self, dims: &[i64], size: f32, middle: f32) -> String {
        let name = self.fresh("weight");
        let count = usize::try_from(dims.iter().product::<i64>()).unwrap();
        #[expect(clippy::cast_precision_loss, reason = "test data")]
        let pitch = 0.61 + self.count as f32 * 0.003;
        #[expect(clippy::cast_precision_loss, reason = "test data")]
        let values: Vec<f32> =
            (0..count.min(PERIOD)).map(|index| (index as f32 * pitch).sin() * size + middle).collect();
        let values: Vec<f32> = values.into_iter().cycle().take(count).collect();
        let sketch = std::mem::take(&mut self.sketch);
        self.sketch = sketch.weight(&name, dims, &values);
        name
    }

    fn list(&mut self, values: &[i64]) -> String {
        let name = self.fresh("list");
        let sketch = std::mem::take(&mut self.sketch);
        self.sketch = sketch.list(&name, values);
        name
    }

    fn conv(&mut self, value: &str, channels: [i64; 2], kernel: i64) -> String {
        self.conv_with(value, channels, kernel, ([kernel / 2; 4], [1; 2]))
    }

    fn conv_with(
        &mut self,
        value: &str,
        [from, to]: [i64; 2],
        kernel: i64,
        steps: ([i64; 4], [i64; 2]),
    ) -> String {
        #[expect(clippy::cast_precision_loss, reason = "test data")]
        let size = (1.5 / (from * kernel * kernel) as f32).sqrt();
        let weights = self.weight(&[to, from, kernel, kernel], size, 0.0);
        let bias = self.weight(&[to], 0.1, 0.0);
        self.node_with("Conv", &[value, &weights, &bias], &[("pads", &steps.0), ("strides", &steps.1)])
    }

    fn silu(&mut self, value: &str) -> String {
        let gate = self.node("Sigmoid", &[value]);
        self.node("Mul", &[value, &gate])
    }

    fn enlarged(&mut self, value: &str) -> String {
        let name = self.fresh("scales");
        let sketch = std::mem::take(&mut self.sketch);
        self.sketch = sketch.weight(&name, &[4], &[1.0, 1.0, 2.0, 2.0]);
        self.node("Resize", &[value, "", &name])
    }

    fn halved(&mut self, value: &str, channels: i64) -> String {
        let pads = self.list(&[0, 0, 0, 0, 0, 0, 1, 1]);
        let padded = self.node("Pad", &[value, &pads]);
        self.conv_with(&padded, [channels; 2], 3, ([0; 4], [2; 2]))
    }

    fn norm(&mut self, value: &str, channels: i64, rank: usize) -> String {
        let groups = self.recipe.groups;
        let mut dims = vec![channels];
        dims.resize(rank - 1, 1);
        match self.recipe.norms {
            Norms::Instance | Norms::Shared => {
                let target = self.list(&[0, groups, -1]);
                let (ones, zeros) = (self.weight(&[groups], 0.0, 1.0), self.weight(&[groups], 0.0, 0.0));
                let (mut factor, mut addend) = (self.weight(&dims, 0.4, 1.0), self.weight(&dims, 0.3, 0.1));
                if self.recipe.norms == Norms::Shared {
                    factor = self.node("Identity", &[&factor]);
                    addend = self.node("Identity", &[&addend]);
                }
                let grouped = self.node("Reshape", &[value, &target]);
                let normed = self.node("InstanceNormalization", &[&grouped, &ones, &zeros]);
                let shape = self.node("Shape", &[value]);
                let back = self.node("Reshape", &[&normed, &shape]);
                let scaled = self.node("Mul", &[&back, &factor]);
                self.node("Add", &[&scaled, &addend])
            }
            Norms::ByGroup | Norms::ByChannel => {
                let count = if self.recipe.norms == Norms::ByGroup { groups } else { channels };
                let (factor, addend) = (self.weight(&[count], 0.4, 1.0), self.weight(&[count], 0.3, 0.1));
                self.node_with("GroupNormalization", &[value, &factor, &addend], &[("num_groups", &[groups])])
            }
        }
    }

    /// Norm, convolution, norm, convolution, and the input added.
    fn block(&mut self, value: &str, from: i64, to: i64) -> String {
        let mut inner = value.to_owned();
        for (before, after) in [(from, to), (to, to)] {
            inner = self.norm(&inner, before, 4);
            inner = self.silu(&inner);
            inner = self.conv(&inner, [before, after], 3);
        }
        let skip = if from == to { value.to_owned() } else { self.conv(value, [from, to], 1) };
        self.node("Add", &[&skip, &inner])
    }

    fn middle(&mut self, value: &str, channels: i64) -> String {
        let value = self.block(value, channels, channels);
        let value = match self.recipe.attention {
            Attention::None => value,
            Attention::Tokens { heads } => self.on_tokens(&value, channels, heads, false),
            Attention::Added => self.on_tokens(&value, channels, 1, true),
            Attention::Convolved => self.convolved(&value, channels),
        };
        self.block(&value, channels, channels)
    }

    fn linear(&mut self, tokens: &str, channels: i64) -> String {
        #[expect(clippy::cast_precision_loss, reason = "test data")]
        let weights = self.weight(&[channels; 2], (2.0 / channels as f32).sqrt(), 0.0);
        let bias = self.weight(&[channels], 0.1, 0.0);
        let product = self.node("MatMul", &[tokens, &weights]);
        self.node("Add", &[&bias, &product])
    }

    /// An axis of a value, as a list of one.
    fn length(&mut self, value: &str, axis: i64) -> String {
        let (shape, place) = (self.node("Shape", &[value]), self.list(&[axis]));
        self.node_with("Gather", &[&shape, &place], &[("axis", &[0])])
    }

    fn on_tokens(&mut self, value: &str, channels: i64, heads: i64, added: bool) -> String {
        let depth = channels / heads;
        let (flat, split, merge) =
            (self.list(&[0, 0, -1]), self.list(&[0, -1, heads, depth]), self.list(&[0, -1, channels]));
        // Group normalisation on tokens is one of a picture in the spelling with one operator.
        let spelt_out = matches!(self.recipe.norms, Norms::Instance | Norms::Shared);
        let mut line = if spelt_out { value.to_owned() } else { self.norm(value, channels, 4) };
        line = self.node("Reshape", &[&line, &flat]);
        if spelt_out {
            line = self.norm(&line, channels, 3);
        }
        let tokens = self.node_with("Transpose", &[&line], &[("perm", &[0, 2, 1])]);
        let roots = [(); 3].map(|()| self.linear(&tokens, channels));
        let mut parts = Vec::new();
        for (root, order) in roots.iter().zip([[0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]]) {
            let part = self.node("Reshape", &[root, &split]);
            parts.push(self.node_with("Transpose", &[&part], &[("perm", &order)]));
        }
        #[expect(clippy::cast_precision_loss, reason = "test data")]
        let scale = self.weight(&[1], 0.0, 1.0 / (depth as f32).sqrt());
        let product = self.node("MatMul", &[&parts[0], &parts[1]]);
        let mut scores = self.node("Mul", &[&product, &scale]);
        if added {
            let (rows, columns) = (self.length(&parts[0], 2), self.length(&parts[1], 3));
            let ones = self.list(&[1, heads]);
            let shape = self.node_with("Concat", &[&ones, &rows, &columns], &[("axis", &[0])]);
            let nought = self.node("ConstantOfShape", &[&shape]);
            scores = self.node("Add", &[&nought, &scores]);
        }
        let weights = self.node_with("Softmax", &[&scores], &[("axis", &[-1])]);
        let mixed = self.node("MatMul", &[&weights, &parts[2]]);
        let mixed = self.node_with("Transpose", &[&mixed], &[("perm", &[0, 2, 1, 3])]);
        let mixed = self.node("Reshape", &[&mixed, &merge]);
        let mixed = self.linear(&mixed, channels);
        let mixed = self.node_with("Transpose", &[&mixed], &[("perm", &[0, 2, 1])]);
        let shape = self.node("Shape", &[value]);
        let picture = self.node("Reshape", &[&mixed, &shape]);
        self.node("Add", &[&picture, value])
    }

    fn convolved(&mut self, value: &str, channels: i64) -> String {
        let normed = self.norm(value, channels, 4);
        let [q, k, v] = [(); 3].map(|()| self.conv(&normed, [channels; 2], 1));
        let flat = self.list(&[0, channels, -1]);
        let [q, k, v] = [q, k, v].map(|part| self.node("Reshape", &[&part, &flat]));
        let q = self.node_with("Transpose", &[&q], &[("perm", &[0, 2, 1])]);
        let product = self.node("MatMul", &[&q, &k]);
        #[expect(clippy::cast_precision_loss, reason = "test data")]
        let scale = self.weight(&[], 0.0, (channels as f32).sqrt());
        let scores = self.node("Div", &[&product, &scale]);
        let weights = self.node_with("Softmax", &[&scores], &[("axis", &[2])]);
        let weights = self.node_with("Transpose", &[&weights], &[("perm", &[0, 2, 1])]);
        let mixed = self.node("MatMul", &[&v, &weights]);
        let shape = self.node("Shape", &[value]);
        let picture = self.node("Reshape", &[&mixed, &shape]);
        let picture = self.conv(&picture, [channels; 2], 1);
        self.node("Add", &[value, &picture])
    }
}

/// The same network in f16.
pub(crate) fn in_f16(mut proto: ModelProto) -> ModelProto {
    let graph = proto.graph.as_mut().unwrap();
    for tensor in graph.initializer.iter_mut().filter(|tensor| tensor.kind() == DataType::Float) {
        // A Resize takes its scales in f32 whatever it enlarges.
        if tensor.name().starts_with("scales") {
            continue;
        }
        let raw = tensor.raw_data.clone().unwrap();
        let values = raw.as_chunks().0.iter().map(|&bytes| f16::from_f32(f32::from_le_bytes(bytes)));
        tensor.raw_data = Some(Bytes::from(values.flat_map(f16::to_le_bytes).collect::<Vec<u8>>()));
        tensor.data_type = Some(DataType::Float16.into());
    }
    for value in graph.input.iter_mut().chain(&mut graph.output) {
        if let Some(type_proto::Value::TensorType(tensor)) = &mut value.r#type.as_mut().unwrap().value {
            tensor.elem_type = Some(DataType::Float16.into());
        }
    }
    proto
}
