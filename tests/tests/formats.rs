//! Pictures of every format: what is in them, whoever computes them, and what is left where they cannot be written.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use image::DynamicImage;
use tessera_tests::{
    cluster::Cluster,
    picture,
    process::{Ended, Running, Signal},
    program,
    render::{LIMIT, Render},
    report,
};

/// Twelve tiles of the decoder in three rows.
const SMALL: &str = "--width 128 --height 96 --steps 1 --hires-steps 1 --scale 4 --seed 5 --vae-tile 16";

/// `tessera render` on simulated devices to this file.
fn to(name: &str, flags: &str) -> Render {
    let words = ["a harbour", "--workers", "sim:0,sim:0", "--output", name];
    Render::words(words).flags(SMALL).flags(flags)
}

fn compare(pictures: &[&Path], flags: &[&str]) -> serde_json::Value {
    let mut command = program::command();
    command.arg("compare").args(pictures).args(flags).arg("--json");
    let ended = Running::start(&mut command).wait(LIMIT);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    report::parse(&ended.stdout)
}

#[test]
fn every_format_holds_the_picture_and_its_texts() {
    let png = to("out.png", "").rendered();
    let original = png.file("out.png");
    let pixels = picture::pixels(&original);
    let text = picture::text(&original, "parameters").expect("a text");
    for (name, flags, bits) in [
        ("out.png", "--bits 16", 16),
        ("out.jpg", "", 8),
        ("out.JPEG", "--quality 95", 8),
        ("out.webp", "", 8),
        ("out.tif", "", 8),
        ("out.tiff", "--bits 16", 16),
    ] {
        let rendered = to(name, flags).rendered();
        let said = format!("{name}: 512x384 px");
        assert!(rendered.ended.stdout.contains(&said), "{:?}", rendered.ended);
        let file = rendered.file(name);
        let image = image::open(&file).expect("a picture");
        assert_eq!((image.width(), image.height()), (512, 384), "{name}");
        assert_eq!(matches!(image, DynamicImage::ImageRgb16(_)), bits == 16, "{name}");
        let is_exact = !name.to_lowercase().contains(".jp");
        if is_exact && bits == 8 {
            assert!(image.to_rgb8() == pixels, "{name}");
        }
        let compared = compare(&[&original, &file], &[]);
        assert_eq!(compared["pictures"][1]["bits"], bits, "{name}");
        let seams = compare(&[&file], &["--seams"]);
        assert!(!seams["seams"][0]["tiles"].is_null(), "{name} names its own tiles: {seams}");
        let bytes = fs::read(&file).expect("a file");
        let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
        let wide = utf16("a harbour");
        assert!(text.starts_with("a harbour"));
        assert!(has("a harbour") || bytes.windows(wide.len()).any(|part| part == wide), "{name}");
    }
}

#[test]
fn sixteen_bits_are_the_decoded_values() {
    for vae in ["exact", "blend", "off"] {
        let rendered = to("out.png", &format!("--bits 16 --vae {vae}")).dump().rendered();
        let samples = image::open(rendered.file("out.png")).expect("a picture").to_rgb16().into_raw();
        let values = rendered.tensors().get("image");
        let plane = values.values.len() / 3;
        for (index, &sample) in samples.iter().enumerate() {
            let value = f64::from(values.values[index % 3 * plane + index / 3]);
            let level = ((value + 1.0) * 32_767.5).clamp(0.0, 65_535.0);
            // Half a level, and what f32 adds at 65,535: 2^-8.
            assert!((f64::from(sample) - level).abs() < 0.51, "{vae}: sample {index}");
        }
    }
}

