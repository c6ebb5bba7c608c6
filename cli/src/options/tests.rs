//! Command lines in, jobs or refusals out: everything that needs no process.

use std::{fs, num::NonZeroUsize, path::Path};

use clap::Parser;
use tempfile::TempDir;
use tessera_proto::{
    job::{
        Draft, Format, ModelRef, Rng, Sampler, Schedule, Size, StrengthSteps, Target, TileGrid, TileMethod,
        UpscaleFilter, Urgency, VaeMode,
        format::{Depth, Quality},
    },
    limits,
};

use super::*;
use crate::{
    args::{Cli, Command},
    exit::{Exit, Failure},
};

/// The arguments of a `tessera render` on simulated devices, which needs nothing of this machine.
fn render_args(arguments: &[&str]) -> RenderArgs {
    let simulated = !arguments.iter().any(|argument| ["--workers", "--coordinator"].contains(argument));
    let extra: &[&str] = if simulated { &["--workers", "sim:5"] } else { &[] };
    let line = ["tessera", "render"].iter().chain(arguments).chain(extra);
    match Cli::try_parse_from(line).unwrap().command {
        Command::Render(args) => *args,
        other => panic!("not a render: {other:?}"),
    }
}

/// A machine on which nothing is installed, with an empty folder as the current one.
fn bare(folder: &Path) -> Environment {
    Environment {
        model: None,
        home: None,
        executable: folder.join("bin/tessera"),
        current: folder.to_owned(),
        cores: NonZeroUsize::new(2).unwrap(),
        cuda_visible: None,
    }
}

fn rendered(arguments: &[&str]) -> Result<Render, Error> {
    let folder = TempDir::new().unwrap();
    render(render_args(arguments), &bare(folder.path()))
}

/// The job of a command line without its seed, which may be drawn.
fn job(arguments: &[&str]) -> Draft {
    let mut draft = rendered(arguments).unwrap().spec.into_draft();
    draft.seed = 0;
    // Of whoever runs the tests.
    draft.user.clear();
    draft
}

fn simulated_default(prompt: &str) -> Draft {
    let (model, priority) = (ModelRef::Hash([0; 32]), Urgency::Interactive);
    Draft { model, priority, ..Draft::text_to_image(prompt) }
}

fn refusal(arguments: &[&str]) -> String {
    let failure = Failure::usage(rendered(arguments).unwrap_err());
    assert_eq!(failure.exit, Exit::Usage);
    let sentence = failure.sentence();
    assert!(!sentence.contains('\n'), "more than a line: {sentence}");
    sentence
}

#[test]
fn nothing_but_a_prompt_means_a1111s_defaults() {
    assert_eq!(job(&["a cat"]), simulated_default("a cat"));
}

#[test]
fn every_flag_reaches_the_job() {
    let line = "-n dog --width 640 --height 384 --steps 12 --cfg 5.5 --seed 7 --rng nv --sampler heun \
                --schedule exponential --hires-width 1280 --hires-height 768 --hires-steps 9 --denoise 0.55 \
                --strength-steps diffusers --upscaler latent-nearest-exact --upscale-tile 256 --tile 64x48 --overlap 8 --tile-batch 4 \
                --tile-base --tile-method mixture --tile-grid stride --vae off --vae-tile 32 --vae-encode-tile 256 \
                --vae-memory 700";
    let mut arguments = vec!["a cat"];
    arguments.extend(line.split_whitespace());
    let expected = Draft {
        negative_prompt: "dog".to_owned(),
        base: Some(Size { width: 640, height: 384 }),
        target: Target::Size(Size { width: 1280, height: 768 }),
        steps: 12,
        hires_steps: Some(9),
        cfg_scale: 5.5,
        rng: Rng::Nv,
        sampler: Sampler::Heun,
        schedule: Schedule::Exponential,
        denoising_strength: 0.55,
        strength_steps: StrengthSteps::Diffusers,
        upscaler: UpscaleFilter::LatentNearestExact.into(),
        upscale_tile: Some(256),
        tile: Some(Size { width: 64, height: 48 }),
        overlap: Some(8),
        tile_batch: 4,
        tile_base: true,
        tile_method: TileMethod::Mixture,
        tile_grid: TileGrid::Stride,
        vae: VaeMode::Off,
        vae_tile: Some(32),
        vae_encode_tile: Some(256),
        vae_color_fix: false,
        vae_memory: Some(700),
        ..simulated_default("a cat")
    };
    assert_eq!(job(&arguments), expected);
    assert_eq!(rendered(&arguments).unwrap().spec.seed, 7);
}

