//! Files as exporters write them, damaged files, and hostile ones.

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    onnx::{
        AttributeProto, DataLocation, DataType, GraphProto, ModelProto, NodeProto, StringStringEntryProto,
    },
    sketch::{Sketch, committed},
    *,
};

const TEXT_ENCODER: &[u8] = committed!("tiny-sd15/text_encoder/model.onnx");
const UNET: &[u8] = committed!("tiny-sd15/unet/model.onnx");
const UNET_BESIDE: &[u8] = committed!("tiny-sd15-external/unet/model.onnx");
const UNET_XL: &[u8] = committed!("tiny-sdxl/unet/model.onnx");
const DECODER: &[u8] = committed!("tiny-sd15/vae_decoder/model.onnx");
const UPSCALER: &[u8] = committed!("tiny-sd15/upscalers/tiny-rrdbnet-x4.onnx");

fn parsed(bytes: &'static [u8]) -> Model {
    Model::parse(Bytes::from_static(bytes)).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    Model::parse(Bytes::copy_from_slice(bytes)).unwrap_err().to_string()
}

#[test]
fn no_byte_of_a_file_is_lost() {
    for bytes in [TEXT_ENCODER, UNET, UNET_BESIDE, DECODER, UPSCALER] {
        assert!(parsed(bytes).encode() == bytes, "a file of {} bytes is not encoded as it was", bytes.len());
    }
}

#[test]
fn facts_are_those_of_the_file() {
    let facts = parsed(UNET).facts();
    let slots: Vec<String> = facts.inputs.iter().chain(&facts.outputs).map(Slot::to_string).collect();
    assert_eq!(
        slots,
        [
            "sample: f32 [batch_size, 4, height, width]",
            "timestep: f32 []",
            "encoder_hidden_states: f32 [batch_size, sequence_length, 32]",
            "out_sample: f32 [batch_size, 4, height, width]",
        ]
    );
    let sample = facts.input("sample").unwrap();
    assert_eq!((sample.rank(), sample.fixed(1), sample.fixed(2)), (Some(4), Some(4), None));
    assert_eq!(facts.output("out_sample").unwrap().element, Element::F32);
}

#[test]
fn weights_beside_the_file_are_listed() {
    let model = parsed(UNET_BESIDE);
    assert_eq!(model.external_files().into_iter().collect::<Vec<_>>(), ["model.onnx_data"]);
    let whole = parsed(UNET);
    assert!(whole.external_files().is_empty(), "this file holds its own weights");
}

