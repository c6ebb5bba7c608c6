//! Real networks on ONNX Runtime. These tests need the library, and fail with the sentence that says how to get it.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use half::f16;
use proptest::prelude::*;
use tessera_proto::FailureKind;

use super::{library::Places, *};
use crate::graph::{
    Model,
    attention::Fused,
    onnx::{DataType, ModelProto},
    sketch::Sketch,
};
use prost::Message;

fn runtime() -> Runtime {
    Runtime::load(&Places::of_process(None)).unwrap_or_else(|error| panic!("{error}"))
}

fn models() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/models")
}

/// An engine with one network, on one thread.
fn engine(network: Network, file: PathBuf, fuse: bool) -> OnnxEngine {
    let device = "cpu:1".parse().unwrap();
    let mut engine = OnnxEngine::new(runtime(), Options { device, fuse }).unwrap();
    engine.add(network, file);
    engine
}

fn waves(shape: &[usize], pitch: f32) -> Tensor {
    #[expect(clippy::cast_precision_loss, reason = "test data")]
    let wave = |index: usize| (index as f32 * pitch).sin();
    Tensor::new(shape, (0..shape.iter().product()).map(wave).collect()).unwrap()
}

/// The UNet's output for latents of a size; with SDXL's further inputs where the graph takes them.
fn unet(engine: &mut OnnxEngine, shape: [usize; 4]) -> Tensor {
    let facts = engine.facts(&Network::Unet).unwrap().clone();
    let count = shape[0];
    let width = facts.input("encoder_hidden_states").and_then(|slot| slot.fixed(2)).unwrap();
    let (sample, states) = (waves(&shape, 0.37), waves(&[count, 77, usize::try_from(width).unwrap()], 0.11));
    let mut inputs = vec![
        Named { name: "sample", value: Value::Tensor(&sample) },
        Named { name: "timestep", value: Value::PerItem { value: 501.5, count } },
        Named { name: "encoder_hidden_states", value: Value::Tensor(&states) },
    ];
    let pooled = waves(&[count, 32], 0.7);
    let ids = Tensor::new([count, 6], [64.0, 64.0, 0.0, 0.0, 64.0, 64.0].repeat(count)).unwrap();
    if facts.input("text_embeds").is_some() {
        inputs.push(Named { name: "text_embeds", value: Value::Tensor(&pooled) });
        inputs.push(Named { name: "time_ids", value: Value::Tensor(&ids) });
    }
    engine.run(&Network::Unet, &inputs, &["out_sample"]).unwrap().pop().unwrap()
}

/// A call of seconds ends within a fraction of itself, and the network is as good as before.
#[test]
fn a_call_that_is_stopped_ends_early() {
    let halt = crate::halt::Halt::default();
    let mut engine =
        engine(Network::Unet, models().join("tiny-sd15/unet/model.onnx"), true).with_halt(halt.clone());
    let small = unet(&mut engine, [1, 4, 16, 16]);
    let lease = tessera_proto::LeaseId::new(1);
    let large = waves(&[1, 4, 256, 256], 0.37);
    let states = waves(&[1, 77, 32], 0.11);
    let mut call = |stop_after: Option<Duration>| {
        halt.begin(lease);
        let began = std::time::Instant::now();
        let result = std::thread::scope(|scope| {
            if let Some(after) = stop_after {
                let halt = halt.clone();
                scope.spawn(move || {
                    std::thread::sleep(after);
                    halt.stop(lease);
                });
            }
            let inputs = [
                Named { name: "sample", value: Value::Tensor(&large) },
                Named { name: "timestep", value: Value::PerItem { value: 501.5, count: 1 } },
                Named { name: "encoder_hidden_states", value: Value::Tensor(&states) },
            ];
            engine.run(&Network::Unet, &inputs, &["out_sample"])
        });
        let took = began.elapsed();
        (result, halt.end(), took)
    };
    let (whole, stopped, took) = call(None);
    assert!(whole.is_ok() && !stopped);
    let (broken, stopped, early) = call(Some(took / 10));
    assert!(broken.is_err() && stopped, "it did not end by itself");
    assert!(early < took / 2, "{early:?} of {took:?}");
    assert_eq!(unet(&mut engine, [1, 4, 16, 16]), small, "the next call is as good as the first");
}

