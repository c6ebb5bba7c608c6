//! Pictures that cannot be read and places that cannot be written.

use image::ImageFormat;
use tessera_tests::{picture, render::Render};

use super::{refused, says, small};

fn with_image(name: &str, bytes: &[u8]) -> String {
    let render = Render::tiny("a cat").file(name, bytes).args(["--image", name, "--steps", "1"]);
    refused(render)
}

#[test]
fn images_that_are_none() {
    says(&with_image("text.png", b"no picture at all"), &["text.png", "not an image", "png, jpeg"]);
    says(&with_image("empty.jpg", b""), &["empty.jpg"]);
    let whole = picture::bytes(&picture::scene(64, 64), ImageFormat::Png);
    says(&with_image("half.png", &whole[..whole.len() / 2]), &["half.png"]);
    let named = |name: &str| refused(Render::tiny("a cat").args(["--image", name, "--steps", "1"]));
    says(&named("absent.png"), &["absent.png", "no such file"]);
    says(&named("."), &["image .", "folder"]);
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    let bomb = picture::bomb(20_000, 20_000);
    let started = std::time::Instant::now();
    let sentence = with_image("bomb.png", &bomb);
    says(&sentence, &["bomb.png", "20000x20000 px", "64 Mpx"]);
    assert!(started.elapsed().as_secs() < 20, "it must not be decoded");
}

#[test]
fn an_image_and_a_base_size() {
    let picture = picture::bytes(&picture::scene(64, 64), ImageFormat::Png);
    let sentence = refused(small().file("a.png", &picture).args(["--image", "a.png"]));
    says(&sentence, &["base size", "image"]);
}

/// `tessera render` with these places for its files, and nothing else wrong.
fn to(words: &[&str]) -> String {
    let render = Render::words(["a cat", "--width", "64", "--height", "64", "--scale", "1", "--steps", "1"]);
    refused(render.model(&tessera_tests::model::tiny()).file("plain", b"").args(words))
}

#[test]
fn places_that_cannot_be_written() {
    says(&to(&["--output", "no/out.png"]), &["no/out.png", "does not exist"]);
    says(&to(&["--output", "plain/out.png"]), &["plain/out.png", "no folder"]);
    says(&to(&["--output", "out.gif"]), &["out.gif", ".png, .jpg, .jpeg, .webp, .tif or .tiff", "\"gif\""]);
    says(&to(&["--output", "out.png", "--report", "no/report.json"]), &["no/report.json", "does not exist"]);
    says(
        &to(&["--output", "out.png", "--dump", "no/d.safetensors"]),
        &["no/d.safetensors", "does not exist"],
    );
}

/// A folder that even the system's administrator, whom the permission bits do not stop, cannot write to.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_is_read_only() {
    says(&to(&["--output", "/proc/out.png"]), &["/proc/out.png", "not writable"]);
}

#[test]
fn formats_that_cannot_hold_the_picture() {
    says(&to(&["--output", "out.jpg", "--bits", "16"]), &["out.jpg", "16 bits", ".png and .tiff"]);
    says(&to(&["--output", "out.webp", "--quality", "90"]), &["out.webp", "takes no quality"]);
    says(&to(&["--output", "out.jpg", "--quality", "0"]), &["out.jpg", "from 1 to 100"]);
    let large = |scale| {
        let words = ["a harbour", "--workers", "sim:0", "--width", "1024", "--height", "1024"];
        refused(Render::words(words).args(["--output", "out.webp", "--scale", scale]))
    };
    says(&large("16"), &["16383 px a side", "16384x16384 px", ".png or .tiff"]);
    says(&large("12"), &["12288x12288 px", "1440 MiB", "the limit is 1024 MiB"]);
}