#[test]
fn a1111s_spellings_are_understood() {
    let sampled = |arguments: &[&str]| {
        let draft = job(arguments);
        (draft.sampler, draft.schedule)
    };
    let karras = (Sampler::DpmPp2M, Schedule::Karras);
    assert_eq!(sampled(&["x", "--sampler", "DPM++ 2M Karras"]), karras);
    assert_eq!(sampled(&["x", "--sampler", "DPM++ 2M", "--schedule", "Automatic"]), karras);
    assert_eq!(sampled(&["x", "--sampler", "DPM++ 2M Karras", "--schedule", "karras"]), karras);
    assert_eq!(sampled(&["x", "--sampler", "Euler a"]), (Sampler::EulerA, Schedule::Normal));
    assert_eq!(sampled(&["x", "--sampler", "DPM++ 2M"]), (Sampler::DpmPp2M, Schedule::Normal));
    let named = job(&[
        "x",
        "--hires-upscaler",
        "Latent (bicubic antialiased)",
        "--cfg-scale",
        "3",
        "--negative-prompt",
        "y",
        "--denoising-strength",
        "0.6",
        "--hires-upscale",
        "1.5",
    ]);
    assert_eq!(named.upscaler, UpscaleFilter::LatentBicubicAntialiased.into());
    assert_eq!((named.cfg_scale, named.denoising_strength), (3.0, 0.6));
    assert_eq!((named.negative_prompt.as_str(), named.target), ("y", Target::Scale(1.5)));
}

#[test]
fn strength_follows_the_upscaler() {
    assert_eq!(job(&["x", "--upscaler", "lanczos"]).denoising_strength, 0.4);
    assert_eq!(job(&["x", "--upscaler", "Latent"]).denoising_strength, 0.7);
    assert_eq!(job(&["x", "--upscaler", "sim-2x"]).denoising_strength, 0.4);
    let both = ["x", "--upscaler", "lanczos", "--denoise", "0.2"];
    assert_eq!(job(&both).denoising_strength, 0.2);
}

#[test]
fn sides_left_unsaid_follow() {
    let square = Size { width: 768, height: 768 };
    assert_eq!(job(&["x", "--width", "768"]).base, Some(square));
    assert_eq!(job(&["x", "--height", "768"]).base, Some(square));
    let wide = Size { width: 1024, height: 0 };
    assert_eq!(job(&["x", "--hires-width", "1024"]).target, Target::Size(wide));
    assert_eq!(job(&["x", "--hires-steps", "0"]).hires_steps, None);
}

#[test]
fn a_seed_is_drawn_once_and_kept_below_2_to_32() {
    let seeds: Vec<_> = (0..4)
        .map(|_| rendered(&["x", "--seed", "-1"]).unwrap())
        .inspect(|render| assert!(render.seed_drawn))
        .map(|render| render.spec.seed)
        .collect();
    assert!(seeds.iter().all(|seed| *seed < 1 << 32), "{seeds:?}");
    assert!(seeds.iter().any(|seed| *seed != seeds[0]), "{seeds:?}");
    let given = rendered(&["x", "--seed", "9007199254740992"]).unwrap();
    assert_eq!((given.spec.seed, given.seed_drawn), (1 << 53, false));
}