fn distance(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.shape(), b.shape());
    a.data().iter().zip(b.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn fused_networks_compute_the_same() {
    for (name, attentions) in [("tiny-sd15", 20), ("tiny-sdxl", 22), ("tiny-sd15-external", 20)] {
        let file = models().join(name).join("unet/model.onnx");
        let mut fused = engine(Network::Unet, file.clone(), true);
        let mut plain = engine(Network::Unet, file, false);
        assert_eq!(fused.load(&Network::Unet).unwrap(), Fused { fused: attentions, left: 0 });
        assert_eq!(plain.load(&Network::Unet).unwrap(), Fused::default());
        for shape in [[1, 4, 8, 16], [2, 4, 24, 16], [3, 4, 32, 32]] {
            let (a, b) = (unet(&mut fused, shape), unet(&mut plain, shape));
            assert!(
                0.1 < b.data().iter().fold(0.0, |largest: f32, value| largest.max(value.abs())),
                "{name}: nothing"
            );
            let distance = distance(&a, &b);
            println!("{name} {shape:?}: fused differs by {distance:.1e}");
            assert!(distance <= 5e-6, "{name} {shape:?}: fused differs by {distance}");
        }
    }
}

#[test]
fn fused_vae_computes_the_same() {
    let file = models().join("tiny-sd15/vae_decoder/model.onnx");
    let latent = waves(&[1, 4, 24, 16], 0.23);
    let results = [true, false].map(|fuse| {
        let mut engine = engine(Network::VaeDecoder, file.clone(), fuse);
        let inputs = [Named { name: "latent_sample", value: Value::Tensor(&latent) }];
        engine.run(&Network::VaeDecoder, &inputs, &["sample"]).unwrap().pop().unwrap()
    });
    assert_eq!(results[0].shape(), [1, 3, 192, 128]);
    let distance = distance(&results[0], &results[1]);
    assert!(distance <= 2e-5, "fused differs by {distance}");
}

#[test]
fn batches_and_threads_do_not_change_a_bit() {
    let file = models().join("tiny-sd15/unet/model.onnx");
    let mut one = engine(Network::Unet, file.clone(), true);
    let mut two =
        OnnxEngine::new(runtime(), Options { device: "cpu:2".parse().unwrap(), fuse: true }).unwrap();
    two.add(Network::Unet, file);
    let both = unet(&mut one, [2, 4, 16, 24]);
    assert_eq!(both.data(), unet(&mut two, [2, 4, 16, 24]).data());
    let first = unet(&mut one, [1, 4, 16, 24]);
    assert_eq!(first.data(), &both.data()[..first.data().len()]);
}

/// A model in a folder of its own.
fn written(proto: &ModelProto) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    fs::write(&file, proto.encode_to_vec()).unwrap();
    (folder, file)
}

/// `out = sample + timestep` with the given types; the timestep of rank 0 or 1.
fn adder(real: DataType, time: DataType, time_dims: &[i64]) -> ModelProto {
    let to = i64::from(i32::from(real));
    let sketch = Sketch::default().input("sample", real, &[-1, 2]).input("timestep", time, time_dims);
    let sketch = sketch.node_with("Cast", &["timestep"], "t", &[("to", &[to])]);
    let sketch = sketch.list("column", &[-1, 1]).node("Reshape", &["t", "column"], "t2");
    sketch.node("Add", &["sample", "t2"], "out").output("out", real, &[-1, 2]).proto()
}

