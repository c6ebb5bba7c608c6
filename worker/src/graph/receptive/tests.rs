//! Networks as published, in outline, and the committed tiny ones.

use bytes::Bytes;

use super::*;
use crate::graph::{
    onnx::{DataType, ModelProto, StringStringEntryProto},
    sketch::{Sketch, committed},
};

/// A network under construction: its last value, and a number for the next.
struct Net {
    sketch: Sketch,
    last: String,
    count: usize,
}

impl Net {
    fn new() -> Self {
        let sketch = Sketch::default()
            .input("picture", DataType::Float, &[-1, 3, -1, -1])
            .weight("w3", &[1, 1, 3, 3], &[0.0; 9])
            .weight("twice", &[4], &[1.0, 1.0, 2.0, 2.0])
            .list("split", &[0, 0, -1, 2, -1, 2])
            .list("join", &[0, -1, 0, 0]);
        Self { sketch, last: "picture".to_owned(), count: 0 }
    }

    fn then(self, op: &str, others: &[&str], attributes: &[(&str, &[i64])]) -> Self {
        let Self { sketch, last, count } = self;
        let next = format!("v{count}");
        let inputs: Vec<&str> = std::iter::once(last.as_str()).chain(others.iter().copied()).collect();
        let sketch = sketch.node_with(op, &inputs, &next, attributes);
        Self { sketch, last: next, count: count + 1 }
    }

    /// A 3x3 convolution.
    fn conv(self) -> Self {
        self.then("Conv", &["w3"], &[("pads", &[1, 1, 1, 1])])
    }

    fn convs(self, count: usize) -> Self {
        (0..count).fold(self, |net, _| net.conv())
    }

    /// Nearest neighbour, 2x.
    fn twice(self) -> Self {
        self.then("Resize", &["", "twice"], &[])
    }

    /// ESRGAN's residual blocks: three times five convolutions, each of which sees all before it.
    fn blocks(mut self, count: usize) -> Self {
        for _ in 0..3 * count {
            let entry = self.last.clone();
            for _ in 0..5 {
                let before = self.last.clone();
                self = self.conv().then("Concat", &[&before], &[("axis", &[1])]);
            }
            self = self.then("Add", &[&entry], &[]);
        }
        self
    }

    /// ESRGAN at 4x with so many blocks.
    fn esrgan(self, blocks: usize) -> Self {
        self.conv().blocks(blocks).conv().twice().conv().twice().convs(3)
    }

    fn proto(self) -> ModelProto {
        self.then("Identity", &[], &[]).named().sketch.proto()
    }

    fn named(self) -> Self {
        let last = self.last.clone();
        Self { sketch: self.sketch.output(&last, DataType::Float, &[-1, 3, -1, -1]), ..self }
    }

    fn read(self) -> Result<Upscaling, Error> {
        upscaling(&Model::new(self.proto()).unwrap())
    }

    fn stating(self, scale: &str) -> Result<Upscaling, Error> {
        let mut proto = self.proto();
        let (key, value) = (Some("scale".to_owned()), Some(scale.to_owned()));
        proto.metadata_props.push(StringStringEntryProto { key, value });
        upscaling(&Model::new(proto).unwrap())
    }
}

fn exact(scale: u32, radius: u32, multiple: u32) -> Result<Upscaling, Error> {
    Ok(Upscaling { scale, radius: Some(radius), multiple })
}

#[test]
fn esrgans_radii_are_the_published_ones() {
    // Real-ESRGAN's anime network has 6 blocks, x4plus has 23.
    assert_eq!(Net::new().esrgan(6).read(), exact(4, 94, 1));
    assert_eq!(Net::new().esrgan(23).read(), exact(4, 349, 1));
}

#[test]
fn a_pixel_shuffle_adds_nothing_to_the_convolutions() {
    let compact = |depth| Net::new().convs(depth).then("DepthToSpace", &[], &[("blocksize", &[4])]);
    assert_eq!(compact(18).read(), exact(4, 18, 1));
    assert_eq!(compact(34).read(), exact(4, 34, 1));
    // The same without an operator of its own: c is first in the order of torch.
    let shuffle = Net::new().convs(7).then("Reshape", &["apart"], &[]);
    let mut shuffle = shuffle.then("Transpose", &[], &[("perm", &[0, 1, 4, 2, 5, 3])]);
    shuffle.sketch = shuffle.sketch.list("apart", &[0, 3, 2, 2, 40, 24]).list("whole", &[0, 3, 80, 48]);
    assert_eq!(shuffle.then("Reshape", &["whole"], &[]).conv().read(), exact(2, 8, 1));
}