#[test]
fn an_unnamed_picture_never_replaces_another() {
    let folder = TempDir::new().unwrap();
    let environment = bare(folder.path());
    let name = || {
        let render = render(render_args(&["x", "--seed", "5"]), &environment).unwrap();
        let name = render.files.result.file_name().unwrap().to_str().unwrap();
        name.to_owned()
    };
    assert_eq!(name(), "tessera-5.png");
    fs::write(folder.path().join("tessera-5.png"), "a picture").unwrap();
    assert_eq!(name(), "tessera-5-2.png");
    fs::write(folder.path().join("tessera-5-2.png"), "another").unwrap();
    assert_eq!(name(), "tessera-5-3.png");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "something was left behind");
}

#[test]
fn a_cluster_takes_names_hashes_and_folders_for_models() {
    let model = |given: &[&str]| {
        let mut arguments = vec!["x", "--coordinator", "10.0.0.5:7878"];
        arguments.extend(given);
        rendered(&arguments).map(|render| render.spec.model.clone())
    };
    assert_eq!(model(&[]).unwrap(), ModelRef::Any);
    assert_eq!(model(&["-m", "demo"]).unwrap(), ModelRef::Name("demo".to_owned()));
    let hash = "0f".repeat(32);
    assert_eq!(model(&["-m", &hash]).unwrap(), ModelRef::Hash([0x0f; 32]));
    assert!(model(&["-m", "models/none"]).is_err());
}

#[test]
fn numbers_out_of_bounds_are_refused() {
    let sides = "must be a multiple of 8 from 8 to 16384";
    for (arguments, sentence) in [
        (["--width", "0"], format!("width is 0 px, {sides}: use 8")),
        (["--width", "511"], format!("width is 511 px, {sides}: use 504 or 512")),
        (["--width", "100000"], format!("width is 100000 px, {sides}: use 16384")),
        (["--denoise", "1.5"], "denoising strength is 1.5, must be 0.01 to 1".to_owned()),
        (["--steps", "0"], "steps is 0, must be 1 to 1000".to_owned()),
        (["--scale", "0.5"], "scale is 0.5, must be 1 to 16".to_owned()),
        (["--tile-batch", "0"], "tile batch is 0, must be 1 to 64".to_owned()),
        (["--worker-wait", "0"], "--worker-wait is 0 seconds, must be above 0 and at most 86400".to_owned()),
        (
            ["--worker-wait", "NaN"],
            "--worker-wait is NaN seconds, must be above 0 and at most 86400".to_owned(),
        ),
    ] {
        assert_eq!(refusal(&["x", arguments[0], arguments[1]]), sentence);
    }
}

#[test]
fn tiles_that_make_no_sense_are_refused() {
    assert_eq!(
        refusal(&["x", "--tile", "32x24", "--overlap", "24"]),
        "tile overlap is 24 latent px, must be smaller than the tile, which is 24 latent px"
    );
    for text in ["", "big", "96x", "96x64x32", "-8"] {
        let flag = format!("--tile={text}");
        assert_eq!(
            refusal(&["x", &flag]),
            format!(
                "--tile {text:?} is no tile: give one side or WIDTHxHEIGHT in latent px, as in 96 or 96x64"
            )
        );
    }
    // A tile larger than the canvas is fine: it is one tile.
    job(&["x", "--tile", "1024"]);
}

#[test]
fn unknown_names_get_the_nearest_one() {
    for (flag, name, hint) in [
        ("--sampler", "eulr-a", "did you mean \"euler-a\"?"),
        ("--sampler", "DPM++ 2S a", "did you mean \"dpmpp-2m\"?"),
        ("--schedule", "karas", "did you mean \"karras\"?"),
        ("--upscaler", "lancos", "did you mean \"lanczos\"?"),
        ("--upscaler", "sim2", "did you mean \"sim-2x\"?"),
        ("--rng", "cpp", "did you mean \"cpu\"?"),
        ("--vae", "blnd", "did you mean \"blend\"?"),
        ("--tile-method", "mixtur", "did you mean \"mixture\"?"),
        ("--tile-grid", "strid", "did you mean \"stride\"?"),
        ("--strength-steps", "diffuser", "did you mean \"diffusers\"?"),
    ] {
        let sentence = refusal(&["x", flag, name]);
        assert!(sentence.starts_with("unknown ") && sentence.contains(hint), "{sentence}");
    }
    assert_eq!(
        refusal(&["x", "--sampler", "DPM++ 2M Karras", "--schedule", "normal"]),
        "--sampler \"DPM++ 2M Karras\" already says the schedule karras, and --schedule says normal: give one of them"
    );
}