#[test]
fn inputs_take_the_graphs_own_types() {
    let sample = Tensor::new([2, 2], vec![0.25, -0.5, 1.0, 2.0]).unwrap();
    let inputs = [
        Named { name: "sample", value: Value::Tensor(&sample) },
        Named { name: "timestep", value: Value::PerItem { value: 999.5, count: 2 } },
    ];
    for (real, time, dims, expected) in [
        (DataType::Float, DataType::Float, &[][..], 999.5),
        (DataType::Float, DataType::Int64, &[], 1000.0),
        (DataType::Float, DataType::Int32, &[-1], 1000.0),
        (DataType::Float, DataType::Int64, &[1], 1000.0),
        (DataType::Float16, DataType::Float16, &[-1], 999.5),
        (DataType::Float16, DataType::Float, &[], 999.5),
    ] {
        let (_folder, file) = written(&adder(real, time, dims));
        let mut engine = engine(Network::Unet, file, true);
        let out = engine.run(&Network::Unet, &inputs, &["out"]).unwrap().pop().unwrap();
        let round = |value: f32| {
            if real == DataType::Float16 { f16::from_f32(value).to_f32() } else { value }
        };
        let expected: Vec<f32> = sample.data().iter().map(|value| round(value + expected)).collect();
        assert_eq!(out.data(), expected, "{real:?} {time:?} {dims:?}");
    }
}

#[test]
fn ids_may_be_of_either_width() {
    for kind in [DataType::Int64, DataType::Int32] {
        let sketch = Sketch::default().input("input_ids", kind, &[-1, 3]);
        let sketch = sketch.node_with("Cast", &["input_ids"], "out", &[("to", &[1])]).output(
            "out",
            DataType::Float,
            &[-1, 3],
        );
        let (_folder, file) = written(&sketch.proto());
        let mut engine = engine(Network::TextEncoder, file, true);
        let mut run = |ids: &[i64]| {
            let inputs = [Named { name: "input_ids", value: Value::Ids { shape: [1, 3], ids } }];
            engine.run(&Network::TextEncoder, &inputs, &["out"])
        };
        assert_eq!(run(&[0, 7, 49407]).unwrap()[0].data(), [0.0, 7.0, 49407.0]);
        assert_eq!(run(&[0, 1 << 40, 0]).is_err(), kind == DataType::Int32);
    }
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let mut engine = engine(Network::Unet, models().join("tiny-sd15/unet/model.onnx"), true);
    let (sample, states) = (waves(&[1, 4, 8, 8], 0.1), waves(&[1, 77, 32], 0.1));
    let good = [
        Named { name: "sample", value: Value::Tensor(&sample) },
        Named { name: "timestep", value: Value::PerItem { value: 1.0, count: 1 } },
        Named { name: "encoder_hidden_states", value: Value::Tensor(&states) },
    ];
    let mut refusal = |inputs: &[Named<'_>]| {
        let error = engine.run(&Network::Unet, inputs, &["out_sample"]).unwrap_err();
        assert_eq!(error.kind(), FailureKind::Unsupported);
        error.to_string()
    };
    assert_eq!(
        refusal(&good[..2]),
        "unet: input \"encoder_hidden_states\": the graph needs it, this task does not give it"
    );
    let swapped = [good[0], good[1], Named { name: "encoder_hidden_states", value: Value::Tensor(&sample) }];
    assert_eq!(
        refusal(&swapped),
        "unet: input \"encoder_hidden_states\": the graph takes encoder_hidden_states: f32 [batch_size, \
         sequence_length, 32], got shape [1, 4, 8, 8]"
    );
    let extra = Named { name: "mask", value: Value::Tensor(&sample) };
    assert!(
        refusal(&[&good[..], &[extra]].concat())
            .contains("\"mask\": the graph has no such input, it takes sample: ")
    );
    let ids = Named { name: "sample", value: Value::Ids { shape: [1, 1], ids: &[1] } };
    assert!(refusal(&[ids, good[1], good[2]]).contains("got shape [1, 1]"));
    let error = engine.run(&Network::Unet, &good, &["nothing"]).unwrap_err();
    assert!(error.to_string().contains("no output \"nothing\""), "{error}");
    assert!(engine.run(&Network::Unet, &good, &["out_sample"]).is_ok());
}

