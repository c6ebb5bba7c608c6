//! Fused attention against exported attention: time, peak memory and difference of each, and of many sizes in turn.
//!
//! `cargo bench -p tessera-worker --bench fuse`. Each measurement runs in a process of its own, because peak memory is
//! a process's. Ends with status 1 when the results differ by more than [`TOLERANCE`], or memory grows with the number
//! of sizes seen.

#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use tessera_proto::Tensor;
use tessera_worker::engine::{Engine, Named, Network, OnnxEngine, Options, Runtime, Value, library::Places};

/// Largest difference between the two graphs' results.
const TOLERANCE: f32 = 5e-6;

/// How much more memory may be kept after the last round of sizes than after the second.
const GROWTH: f64 = 1.2;

/// Models, batch and latent size of each comparison, and calls that are timed.
const CASES: [(&str, [usize; 3], usize); 4] = [
    ("tests/models/tiny-sd15", [2, 32, 32], 5),
    ("tests/models/tiny-sd15", [2, 64, 64], 3),
    ("tests/models/tiny-sdxl", [2, 64, 64], 3),
    ("deploy/models/demo", [2, 24, 24], 10),
];

/// What a child process reports.
struct Measured {
    /// Median time of a call.
    call: Duration,
    /// Peak resident memory in MiB.
    peak: f64,
    /// Resident memory in MiB after each round of sizes.
    rounds: Vec<f64>,
    output: Vec<f32>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [mode, model, fuse, batch, height, width, calls, file] = arguments.as_slice() {
        let number = |text: &String| text.parse().expect("written by the parent");
        let shape = [number(batch), 4, number(height), number(width)];
        let mut engine = engine(Path::new(model), fuse == "fused");
        match mode.as_str() {
            "compare" => compare(&mut engine, shape, number(calls), Path::new(file)),
            _ => vary(&mut engine, number(calls), Path::new(file)),
        }
        return ExitCode::SUCCESS;
    }
    let mut good = true;
    println!(
        "{:<24} {:>9} {:>11} {:>11} {:>6} {:>9} {:>9} {:>6} {:>9}",
        "UNet", "latents", "exported", "fused", "ratio", "peak", "fused", "ratio", "differ"
    );
    for (model, shape, calls) in CASES {
        good &= report(model, shape, calls);
    }
    for mode in ["exported", "fused"] {
        good &= report_growth(mode);
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints one comparison; whether its results agree.
fn report(model: &str, shape: [usize; 3], calls: usize) -> bool {
    let [plain, fused] = ["exported", "fused"].map(|mode| child("compare", model, mode, shape, calls));
    let differ = plain.output.iter().zip(&fused.output).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let [batch, height, width] = shape;
    println!(
        "{:<24} {:>9} {:>8.1} ms {:>8.1} ms {:>5.2}x {:>5.0} MiB {:>5.0} MiB {:>5.2}x {:>9.1e}",
        model,
        format!("{batch}x{height}x{width}"),
        plain.call.as_secs_f64() * 1e3,
        fused.call.as_secs_f64() * 1e3,
        plain.call.as_secs_f64() / fused.call.as_secs_f64(),
        plain.peak,
        fused.peak,
        plain.peak / fused.peak,
        differ,
    );
    let good = plain.output.len() == fused.output.len() && differ <= TOLERANCE;
    if !good {
        println!("  FAILED: the results differ by {differ}, at most {TOLERANCE} is allowed");
    }
    good
}

/// Prints the memory kept after each round of sizes; whether it stays.
fn report_growth(mode: &str) -> bool {
    let measured = child("vary", "deploy/models/demo", mode, [1, 0, 0], 6);
    let rounds: Vec<String> = measured.rounds.iter().map(|mib| format!("{mib:.0}")).collect();
    println!(
        "resident after each round of 8 sizes, {mode}: {} MiB, peak {:.0}",
        rounds.join(", "),
        measured.peak
    );
    let growth =
        measured.rounds.last().zip(measured.rounds.get(1)).map_or(f64::NAN, |(last, second)| last / second);
    let good = growth <= GROWTH;
    if !good {
        println!("  FAILED: it grew by a factor of {growth:.2}, at most {GROWTH} is allowed");
    }
    good
}

/// Runs one measurement in a process of its own.
fn child(mode: &str, model: &str, fuse: &str, [batch, height, width]: [usize; 3], calls: usize) -> Measured {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("output");
    let status = Command::new(env::current_exe().expect("this program has a path"))
        .args([mode, model, fuse])
        .args([batch, height, width, calls].map(|number| number.to_string()))
        .arg(&file)
        .status()
        .expect("this program runs again");
    assert!(status.success(), "measuring {model} ({fuse}) failed");
    let text = fs::read_to_string(file.with_extension("txt")).expect("written by the child");
    let mut lines =
        text.lines().map(|line| line.split(' ').map(|word| word.parse().expect("a number")).collect());
    let mut next = || -> Vec<f64> { lines.next().expect("three lines") };
    let (call, peak, rounds) = (next(), next(), next());
    let bytes = fs::read(&file).expect("written by the child");
    let output = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    Measured { call: Duration::from_secs_f64(call[0]), peak: peak[0], rounds, output }
}

fn compare(engine: &mut OnnxEngine, shape: [usize; 4], calls: usize, file: &Path) {
    let output = call(engine, shape);
    let mut times = Vec::new();
    for _ in 0..calls {
        let start = Instant::now();
        call(engine, shape);
        times.push(start.elapsed());
    }
    times.sort();
    write(file, times[calls / 2], &[0.0], output.data());
}

fn vary(engine: &mut OnnxEngine, rounds: usize, file: &Path) {
    let mut kept = Vec::new();
    for _ in 0..rounds {
        for side in [24, 32, 40, 48, 56, 64, 72, 96] {
            call(engine, [1, 4, side, 120 - side]);
        }
        kept.push(memory("VmRSS:"));
    }
    write(file, Duration::ZERO, &kept, &[]);
}

fn write(file: &Path, call: Duration, rounds: &[f64], output: &[f32]) {
    let rounds: Vec<String> = rounds.iter().map(f64::to_string).collect();
    let text = format!("{}\n{}\n{}\n", call.as_secs_f64(), memory("VmHWM:"), rounds.join(" "));
    fs::write(file.with_extension("txt"), text).expect("the parent's folder is writable");
    let bytes: Vec<u8> = output.iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(file, bytes).expect("the parent's folder is writable");
}

/// A line of Linux's account of this process, in MiB; 0 elsewhere.
fn memory(key: &str) -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// A model's UNet on one thread, so that other processes of this machine disturb least.
fn engine(model: &Path, fuse: bool) -> OnnxEngine {
    let runtime = Runtime::load(&Places::of_process(None)).unwrap_or_else(|error| panic!("{error}"));
    let device = "cpu:1".parse().expect("a device");
    let mut engine =
        OnnxEngine::new(runtime, Options { device, fuse }).unwrap_or_else(|error| panic!("{error}"));
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    engine.add(Network::Unet, root.join(model).join("unet/model.onnx"));
    engine
}

/// One call on made-up latents and conditioning; SDXL's further inputs where the graph takes them.
fn call(engine: &mut OnnxEngine, shape: [usize; 4]) -> Tensor {
    let facts = engine.facts(&Network::Unet).unwrap_or_else(|error| panic!("{error}")).clone();
    let width = facts.input("encoder_hidden_states").and_then(|slot| slot.fixed(2)).expect("a fixed width");
    let width = usize::try_from(width).expect("a small number");
    let count = shape[0];
    let (sample, states) = (waves(&shape, 0.37), waves(&[count, 77, width], 0.11));
    let (pooled, ids) = (waves(&[count, 32], 0.7), waves(&[count, 6], 0.9));
    let mut inputs = vec![
        Named { name: "sample", value: Value::Tensor(&sample) },
        Named { name: "timestep", value: Value::PerItem { value: 501.0, count } },
        Named { name: "encoder_hidden_states", value: Value::Tensor(&states) },
    ];
    if facts.input("text_embeds").is_some() {
        inputs.push(Named { name: "text_embeds", value: Value::Tensor(&pooled) });
        inputs.push(Named { name: "time_ids", value: Value::Tensor(&ids) });
    }
    let results = engine.run(&Network::Unet, &inputs, &["out_sample"]);
    results.unwrap_or_else(|error| panic!("{error}")).pop().expect("one output was asked for")
}

#[expect(clippy::cast_precision_loss, reason = "made-up values")]
fn waves(shape: &[usize], pitch: f32) -> Tensor {
    let values = (0..shape.iter().product()).map(|index: usize| (index as f32 * pitch).sin());
    Tensor::new(shape, values.collect()).expect("as many values as the shape holds")
}
