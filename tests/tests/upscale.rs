//! Upscaling networks beside onnxruntime's untiled run, in tiles of any size, on any number of workers, from any place.

use image::{ImageFormat, Rgb, RgbImage};
use tessera_tests::{
    cluster::Cluster,
    figures::say,
    golden, model, picture,
    render::{Render, Rendered},
    report,
    tensors::Tensors,
};

/// Largest share of samples that may differ from the untiled run's, each by one level: ONNX Runtime's sums depend on
/// where a px lies in its tile, by some 1e-7, which decides the rounding of a few.
const DIFFERING: f64 = 1e-3;

/// A golden picture `[h, w, 3]` as a file to start from.
fn source(golden: &Tensors, name: &str) -> Vec<u8> {
    let (shape, values) = golden.bytes(name);
    let side = |axis: usize| u32::try_from(shape[axis]).expect("a side");
    let image = RgbImage::from_raw(side(1), side(0), values).expect("three bytes a pixel");
    picture::bytes(&image, ImageFormat::Png)
}

/// A render of the tiny model that enlarges `input.png` and keeps its tensors.
fn enlarging(input: &[u8], upscaler: &str, scale: &str) -> Render {
    Render::tiny("a harbour")
        .file("input.png", input)
        .args(["--image", "input.png", "--scale", scale, "--upscaler", upscaler])
        .flags("--steps 2 --hires-steps 1 --denoise 0.1 --tile 64")
        .dump()
}

/// Compares the network's picture with a golden one and prints how many samples differ.
fn compare(what: &str, rendered: &Rendered, golden: &(Vec<usize>, Vec<u8>)) {
    let ours = rendered.tensors().get("upscaled_image");
    let (shape, expected) = golden;
    assert_eq!(ours.shape, [1, 3, shape[0], shape[1]], "{what}");
    let plane = shape[0] * shape[1];
    let mut differing = 0;
    for (index, value) in ours.values.iter().enumerate() {
        let level = f64::from(*value) * 255.0;
        let expected = f64::from(expected[index % plane * 3 + index / plane]);
        let difference = (level - expected).abs();
        assert!(difference < 1.5, "{what}: sample {index} is {level}, not {expected}");
        differing += usize::from(0.5 < difference);
    }
    let samples = expected.len();
    say(format_args!("{what}: {differing} of {samples} samples differ by 1 of 255"));
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousand samples")]
    let share = differing as f64 / samples as f64;
    assert!(share <= DIFFERING, "{what}: {share} of all samples differ");
}

#[test]
fn any_tile_gives_what_the_whole_picture_gives() {
    let golden = golden::tensors("upscale");
    let path = |name: &str| model::upscaler(name).display().to_string();
    let cases = [
        ("91x73", "tiny-compact-x2", path("tiny-compact-x2"), ("2", 1)),
        ("91x73", "tiny-compact-x2", path("tiny-compact-x2"), ("4", 2)),
        ("72x104", "tiny-compact-x4", path("tiny-compact-x4"), ("4", 1)),
        ("91x73", "tiny-folded-x2", path("tiny-folded-x2"), ("2", 1)),
        ("72x104", "tiny-rrdbnet-x4", "tiny-rrdbnet-x4".to_owned(), ("4", 1)),
    ];
    for (size, name, upscaler, (scale, passes)) in cases {
        let input = source(&golden, &format!("{size}.picture"));
        let expected = golden.bytes(&format!("{size}.{name}.{passes}"));
        for tile in ["64", "70", "0"] {
            let rendered = enlarging(&input, &upscaler, scale).args(["--upscale-tile", tile]).rendered();
            compare(&format!("{size} {name} x{scale}, tile {tile}"), &rendered, &expected);
            let report = rendered.report();
            let stages = report.at("/plan/stages").as_array().expect("stages are listed");
            let rows: Vec<_> = stages.iter().filter(|stage| stage["network"] == name).collect();
            assert_eq!(rows.len(), passes, "one row a pass");
            let tiles = rows[0]["tasks"].as_u64().expect("a number of tasks");
            assert_eq!(tiles == 1, tile == "0", "{name}, tile {tile}: {tiles} tiles");
        }
    }
}

#[test]
fn one_and_three_workers_write_the_same_file() {
    let golden = golden::tensors("upscale");
    let input = source(&golden, "72x104.picture");
    let draw = |workers: &str| {
        Render::new("a harbour")
            .model(&model::tiny())
            .file("input.png", &input)
            .args(["--image", "input.png", "--upscaler", "tiny-rrdbnet-x4", "--upscale-tile", "64"])
            .flags("--scale 3 --steps 2 --hires-steps 1 --tile 32")
            .args(["--workers", workers])
            .rendered()
            .hash()
    };
    assert_eq!(draw("cpu:1"), draw("cpu:1,cpu:1,cpu:1"));
}