#[test]
fn folding_first_doubles_every_arm_and_wants_even_sides() {
    let folded = || Net::new().then("SpaceToDepth", &[], &[("blocksize", &[2])]);
    // x2plus: 349 px of the 4x network are 698 of a picture twice as large.
    assert_eq!(folded().esrgan(23).read(), exact(2, 698, 2));
    let exported = Net::new()
        .then("Reshape", &["split"], &[])
        .then("Transpose", &[], &[("perm", &[0, 1, 3, 5, 2, 4])])
        .then("Reshape", &["join"], &[]);
    assert_eq!(exported.esrgan(6).read(), exact(2, 188, 2));
}

#[test]
fn kernels_strides_and_transposed_convolutions_count() {
    let wide = Net::new().then("Conv", &["w3"], &[("pads", &[3, 3, 3, 3]), ("dilations", &[3, 3])]);
    assert_eq!(wide.twice().read(), exact(2, 3, 1));
    // Down by 2, up by 4 with the usual kernel of 4 (stride 2, padding 1) twice: each looks one px to the side.
    let deconv: &[(&str, &[i64])] =
        &[("kernel_shape", &[4, 4]), ("strides", &[2, 2]), ("pads", &[1, 1, 1, 1])];
    let down = Net::new().then("Conv", &["w3"], &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])]);
    let net = down.then("ConvTranspose", &["w3"], deconv).then("ConvTranspose", &["w3"], deconv);
    assert_eq!(net.twice().read(), exact(4, 3, 2));
}

#[test]
fn branches_take_the_farthest_and_sizes_take_nothing() {
    let net = Net::new().convs(9).then("Add", &["picture"], &[]);
    assert_eq!(net.twice().read(), exact(2, 9, 1));
    let mut sized = Net::new().conv().twice();
    let last = sized.last.clone();
    sized.sketch =
        sized.sketch.node("Shape", &["picture"], "size").node("Expand", &["twice", "size"], "spread");
    sized = Net { last, ..sized };
    assert_eq!(sized.read(), exact(2, 1, 1));
}

#[test]
fn what_looks_at_everything_has_no_radius() {
    let mut squeezed = Net::new().conv();
    let entry = squeezed.last.clone();
    squeezed = squeezed.then("GlobalAveragePool", &[], &[]).then("Mul", &[&entry], &[]);
    assert_eq!(squeezed.twice().stating("2"), Ok(Upscaling { scale: 2, radius: None, multiple: 1 }));
    let normed = Net::new().then("InstanceNormalization", &["w3", "w3"], &[]).twice();
    assert_eq!(normed.read(), Err(Error::Unknown));
    let beyond = Net::new().convs(20_000).twice();
    assert_eq!(beyond.read().unwrap().radius, None, "no picture is so large");
}

#[test]
fn what_is_no_upscaler_is_refused() {
    assert_eq!(Net::new().conv().read(), Err(Error::Factor { from: 64, to: 64 }));
    let halved = Net::new().then("SpaceToDepth", &[], &[("blocksize", &[2])]);
    let text = halved.read().unwrap_err().to_string();
    assert_eq!(
        text,
        "it makes pictures 128 px wide 64 px wide, must enlarge them by a whole factor of 2 to 16"
    );
    // A convolution without padding makes each picture smaller by 2 px: no factor.
    assert_eq!(Net::new().then("Conv", &["w3"], &[]).twice().read(), Err(Error::Unknown));
    let text = Net::new().twice().stating("4").unwrap_err().to_string();
    assert_eq!(text, "its metadata \"scale\" is 4, but its graph enlarges by 2");
    assert!(
        Net::new().twice().stating("twice").unwrap_err().to_string().contains("\"twice\", must be a whole")
    );
}

#[test]
fn the_tiny_networks_are_read() {
    let read = |file: &'static [u8]| upscaling(&Model::parse(Bytes::from_static(file)).unwrap());
    assert_eq!(read(committed!("tiny-upscalers/tiny-compact-x2.onnx")), exact(2, 5, 1));
    assert_eq!(read(committed!("tiny-upscalers/tiny-compact-x4.onnx")), exact(4, 4, 1));
    assert_eq!(read(committed!("tiny-upscalers/tiny-folded-x2.onnx")), exact(2, 8, 2));
    // Two blocks: 1 + 30 + 1 px, 1 after the first enlargement and 3 after the second.
    assert_eq!(read(committed!("tiny-sd15/upscalers/tiny-rrdbnet-x4.onnx")), exact(4, 34, 1));
}