#[test]
fn a_missing_provider_is_said_and_never_replaced() {
    for device in ["cuda:0", "tensorrt:0", "rocm:0", "directml:0", "openvino"] {
        let options = Options { device: device.parse().unwrap(), fuse: true };
        let error = match OnnxEngine::new(runtime(), options) {
            Err(error) => error,
            // A library that has the provider: then loading a network must fail where there is no such card, or use it.
            Ok(_) => continue,
        };
        let message = error.to_string();
        assert!(message.starts_with(&format!("device {device} needs ")), "{message}");
        assert!(message.contains("ExecutionProvider, which the ONNX Runtime library"), "{message}");
        assert!(message.contains("CPUExecutionProvider)"), "{message}");
    }
}

#[test]
fn a_simulated_device_runs_no_graphs() {
    let options = Options { device: "sim:20".parse().unwrap(), fuse: true };
    let message = OnnxEngine::new(runtime(), options).unwrap_err().to_string();
    assert_eq!(message, "device sim:20 cannot be used: it is simulated and runs no graphs");
}

#[test]
fn damaged_files_are_refused_with_their_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    let whole = fs::read(models().join("tiny-sd15/vae_encoder/model.onnx")).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let refusal = |file: &PathBuf| {
        engine(Network::VaeEncoder, file.clone(), false).load(&Network::VaeEncoder).unwrap_err()
    };
    let message = refusal(&file).to_string();
    assert!(message.starts_with(&format!("{}: damaged ONNX file: ", file.display())), "{message}");
    // A hole of 3 GiB, which takes no room on the disk and must take none in memory.
    fs::File::create(&file).unwrap().set_len(3 << 30).unwrap();
    let message = refusal(&file).to_string();
    assert!(message.contains("it has 3221225472 bytes, at most 2147483647 are allowed"), "{message}");
    let absent = folder.path().join("other.onnx");
    assert!(refusal(&absent).to_string().starts_with(&format!("cannot read {}: ", absent.display())));
    // Sound protobuf and a sound graph, but no operator that exists.
    let sketch = Sketch::default().input("x", DataType::Float, &[1]).output("y", DataType::Float, &[1]);
    fs::write(&file, sketch.node("Nonsense", &["x"], "y").proto().encode_to_vec()).unwrap();
    let message = refusal(&file).to_string();
    assert!(
        message.contains("ONNX Runtime refuses the graph: ") && message.contains("Nonsense"),
        "{message}"
    );
}