#[test]
fn upscalers_are_named_or_files_of_real_devices() {
    assert!(refusal(&["x", "--upscaler", "net.onnx"]).starts_with("simulated devices run no files"));
    assert!(refusal(&["x", "--upscaler", "nets/4x"]).contains("must be 1 to 255 bytes"));
    let tile = refusal(&["x", "--upscale-tile", "32"]);
    assert_eq!(tile, "upscale tile is 32, must be 64 to 4096");
}

#[test]
fn a_forgotten_prompt_is_noticed() {
    let sentence = "no prompt: say what to draw, as in \"a lighthouse at dusk\"";
    assert_eq!(refusal(&[]), sentence);
    assert_eq!(job(&[""]), simulated_default(""));
}

#[test]
fn images_that_cannot_be_used_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("in.png");
    let name = path.to_str().unwrap();
    assert_eq!(refusal(&["x", "-i", name]), format!("cannot read the image {name}: there is no such file"));
    fs::write(&path, "not a picture").unwrap();
    let sentence = refusal(&["x", "-i", name]);
    assert!(
        sentence.starts_with(&format!("cannot use the image {name}: the file is not an image")),
        "{sentence}"
    );
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(refusal(&["x", "-i", name]), format!("cannot read the image {name}: it is a folder"));
    fs::remove_dir(&path).unwrap();
    // A file of nothing but a length: no byte of it is kept on the disk.
    let file = fs::File::create(&path).unwrap();
    file.set_len(limits::IMAGE_FILE as u64 + 1).unwrap();
    let sentence = refusal(&["x", "-i", name]);
    assert_eq!(
        sentence,
        format!("the image {name} has more than 100663296 bytes: save it as JPEG, or smaller")
    );
}