#[test]
fn damage_is_told_in_one_sentence() {
    assert_eq!(refusal(b""), "damaged ONNX file: it has no graph");
    assert_eq!(refusal(b"PK\x03\x04 a zip"), "damaged ONNX file: a field has number 0 at byte 3 of 10");
    assert!(refusal(&TEXT_ENCODER[..TEXT_ENCODER.len() / 2]).contains("it ends inside a field"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A file cut anywhere: the graph, its last and by far largest field but one, is incomplete, or the operator sets
    /// behind it are missing.
    #[test]
    fn truncated_files_are_refused(at in 0..TEXT_ENCODER.len()) {
        let message = refusal(&TEXT_ENCODER[..at]);
        prop_assert!(message.starts_with("damaged ONNX file: "), "{message}");
        prop_assert!(!message.contains('\n'), "{message}");
    }

    /// Flipped bits in weights cannot be seen; anywhere else they are refused or leave a sound graph. Never a panic,
    /// neither here nor in the rewrite.
    #[test]
    fn flipped_bits_never_panic(flips in prop::collection::vec((0..TEXT_ENCODER.len(), 0_u8..8), 1..20)) {
        let mut bytes = TEXT_ENCODER.to_vec();
        for (at, bit) in flips {
            bytes[at] ^= 1 << bit;
        }
        survives(bytes)?;
    }

    /// Bytes put in, taken out or replaced.
    #[test]
    fn shifted_bytes_never_panic(
        at in 0..TEXT_ENCODER.len() - 64, gone in 0_usize..64, new in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut bytes = TEXT_ENCODER.to_vec();
        bytes.splice(at..at + gone, new);
        survives(bytes)?;
    }

    /// Anything at all.
    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        survives(bytes)?;
    }
}

/// Parses, and if that succeeds, rewrites, encodes and parses again.
fn survives(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    match Model::parse(Bytes::from(bytes)) {
        Ok(mut model) => {
            attention::fuse(&mut model);
            let again = Model::parse(Bytes::from(model.encode()));
            prop_assert!(again.is_ok(), "an accepted file was rewritten into an unsound one: {again:?}");
        }
        Err(error) => {
            let message = error.to_string();
            prop_assert!(message.contains("ONNX file"), "{message}");
            prop_assert!(message.len() < 1000, "{message}");
        }
    }
    Ok(())
}

fn doubled() -> Sketch {
    let sketch = Sketch::default().input("x", DataType::Float, &[-1]).output("y", DataType::Float, &[-1]);
    sketch.weight("two", &[1], &[2.0]).node("Mul", &["x", "two"], "y")
}

/// The message about a graph that one change made unsound.
fn spoilt(change: impl FnOnce(&mut GraphProto)) -> String {
    let mut proto = doubled().proto();
    change(proto.graph.as_mut().unwrap());
    Model::new(proto).unwrap_err().to_string()
}

#[test]
fn unsound_graphs_are_refused() {
    assert!(Model::new(doubled().proto()).is_ok());
    assert_eq!(
        spoilt(|graph| graph.node[0].input[1] = "three".to_owned()),
        r#"damaged ONNX file: "Mul y" reads "three", which nothing before it gives"#
    );
    assert_eq!(
        spoilt(|graph| graph.node[0].output[0] = "two".to_owned()),
        r#"damaged ONNX file: "two" is given twice"#
    );
    assert_eq!(
        spoilt(|graph| graph.output[0].name = Some("z".to_owned())),
        r#"damaged ONNX file: "graph output" reads "z", which nothing before it gives"#
    );
    assert_eq!(spoilt(|graph| graph.node.clear()), "damaged ONNX file: it has no node");
    assert_eq!(spoilt(|graph| graph.output.clear()), "damaged ONNX file: it has no output");
    assert_eq!(
        spoilt(|graph| graph.node[0].op_type = None),
        "damaged ONNX file: it has no operator in one of its nodes"
    );
    let no_set = ModelProto { opset_import: Vec::new(), ..doubled().proto() };
    assert!(Model::new(no_set).unwrap_err().to_string().ends_with("it has no standard operator set"));
}

#[test]
fn order_of_nodes_matters() {
    let message = spoilt(|graph| {
        let earlier =
            NodeProto { input: vec!["y".to_owned()], output: vec!["z".to_owned()], ..graph.node[0].clone() };
        graph.node.insert(0, earlier);
    });
    assert!(message.contains(r#"reads "y", which nothing before it gives"#), "{message}");
}

#[test]
fn branches_see_the_graph_around_them() {
    let branch = |reads: &str| {
        let body = NodeProto {
            op_type: Some("Identity".to_owned()),
            input: vec![reads.to_owned()],
            output: vec!["inner".to_owned()],
            ..NodeProto::default()
        };
        let mut proto = doubled().proto();
        let graph = proto.graph.as_mut().unwrap();
        graph.node[0].attribute.push(AttributeProto {
            name: Some("body".to_owned()),
            g: Some(Box::new(GraphProto { node: vec![body], ..GraphProto::default() })),
            ..AttributeProto::default()
        });
        Model::new(proto)
    };
    assert!(branch("two").is_ok());
    assert!(branch("y").is_err(), "a node's branch runs before the node gives its result");
}

#[test]
fn tensors_must_fill_their_shape() {
    assert_eq!(
        spoilt(|graph| graph.initializer[0].dims = vec![2]),
        r#"damaged ONNX file: tensor "two": shape [2] needs 8 bytes, it has 4"#
    );
    assert_eq!(
        spoilt(|graph| graph.initializer[0].dims = vec![i64::MAX, i64::MAX]),
        r#"damaged ONNX file: tensor "two": impossible shape [9223372036854775807, 9223372036854775807]"#
    );
    assert!(spoilt(|graph| graph.initializer[0].dims = vec![-1]).contains("impossible shape [-1]"));
    assert!(spoilt(|graph| graph.initializer[0].dims = vec![1; 17]).contains("17 dimensions, at most 16"));
    assert!(spoilt(|graph| graph.initializer[0].data_type = Some(99)).contains("no known element type"));
    let listed = |graph: &mut GraphProto| {
        graph.initializer[0].raw_data = None;
        graph.initializer[0].float_data = vec![1.0, 2.0];
    };
    assert!(spoilt(listed).contains("shape [1] needs 1 values, it has 2"));
}

/// The message about a weight that lies at `location`, with one more entry about it.
fn placed(location: &str, key: &str, value: &str) -> Result<Model, Error> {
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value.to_owned()),
    };
    let mut proto = doubled().proto();
    let tensor = &mut proto.graph.as_mut().unwrap().initializer[0];
    tensor.raw_data = None;
    tensor.data_location = Some(DataLocation::External.into());
    tensor.external_data = vec![entry("location", location), entry(key, value)];
    Model::new(proto)
}

#[test]
fn weights_outside_the_folder_are_refused() {
    assert!(placed("model.onnx_data", "length", "4").is_ok());
    for location in
        ["/etc/passwd", "../weights", "a/b", r"..\weights", r"C:\weights", "C:weights", "..", ".", "", "a\0b"]
    {
        let message = placed(location, "offset", "0").unwrap_err().to_string();
        assert!(
            message.contains("only a plain file name in the model's own folder"),
            "{location:?}: {message}"
        );
    }
    assert_eq!(
        placed("../x", "offset", "0").unwrap_err().to_string(),
        "ONNX file refused: tensor \"two\" lies in \"../x\", but only a plain file name in the model's own folder is \
         allowed"
    );
    assert!(placed("w", "length", "5").unwrap_err().to_string().contains("needs 4 bytes, 5 are stored"));
    assert!(placed("w", "offset", "-1").unwrap_err().to_string().contains("offset \"-1\" is no number"));
}

#[test]
fn what_nothing_needs_is_dropped() {
    let sketch = doubled().weight("dead", &[1], &[1.0]).node("Mul", &["x", "dead"], "unread");
    let mut proto = sketch.proto();
    let mut graph = proto.graph.take().unwrap();
    prune::prune(&mut graph);
    assert_eq!(graph.node.len(), 1);
    assert_eq!(graph.initializer.len(), 1);
    assert_eq!(graph.initializer[0].name(), "two");
}

#[test]
fn shapes_follow_from_shapes() {
    // [b, 3, 8] -> Shape -> first and last length -> [b, 24] by Reshape: what exporters write around every attention.
    let sketch =
        Sketch::default().input("x", DataType::Float, &[-1, 3, 8]).output("y", DataType::Float, &[-1, 24]);
    let sketch = sketch.list("zero", &[0]).list("last", &[-1]).list("three", &[3]).list("end", &[i64::MAX]);
    let sketch = sketch.node("Shape", &["x"], "shape").node_with(
        "Gather",
        &["shape", "zero"],
        "batch",
        &[("axis", &[0])],
    );
    let sketch =
        sketch.node("Slice", &["shape", "last", "end"], "width").node("Mul", &["width", "three"], "columns");
    let sketch = sketch.node_with("Concat", &["batch", "columns"], "target", &[("axis", &[0])]);
    let model = sketch.node("Reshape", &["x", "target"], "y").model();
    let view = View::new(model.graph());
    let known = view.inference();
    assert_eq!(known.values("target"), Some(&[Entry::Axis(0), Entry::Number(24.0)][..]));
    assert_eq!(known.dims("y"), Some(&[None, Some(24)][..]));
    assert_eq!(known.scalar("width"), Some(8.0));
    assert_eq!(known.wholes("target"), None);
    assert_eq!(view.maker("y").map(|node| node.op_type()), Some("Reshape"));
    assert_eq!(view.readers("shape").len(), 2);
}

#[test]
fn every_shape_of_real_networks_is_understood() {
    for bytes in [UNET, UNET_XL, DECODER] {
        let model = parsed(bytes);
        let view = View::new(model.graph());
        let unknown = view.nodes().find(|(_, node)| view.inference().dims(&node.output[0]).is_none());
        assert_eq!(unknown, None, "a rank is unknown");
    }
}
