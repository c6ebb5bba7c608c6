//! The exact decode and encode: tiles of any size give what the untiled network gives, through the whole cluster.

use image::ImageFormat;
use tessera_tests::{
    cluster::Cluster,
    figures::say,
    model, picture,
    render::{Render, Rendered},
    tensors::Tensors,
};

/// A canvas of 40x32 latent px.
const CANVAS: &str = "--width 160 --height 128 --steps 2 --hires-steps 2 --scale 2 --upscaler latent";

fn decoded(flags: &str) -> Rendered {
    let render = Render::new("a photo of a cat").model(&model::tiny()).flags(CANVAS).flags(flags);
    render.args(["--workers", "cpu:1,cpu:1"]).dump().rendered()
}

/// Largest difference of the pictures before rounding.
fn distance(a: &Tensors, b: &Tensors) -> f64 {
    a.get("image").max_abs_difference(&b.get("image"))
}

/// Share of the 8-bit samples that differ, and by how much at most.
fn samples(a: &Rendered, b: &Rendered) -> (f64, u8) {
    let (a, b) = (picture::pixels(&a.picture()), picture::pixels(&b.picture()));
    let apart = || a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b));
    let differing = u32::try_from(apart().filter(|&apart| 0 < apart).count()).expect("a small picture");
    let all = u32::try_from(a.as_raw().len()).expect("a small picture");
    (f64::from(differing) / f64::from(all), apart().max().unwrap_or(0))
}

#[test]
fn tiles_of_any_size_give_the_untiled_decode() {
    let untiled = decoded("--vae off");
    let exact = decoded("--vae-tile 16");
    assert_eq!(exact.report().planned("decode")["tiles"], 6);
    let blended = distance(&untiled.tensors(), &decoded("--vae blend --vae-tile 16").tensors());
    let (apart, (share, most)) = (distance(&untiled.tensors(), &exact.tensors()), samples(&untiled, &exact));
    say(format_args!(
        "exact decode in 6 tiles against the untiled graph: {apart:.1e}; 8-bit samples that differ {:.3} %, by {most} \
         (blended tiles: {blended:.1e})",
        100.0 * share
    ));
    assert!(apart <= 3e-4 && share <= 1e-3 && most <= 1);
    assert!(100.0 * apart < blended, "or this picture shows nothing");
    for tile in [24, 32] {
        let other = decoded(&format!("--vae-tile {tile}"));
        let between = distance(&exact.tensors(), &other.tensors());
        say(format_args!("exact decode, tiles of {tile} against tiles of 16: {between:.1e}"));
        assert!(between <= 5e-6);
    }
}

/// A picture of 320x256 px is encoded whose seams would show.
const ENCODED: &str = "--image input --steps 2 --hires-steps 1 --scale 1 --upscaler lanczos";

fn encoding(workers: &str, flags: &str) -> Render {
    let input = picture::bytes(&picture::scene(320, 256), ImageFormat::Png);
    let render = Render::new("a photo of a cat").model(&model::tiny()).file("input", &input);
    render.flags(ENCODED).flags(flags).args(["--workers", workers])
}

#[test]
fn tiles_of_any_size_give_the_untiled_encode() {
    let latent = |flags: &str| {
        let rendered = encoding("cpu:1,cpu:1", flags).dump().rendered();
        rendered.tensors().get("upscaled_latent")
    };
    let (whole, one) = (latent("--vae off"), latent("--vae-encode-tile 512"));
    let blended = whole.max_abs_difference(&latent("--vae blend --vae-encode-tile 128"));
    for tile in [128, 192] {
        let cut = latent(&format!("--vae-encode-tile {tile}"));
        let (apart, between) = (whole.max_abs_difference(&cut), one.max_abs_difference(&cut));
        say(format_args!(
            "exact encode in tiles of {tile} px against the untiled graph: {apart:.1e}, against one tile: {between:.1e} \
             (blended tiles of 128 px: {blended:.1e})"
        ));
        assert!(apart <= 2e-5 && between <= 5e-6);
        assert!(100.0 * apart < blended, "or this picture shows nothing");
    }
}

#[test]
fn any_number_of_workers_encodes_the_same_bytes() {
    let hash = |workers: &str| encoding(workers, "--vae-encode-tile 128").rendered().hash();
    let one = hash("cpu:1");
    assert_eq!(hash("cpu:1,cpu:1,cpu:1"), one);
    assert_eq!(hash("cpu:1,cpu:1,cpu:1,cpu:1,cpu:1"), one);
}

