//! Pictures to start from, and every way to enlarge.

use image::ImageFormat;
use tessera_tests::{picture, render::Render, report::Report};

/// Enlarges a file `input` by `flags` with the tiny model; returns the size of the result and the report.
fn enlarged(format: ImageFormat, (width, height): (u32, u32), flags: &str) -> ((u32, u32), Report) {
    let bytes = picture::bytes(&picture::scene(width, height), format);
    let rendered = Render::tiny("a harbour")
        .file("input", &bytes)
        .args(["--image", "input"])
        .flags("--steps 2 --tile 16 --denoise 0.3")
        .flags(flags)
        .rendered();
    let size = picture::pixels(&rendered.picture()).dimensions();
    (size, rendered.report())
}

#[test]
fn a_png_is_enlarged() {
    let (size, report) = enlarged(ImageFormat::Png, (96, 64), "--scale 2 --upscaler lanczos");
    assert_eq!(size, (192, 128));
    assert!(0.0 < report.stage("upscale", "tasks"), "the encoder must have run");
    let stages = report.at("/plan/stages").as_array().expect("stages are listed").clone();
    assert!(stages.iter().all(|stage| stage["stage"] != "base"), "the image is the base picture");
}

#[test]
fn a_jpeg_is_enlarged() {
    let (size, _) = enlarged(ImageFormat::Jpeg, (64, 96), "--scale 1.5 --upscaler latent");
    assert_eq!(size, (96, 144));
}

#[test]
fn a_size_that_is_no_multiple_of_8_is_brought_to_one_and_said() {
    for upscaler in ["lanczos", "latent"] {
        let (size, report) =
            enlarged(ImageFormat::Png, (101, 77), &format!("--scale 2 --upscaler {upscaler}"));
        assert!(size.0.is_multiple_of(8) && size.1.is_multiple_of(8), "{size:?}");
        assert!(size.0.abs_diff(202) < 8 && size.1.abs_diff(154) < 8, "{size:?}");
        let notes = report.notes();
        assert!(!notes.is_empty(), "{upscaler}: nothing is said about {size:?}");
    }
}

#[test]
fn an_image_is_only_redrawn_at_scale_1() {
    let (size, _) = enlarged(ImageFormat::Png, (64, 64), "--scale 1");
    assert_eq!(size, (64, 64));
}

#[test]
fn little_denoising_keeps_the_picture() {
    let scene = picture::scene(64, 64);
    let draw = |denoise: &str| {
        let rendered = Render::simulated("sim:0")
            .file("input.png", &picture::bytes(&scene, ImageFormat::Png))
            .args(["--image", "input.png", "--denoise", denoise])
            .flags("--scale 2 --upscaler lanczos --steps 4")
            .rendered();
        picture::pixels(&rendered.picture())
    };
    assert_ne!(draw("0.05"), draw("0.9"));
}

#[test]
fn every_upscaler_draws_a_picture_of_its_own() {
    let upscalers = [
        "lanczos",
        "latent",
        "latent-antialiased",
        "latent-bicubic",
        "latent-bicubic-antialiased",
        "latent-nearest",
        "latent-nearest-exact",
    ];
    let draw = |upscaler: &&str| {
        let rendered = Render::simulated("sim:0")
            .flags("--width 128 --height 96 --hires-width 184 --steps 2 --denoise 0.2 --upscaler")
            .args([upscaler])
            .rendered();
        assert_eq!(picture::pixels(&rendered.picture()).dimensions(), (184, 136), "{upscaler}");
        picture::pixels(&rendered.picture()).into_raw()
    };
    let mut pictures: Vec<_> = upscalers.iter().map(draw).collect();
    pictures.sort();
    pictures.dedup();
    // Antialiasing changes a bilinear filter only where it makes smaller; torch's antialiased bicubic has a kernel of its
    // own.
    assert_eq!(pictures.len(), upscalers.len() - 1, "some upscaler is another one");
}