#[test]
fn a_text_becomes_a_picture_by_way_of_a_network() {
    let rendered = Render::tiny("a harbour")
        .flags("--width 64 --height 96 --steps 2 --hires-width 200 --upscaler tiny-rrdbnet-x4 --tile 32")
        .rendered();
    assert_eq!(picture::pixels(&rendered.picture()).dimensions(), (200, 296));
    let text = picture::text(&rendered.picture(), "parameters").expect("a text named parameters");
    assert!(text.contains("Hires upscaler: tiny-rrdbnet-x4"), "{text}");
    assert!(text.contains("Denoising strength: 0.4,"), "{text}");
    let job = report::parse(&picture::text(&rendered.picture(), "tessera").expect("our own text"));
    assert_eq!(job["job"]["upscaler"], "tiny-rrdbnet-x4");
    let report = rendered.report();
    let networks: Vec<_> = report.at("/plan/stages").as_array().into_iter().flatten().collect();
    let networks: Vec<_> = networks.iter().filter(|row| row["stage"] == "upscale").collect();
    let names: Vec<_> = networks.iter().map(|row| row["network"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["vae decoder", "tiny-rrdbnet-x4", "vae encoder"]);
    let planned: f64 = networks.iter().filter_map(|row| row["tasks"].as_f64()).sum();
    assert_eq!(report.stage("upscale", "tasks"), planned);
}

#[test]
fn a_network_that_looks_at_all_is_joined_by_ramps() {
    let image = RgbImage::from_fn(300, 200, |x, y| {
        let shade = |value: u32| u8::try_from(value % 256).expect("below 256");
        Rgb([shade(x), shade(y), shade(x + y)])
    });
    let input = picture::bytes(&image, ImageFormat::Png);
    let draw = |devices: &str, tile: &str| {
        Render::simulated(devices)
            .file("input.png", &input)
            .args(["--image", "input.png", "--upscaler", "sim-4x", "--upscale-tile", tile])
            .flags("--scale 2 --steps 1 --denoise 0.1")
            .dump()
            .rendered()
    };
    let (whole, tiled) = (draw("sim:0", "0"), draw("sim:0", "64"));
    assert_eq!(tiled.hash(), draw("sim:1,sim:5,sim:0", "64").hash());
    let (whole, tiled) = (whole.tensors().get("upscaled_image"), tiled.tensors().get("upscaled_image"));
    assert_eq!(tiled.shape, [1, 3, 800, 1200]);
    // The simulated network shifts each tile by a tenth of its mean: without ramps that would be steps of some levels.
    let step = |values: &[f32]| {
        let rows = values.chunks_exact(1200).map(|row| {
            let beside = row.iter().zip(&row[1..]).map(|(a, b)| (a - b).abs());
            beside.filter(|step| *step < 0.5).fold(0.0_f32, f32::max)
        });
        rows.fold(0.0_f32, f32::max)
    };
    let (smooth, joined) = (step(&whole.values), step(&tiled.values));
    assert!(joined < smooth + 1.5 / 255.0, "a step of {joined} beside {smooth}");
    assert!(whole != tiled, "tiles must have been cut");
}

#[test]
fn a_cluster_upscales_with_the_files_of_its_workers() {
    let mut cluster = Cluster::start(&[]);
    let file = model::upscaler("tiny-compact-x2").display().to_string();
    for _ in 0..2 {
        cluster.add_worker_with("cpu:1", Some(&model::tiny()), &["--upscaler", &file]);
    }
    let words = [
        "submit",
        "a harbour",
        "--width",
        "64",
        "--height",
        "64",
        "--steps",
        "1",
        "--seed",
        "5",
        "--watch",
        "--upscaler",
    ];
    let submit = |upscaler: &str| cluster.run(&[&words[..], &[upscaler]].concat());
    let done = submit("tiny-compact-x2");
    assert_eq!(done.code, Some(0), "{done:?}");
    let unknown = submit("tiny-compact-x3");
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.error().contains("did you mean \"tiny-compact-x2\"?"), "{unknown:?}");
    let by_file = submit(&file);
    assert_eq!(by_file.code, Some(2), "{by_file:?}");
    assert!(by_file.error().contains("tessera worker --upscaler FILE"), "{by_file:?}");
}

#[test]
fn a_model_tells_its_upscalers() {
    let mut command = tessera_tests::program::command();
    command.args(["model", "inspect"]).arg(model::tiny());
    let ended = tessera_tests::process::Running::start(&mut command).wait(tessera_tests::render::LIMIT);
    assert!(ended.stdout.contains("tiny-rrdbnet-x4 (4x, looks 34 px around)"), "{ended:?}");
}
