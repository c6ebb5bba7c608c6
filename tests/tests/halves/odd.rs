//! Networks that are not as others: values that overflow in f16, steps that no cut knows, another network altogether.

use std::{fs, path::Path};

use prost::Message as _;
use tempfile::TempDir;
use tessera_tests::{figures::say, golden, model, render::Render, tensors::Tensors};
use tessera_worker::graph::onnx::{AttributeProto, DataType, ModelProto, NodeProto, TensorProto};

use super::{Bench, SCALING, scaled};

/// Steps between a decoder's input and the rest of it: each an operator with its second input and its settings.
#[derive(Default)]
struct Detour {
    nodes: Vec<NodeProto>,
    weights: Vec<TensorProto>,
}

// === impl Detour ===

impl Detour {
    fn step(mut self, op: &str, attributes: Vec<AttributeProto>) -> Self {
        let input = self.last().to_owned();
        let output = format!("detour_{}", self.nodes.len());
        self.nodes.push(NodeProto {
            input: vec![input],
            output: vec![output.clone()],
            name: Some(output),
            op_type: Some(op.to_owned()),
            attribute: attributes,
            ..NodeProto::default()
        });
        self
    }

    fn cast(self, to: DataType) -> Self {
        self.step("Cast", vec![AttributeProto::of_int("to", i64::from(i32::from(to)))])
    }

    /// A step with a number in f16, given by its bits.
    fn with(self, op: &str, bits: u16) -> Self {
        let mut detour = self.step(op, Vec::new());
        let name = format!("number_{}", detour.weights.len());
        if let Some(node) = detour.nodes.last_mut() {
            node.input.push(name.clone());
        }
        detour.weights.push(TensorProto {
            data_type: Some(DataType::Float16.into()),
            name: Some(name),
            raw_data: Some(bits.to_le_bytes().to_vec().into()),
            ..TensorProto::default()
        });
        detour
    }

    /// What the last step gives; the input's name is put in later.
    fn last(&self) -> &str {
        self.nodes.last().map_or("", |node| &node.output[0])
    }

    /// A copy of the tiny model whose decoder takes this way.
    fn model(self) -> TempDir {
        self.model_of("vae_decoder")
    }

    /// A copy of the tiny model with this way before the first input of a network.
    fn model_of(mut self, network: &str) -> TempDir {
        let folder = model::copy_of_tiny();
        let file = folder.path().join(network).join("model.onnx");
        let mut proto = ModelProto::decode(fs::read(&file).unwrap().as_slice()).unwrap();
        let graph = proto.graph.as_mut().unwrap();
        let (input, last) = (graph.input[0].name().to_owned(), self.last().to_owned());
        for name in graph.node.iter_mut().flat_map(|node| &mut node.input) {
            if *name == input {
                name.clone_from(&last);
            }
        }
        self.nodes[0].input[0] = input;
        graph.node.splice(0..0, self.nodes);
        graph.initializer.extend(self.weights);
        fs::write(file, proto.encode_to_vec()).unwrap();
        folder
    }
}

/// 60,000 and 0 in f16; the largest number in it is 65,504.
const LARGE: u16 = 0x7b53;
const NOUGHT: u16 = 0;

/// There and back through f16, which overflows for values beyond 1.09; in f32 nothing changes.
fn overflowing() -> Detour {
    let large = Detour::default().cast(DataType::Float16).with("Mul", LARGE);
    large.with("Div", LARGE).cast(DataType::Float)
}

fn bench_with_latent() -> Bench {
    let bench = Bench::new();
    bench.latent("l.safetensors", &scaled(&golden::tensors("vae").get("decode.24x40.latent"), SCALING));
    bench
}