#[test]
fn whoever_computes_writes_the_same_bytes() {
    for name in ["out.jpg", "out.webp", "out.tiff"] {
        let bytes = |workers: &str| {
            let words = ["a harbour", "--workers", workers, "--output", name];
            let rendered = Render::words(words).flags(SMALL).rendered();
            picture::hash(&rendered.file(name))
        };
        let expected = bytes("sim:0");
        assert_eq!(bytes("sim:3,sim:1,sim:0"), expected, "{name}");
        let mut cluster = Cluster::start(&[]).with_workers(&["sim:15", "sim:15", "sim:15"], None);
        let words = ["a harbour", "--output", name, "--json", "--coordinator", cluster.url()];
        let pending = Render::words(words).flags(SMALL).start();
        pending.reached("decode", 5);
        cluster.workers[0].signal(Signal::Kill);
        let rendered = pending.rendered();
        assert_eq!(picture::hash(&rendered.file(name)), expected, "{name}, one killed");
        assert!(files(cluster.artifacts()).iter().all(|name| !name.ends_with(".part")));
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_job_that_ends_early_leaves_no_file() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:40"], None);
    let words = ["a harbour", "--output", "out.png", "--json", "--coordinator", cluster.url()];
    // The file begins with the first rows, when two thirds of the tiles are still to come.
    let mut pending = Render::words(words).flags(SMALL).start();
    pending.reached("decode", 5);
    let deadline = Instant::now() + Duration::from_secs(60);
    while files(cluster.artifacts()).is_empty() {
        assert!(Instant::now() < deadline, "no file has begun");
        thread::sleep(Duration::from_millis(5));
    }
    let begun = files(cluster.artifacts());
    assert!(begun.len() == 1 && begun[0].ends_with(".part"), "{begun:?}");
    pending.running.signal(Signal::Interrupt);
    let failed = pending.failed();
    assert_eq!((failed.ended.code, failed.left), (Some(130), Vec::new()));
    let deadline = Instant::now() + Duration::from_secs(20);
    while !files(cluster.artifacts()).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", files(cluster.artifacts()));
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_folder_that_is_gone_pauses_the_job_in_a_sentence() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:0"], None);
    fs::remove_dir(cluster.artifacts()).expect("an empty folder");
    let words: Vec<_> = ["submit", "a harbour"].into_iter().chain(SMALL.split_whitespace()).collect();
    let submitted = cluster.run(&words);
    let job = submitted.stdout.trim();
    let listed = || cluster.run(&["jobs"]).stdout;
    while !listed().contains("job's files cannot be stored") {
        thread::sleep(Duration::from_millis(50));
    }
    fs::create_dir(cluster.artifacts()).expect("the folder again");
    assert_eq!(cluster.run(&["watch", job]).code, Some(0));
    assert!(!listed().contains("cannot be stored"), "it is over, and done: {}", listed());
}

#[test]
fn a_job_is_fetched_in_the_format_that_it_was_submitted_with() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:0"], None);
    let run = |words: &[&str]| -> Ended { cluster.run(words) };
    let small: Vec<_> = ["submit", "a harbour"].into_iter().chain(SMALL.split_whitespace()).collect();
    let refused = run(&[&small[..], &["--format", "gif"]].concat());
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let submitted = run(&[&small[..], &["--format", "jpg", "--quality", "60"]].concat());
    let job = submitted.stdout.trim();
    assert_eq!(run(&["watch", job]).code, Some(0));
    let mut kept = files(cluster.artifacts());
    kept.sort();
    assert_eq!(kept, [format!("{job}.jpg"), format!("{job}.json")]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let refused = run(&["fetch", job, "-o", &path("a.png")]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.error().ends_with("whose picture is a jpeg: name it .jpg"), "{refused:?}");
    let fetched = run(&["fetch", job, "-o", &path("a.jpeg")]);
    assert!(fetched.stdout.ends_with("a.jpeg: 512x384 px"), "{fetched:?}");
    let unnamed = Running::start(cluster.command(&["fetch", job]).current_dir(folder.path())).wait(LIMIT);
    assert_eq!(unnamed.code, Some(0), "{unnamed:?}");
    let name = format!("tessera-{job}.jpg");
    assert_eq!(picture::hash(&folder.path().join(name)), picture::hash(Path::new(&path("a.jpeg"))));
}