#[test]
fn outputs_that_cannot_be_written_are_refused() {
    let folder = TempDir::new().unwrap();
    let named = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let absent = named("none/out.png");
    assert_eq!(
        refusal(&["x", "-o", &absent]),
        format!("cannot write {absent}: its folder does not exist: create it first")
    );
    let film = named("out.mp4");
    assert_eq!(
        refusal(&["x", "-o", &film]),
        format!(
            "--output {film}: a picture ends in .png, .jpg, .jpeg, .webp, .tif or .tiff, not in \"mp4\": choose one of them"
        )
    );
    let dump = named("out.bin");
    assert_eq!(refusal(&["x", "--dump", &dump]), format!("--dump {dump} must end in .safetensors"));
    let inner = named("folder.png");
    fs::create_dir(&inner).unwrap();
    assert_eq!(refusal(&["x", "-o", &inner]), format!("--output {inner} is a folder: name a file in it"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left behind");
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_no_files_is_refused() {
    // Nobody, root included, can make files there.
    assert_eq!(
        refusal(&["x", "-o", "/proc/out.png"]),
        "cannot write /proc/out.png: its folder is not writable: choose another one"
    );
}

#[test]
fn models_and_libraries_that_are_not_there_are_refused() {
    let sentence = refusal(&["x", "--workers", "cpu:1"]);
    assert!(sentence.starts_with("no model given and no demo model found: name a model folder with -m DIR"));
    let folder = TempDir::new().unwrap();
    let model = folder.path().to_str().unwrap();
    let sentence = refusal(&["x", "--workers", "2", "-m", model]);
    assert_eq!(sentence, format!("{model} is no model folder: it has no model_index.json"));
    assert_eq!(
        refusal(&["x", "-m", model]),
        "simulated devices serve a model of their own: leave -m out, or name real devices with --workers"
    );
    for text in ["https://a", "nonsense", "http://a"] {
        let sentence = refusal(&["x", "--coordinator", text]);
        assert!(sentence.starts_with(&format!("coordinator {text:?}")), "{sentence}");
    }
}

#[test]
fn a_plan_needs_no_cluster_and_no_library() {
    let folder = TempDir::new().unwrap();
    let line = ["tessera", "plan", "x", "--workers", "sim:5"];
    let Command::Plan(args) = Cli::try_parse_from(line).unwrap().command else { panic!("not a plan") };
    let planned = plan(*args, &bare(folder.path())).unwrap().here().unwrap();
    assert!(planned.devices.is_empty());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a plan wrote something");
}

#[test]
fn the_prompt_comes_from_standard_input_when_asked() {
    let args = render_args(&["-"]).job.picture;
    assert_eq!(prompt::read(&args, "two\nlines\r\n".as_bytes()).unwrap(), "two\nlines");
    let error = prompt::read(&args, [0xff_u8].as_slice()).unwrap_err().to_string();
    assert_eq!(error, "cannot read the prompt from standard input: it is not UTF-8 text");
    let endless = std::io::repeat(b'x');
    let text = prompt::read(&args, endless).unwrap();
    assert_eq!(text.len(), limits::PROMPT + 1, "the job's own check refuses this");
}

#[test]
fn the_ending_of_the_output_is_its_format() {
    let folder = TempDir::new().unwrap();
    let named = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let format = |name: &str, flags: &[&str]| {
        let name = named(name);
        job(&[&["x", "-o", &name], flags].concat()).format
    };
    assert_eq!(format("a.png", &[]), Format::Png(Depth::Eight));
    assert_eq!(format("a.PNG", &["--bits", "16"]), Format::Png(Depth::Sixteen));
    assert_eq!(format("a.jpeg", &["--quality", "92"]), Format::Jpeg(Quality::new(92).unwrap()));
    assert_eq!(format("a.jpg", &[]), Format::Jpeg(Quality::new(80).unwrap()));
    assert_eq!(format("a.webp", &[]), Format::WebP);
    assert_eq!(format("a.tif", &["--bits", "16"]), Format::Tiff(Depth::Sixteen));
    assert_eq!(job(&["x", "--bits", "16"]).format, Format::Png(Depth::Sixteen));
    let refused = |name: &str, flags: &[&str]| {
        let name = named(name);
        let sentence = refusal(&[&["x", "-o", &name], flags].concat());
        sentence.strip_prefix(&format!("--output {name}: ")).unwrap().to_owned()
    };
    assert!(refused("a.jpg", &["--bits", "16"]).contains("a jpeg cannot have 16 bits"));
    assert!(refused("a.png", &["--bits", "12"]).contains("only 8 or 16"));
    assert!(refused("a.png", &["--quality", "80"]).contains("takes no quality"));
    assert!(refused("a.jpg", &["--quality", "101"]).contains("from 1 to 100"));
    assert!(refused("a", &[]).contains("not in \"\""));
    let large = ["x", "-o", &named("a.webp"), "--width", "1024", "--height", "1024", "--scale", "16"];
    assert!(refusal(&large).contains("at most 16383 px a side"));
}

#[test]
fn a_finished_picture_is_fetched_under_its_own_ending() {
    let job = "00000000000000ff".parse().unwrap();
    let check = |format, name: &str| check_fetched(job, format, Path::new(name));
    assert!(check(Format::Jpeg(Quality::default()), "a.jpeg").is_ok());
    assert!(check(Format::Tiff(Depth::Sixteen), "a.tif").is_ok());
    let error = check(Format::WebP, "a.png").unwrap_err().to_string();
    let expected =
        "--output a.png does not end as job 00000000000000ff does, whose picture is a webp: name it .webp";
    assert_eq!(error, expected);
}