#[test]
fn a_stage_that_overflows_in_f16_runs_again_in_f32() {
    let (bench, folder) = (bench_with_latent(), overflowing().model());
    let words = "decode l.safetensors -o out.png --dump d.safetensors --vae-tile 16";
    let ended = bench.run_with(words, folder.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let image = Tensors::open(&bench.path("d.safetensors")).get("image");
    let apart = image.max_abs_difference(&golden::tensors("vae").get("decode.24x40.picture"));
    say(format_args!("a decoder that overflows in f16, against torch in float64: {apart:.1e}"));
    assert!(apart <= 2e-5, "{apart}");
}

#[test]
fn a_stage_that_overflows_in_f32_too_ends_the_job_in_a_sentence() {
    let nought = Detour::default().cast(DataType::Float16).with("Mul", LARGE);
    let (bench, folder) = (bench_with_latent(), nought.with("Div", NOUGHT).cast(DataType::Float).model());
    let ended = bench.run_with("decode l.safetensors -o out.png --vae-tile 16", folder.path());
    assert_eq!((ended.code, bench.names()), (Some(1), vec!["l.safetensors".to_owned()]), "{ended:?}");
    for part in ["vae_decoder (stage 0) returned NaN or infinity", "in fp32 too"] {
        assert!(ended.error().contains(part), "{part:?} is missing in: {}", ended.error());
    }
}

#[test]
fn whole_networks_that_overflow_in_f16_run_again_in_f32() {
    let flags = "--width 96 --height 64 --steps 2 --scale 1 --vae off --workers cpu:1";
    let rendered = |folder: &Path| Render::new("a cat").model(folder).flags(flags).dump().rendered();
    let calm = rendered(&model::tiny());
    // The way through f32 rounds once; the noise that a UNet sees is 14.6 times as large as a picture.
    for (network, tensor, bound) in [("unet", "base_latent", 1e-3), ("vae_decoder", "image", 2e-5)] {
        let folder = overflowing().model_of(network);
        let rendered = rendered(folder.path());
        let apart = rendered.tensors().get(tensor).max_abs_difference(&calm.tensors().get(tensor));
        say(format_args!(
            "{tensor} of a {network} that overflows in f16, from one that does not: {apart:.1e}"
        ));
        assert!(apart <= bound, "{network}: {apart}");
    }
}

#[test]
fn a_normalisation_that_nothing_is_known_of_is_refused_and_blended_if_asked() {
    let (bench, folder) = (
        bench_with_latent(),
        Detour::default().step("LpNormalization", vec![AttributeProto::of_int("axis", 1)]).model(),
    );
    let ended = bench.run_with("decode l.safetensors -o out.png", folder.path());
    assert_eq!((ended.code, bench.names()), (Some(2), vec!["l.safetensors".to_owned()]), "{ended:?}");
    for part in [
        "--vae exact: the VAE decoder cannot be cut at its normalisations",
        r#"LpNormalization "detour_0": no group normalisation in a spelling that is known"#,
        "--vae blend",
    ] {
        assert!(ended.error().contains(part), "{part:?} is missing in: {}", ended.error());
    }
    let ended = bench.run_with("decode l.safetensors -o out.png --vae blend --vae-tile 32", folder.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_network_that_is_no_vae_is_refused() {
    let (bench, folder) = (bench_with_latent(), model::copy_of_tiny());
    fs::copy(folder.path().join("unet/model.onnx"), folder.path().join("vae_decoder/model.onnx")).unwrap();
    for (mode, parts) in [
        (
            "exact",
            ["the VAE decoder cannot be cut", "not a VAE: the graph takes 3 inputs and gives 1 results"],
        ),
        ("blend", ["vae_decoder/model.onnx", "it takes 3 inputs"]),
    ] {
        let ended = bench.run_with(&format!("decode l.safetensors -o out.png --vae {mode}"), folder.path());
        assert_eq!((ended.code, bench.names()), (Some(2), vec!["l.safetensors".to_owned()]), "{ended:?}");
        for part in parts {
            assert!(ended.error().contains(part), "{part:?} is missing in: {}", ended.error());
        }
    }
}