/// One latent of 80x64 latent px, 640x512 px, of a picture as the demo model is meant to draw them, decoded by it.
fn demo(flags: &str) -> Rendered {
    let render =
        Render::new("a red house at noon, green meadow, pine trees").model(&model::demo()).flags(flags);
    let flags = "--width 160 --height 128 --steps 12 --cfg 4 --scale 4 --upscaler lanczos --denoise 0.3 --hires-steps 10";
    render.flags(flags).args(["--workers", "cpu:1,cpu:1"]).dump().rendered()
}

#[test]
fn a_fast_decode_is_near_the_exact_one() {
    let (exact, fast) = (demo("--vae-tile 32"), demo("--vae fast --vae-tile 32"));
    let (a, b) = (exact.tensors().get("image"), fast.tensors().get("image"));
    let (shifts, psnr) = a.apart(&b);
    let shift = shifts.iter().fold(0.0, |most: f64, shift| most.max(shift.abs()));
    say(format_args!(
        "fast decode of the demo model in tiles of 32 against the exact one: {psnr:.1} dB, mean shift {:.2} of 255",
        255.0 * shift
    ));
    assert!(shift <= 1.0 / 255.0 && 40.0 <= psnr, "{shift} {psnr}");
    let calls = fast.report().planned("decode")["model_calls"].clone();
    assert_eq!(calls, 2, "one estimate and one run of each tile");
}

#[test]
fn tiles_that_wait_on_disk_give_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let spilled = |above: &str| {
        let spill = format!("--vae-tile 16 --spill-above {above} --spill-folder {}", folder.path().display());
        decoded(&spill).hash()
    };
    assert_eq!(spilled("0"), spilled("1000"));
    assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 0, "nothing is left");
}

#[test]
fn a_folder_for_tiles_that_is_none_is_refused() {
    let render = Render::new("a photo of a cat").model(&model::tiny()).flags(CANVAS);
    let failed =
        render.flags("--workers cpu:1 --vae-tile 16 --spill-above 0 --spill-folder /nowhere").failed();
    let error = failed.ended.error();
    assert!(error.contains("/nowhere") && error.contains("--spill-folder"), "{error}");
    assert!(error.contains("there is no such folder"), "{error}");
}

/// A worker that may take less than a batch needs: the pass begins again with fewer tiles in a call.
#[test]
#[cfg(target_os = "linux")]
fn a_worker_without_memory_denoises_fewer_tiles_in_a_call() {
    let mut cluster = Cluster::start(&[]);
    cluster.add_worker("cpu:1", Some(&model::tiny()));
    let denoised = |batch: &str| -> Rendered {
        let canvas =
            "--width 2048 --height 2048 --steps 1 --scale 1 --tile-base --tile 64 --overlap 0 --vae-tile 16";
        let render = Render::new("a photo of a cat").flags(canvas);
        render.args(["--coordinator", cluster.url(), "--tile-batch", batch]).rendered()
    };
    // All networks are loaded before memory is short.
    let single = denoised("1");
    cluster.workers[0].limit_memory(60 << 20);
    let relieved = denoised("16");
    let notes = relieved.report().notes();
    say(format_args!("{notes:?}"));
    let note = "had no memory for 16 tiles in a call: the base stage begins again with 8";
    assert!(notes.iter().any(|said| said.contains(note)), "{notes:?}");
    let (share, most) = samples(&single, &relieved);
    assert!(share <= 1e-3 && most <= 1, "{share} of the samples differ, by up to {most}");
}

/// A worker that may take less than one tile needs: the decode begins again in smaller ones, and its picture is theirs.
#[test]
#[cfg(target_os = "linux")]
fn a_worker_without_memory_decodes_in_smaller_tiles() {
    let mut cluster = Cluster::start(&[]);
    cluster.add_worker("cpu:1", Some(&model::tiny()));
    let decoded = |tile: &str| -> Rendered {
        let canvas = "--width 1024 --height 1024 --steps 1 --scale 1 --tile-base --tile 64 --overlap 0";
        let render = Render::new("a photo of a cat").flags(canvas);
        render.args(["--coordinator", cluster.url(), "--vae-tile", tile]).rendered()
    };
    // All networks are loaded before memory is short.
    let small = decoded("32");
    cluster.workers[0].limit_memory(100 << 20);
    let relieved = decoded("128");
    let notes = relieved.report().notes();
    let note = notes.iter().find(|note| note.contains("had no memory for vae tiles of 128 latent px"));
    say(format_args!("{notes:?}"));
    assert!(note.is_some(), "{notes:?}");
    let (share, most) = samples(&small, &relieved);
    assert!(share <= 1e-3 && most <= 1, "{share} of the samples differ, by up to {most}");
}