#[test]
fn missing_weights_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    fs::copy(models().join("tiny-sd15-external/unet/model.onnx"), &file).unwrap();
    for fuse in [true, false] {
        let error = engine(Network::Unet, file.clone(), fuse).load(&Network::Unet).unwrap_err().to_string();
        let weights = folder.path().join("model.onnx_data");
        assert!(error.starts_with(&format!("cannot read {}: ", weights.display())), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A flipped bit that parses must not take ONNX Runtime down either: it refuses the graph, or runs it.
    #[test]
    fn flipped_bits_do_not_end_the_process(at in 0_usize..64 << 10, bit in 0_u8..8) {
        let mut bytes = fs::read(models().join("tiny-sd15/text_encoder/model.onnx")).unwrap();
        bytes[at] ^= 1 << bit;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.onnx");
        fs::write(&file, bytes).unwrap();
        if let Err(error) = engine(Network::TextEncoder, file, true).load(&Network::TextEncoder) {
            prop_assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}

#[test]
fn unknown_networks_are_absent() {
    let mut engine = engine(Network::Unet, models().join("tiny-sd15/unet/model.onnx"), true);
    let network = Network::Upscaler("nice".to_owned());
    assert_eq!(engine.load(&network).unwrap_err().to_string(), "this model has no upscaler \"nice\"");
}

/// Runs one test of this file in a process of its own, below a limit on its memory in KiB (0 = none).
pub(super) fn in_child(test: &str, limit_kib: u64, key: &str, value: &str) -> String {
    let limit = if limit_kib == 0 { "unlimited".to_owned() } else { limit_kib.to_string() };
    let output = Command::new("sh")
        .args(["-c", "ulimit -v \"$1\"; exec \"$2\" \"$3\" --exact --nocapture", "sh", &limit])
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(key, value)
        .output()
        .unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{test} failed in its own process:\n{text}");
    text
}

#[test]
#[cfg(target_os = "linux")]
fn out_of_memory_is_told_from_other_failures() {
    const KEY: &str = "TESSERA_TEST_SMALL_MEMORY";
    if std::env::var_os(KEY).is_none() {
        in_child("engine::tests::out_of_memory_is_told_from_other_failures", 2 << 20, KEY, "1");
        return;
    }
    // Plain attention over 96 * 96 tokens holds 2 * 9216^2 floats and more: over the 2 GiB that this process may take.
    let mut engine = engine(Network::Unet, models().join("tiny-sd15/unet/model.onnx"), false);
    let (sample, states) = (waves(&[4, 4, 96, 96], 0.1), waves(&[4, 77, 32], 0.1));
    let inputs = [
        Named { name: "sample", value: Value::Tensor(&sample) },
        Named { name: "timestep", value: Value::PerItem { value: 1.0, count: 4 } },
        Named { name: "encoder_hidden_states", value: Value::Tensor(&states) },
    ];
    let error = engine.run(&Network::Unet, &inputs, &["out_sample"]).unwrap_err();
    println!("{error}");
    assert_eq!(error.kind(), FailureKind::OutOfMemory, "{error}");
    assert!(
        error.to_string().contains("sample [4, 4, 96, 96], timestep, encoder_hidden_states [4, 77, 32]"),
        "{error}"
    );
    // The engine is usable afterwards: the coordinator halves the batch and tries again.
    assert!(unet(&mut engine, [1, 4, 8, 8]).is_finite());
}

#[test]
fn simulated_results_depend_on_every_input() {
    let mut engine = Simulated::new(device::Pace::steady(Duration::ZERO), 768);
    let (sample, states) = (waves(&[1, 4, 8, 8], 0.1), waves(&[1, 77, 768], 0.1));
    let mut run = |sample: &Tensor, timestep: f64, states: &Tensor| {
        let inputs = [
            Named { name: "sample", value: Value::Tensor(sample) },
            Named { name: "timestep", value: Value::PerItem { value: timestep, count: 1 } },
            Named { name: "encoder_hidden_states", value: Value::Tensor(states) },
        ];
        engine.run(&Network::Unet, &inputs, &["out_sample"]).unwrap().pop().unwrap()
    };
    let first = run(&sample, 500.0, &states);
    assert_eq!(first.shape(), sample.shape());
    assert_eq!(first, run(&sample, 500.0, &states));
    assert_ne!(first, run(&sample, 501.0, &states));
    assert_ne!(first, run(&waves(&[1, 4, 8, 8], 0.2), 500.0, &states));
    assert_ne!(first, run(&sample, 500.0, &waves(&[1, 77, 768], 0.2)));
}

#[test]
fn simulated_calls_take_their_time() {
    let delay = Duration::from_millis(20);
    let mut engine = Simulated::new(device::Pace::steady(delay), 768);
    let mut timed = Timed::new(&mut engine);
    let latent = waves(&[1, 4, 8, 8], 0.1);
    for _ in 0..5 {
        let inputs = [Named { name: "latent_sample", value: Value::Tensor(&latent) }];
        let image = timed.run(&Network::VaeDecoder, &inputs, &["sample"]).unwrap().pop().unwrap();
        assert_eq!(image.shape(), [1, 3, 64, 64]);
    }
    // Late by the machine's load, never early.
    assert!(5 * delay <= timed.busy(), "{:?}", timed.busy());
    assert!(timed.busy() < 10 * delay, "{:?}", timed.busy());
}

#[test]
fn facts_of_a_file_are_those_of_the_session() {
    let file = models().join("tiny-sdxl/unet/model.onnx");
    let model = Model::parse(fs::read(&file).unwrap().into()).unwrap();
    let mut engine = engine(Network::Unet, file, true);
    assert_eq!(engine.facts(&Network::Unet).unwrap(), &model.facts());
}
