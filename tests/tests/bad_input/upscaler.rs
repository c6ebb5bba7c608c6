//! Upscalers that are unknown, or none.

use std::{ffi::OsStr, path::Path};

use tessera_tests::{model, render::Render};

use super::{refused, says, small};

/// A render with a file called `x.onnx` of these bytes as its upscaler.
fn with_file(bytes: &[u8]) -> String {
    refused(small().file("x.onnx", bytes).args(["--upscaler", "x.onnx"]))
}

fn part(name: &str) -> Vec<u8> {
    let file = model::tiny().join(name).join("model.onnx");
    std::fs::read(file).expect("a part of the tiny model")
}

#[test]
fn a_name_that_the_model_does_not_have() {
    let render = |name: &str| {
        Render::tiny("a cat").flags("--width 64 --height 64 --steps 1").args(["--upscaler", name])
    };
    let sentence = refused(render("tiny-rrdbnet-4x"));
    says(&sentence, &["unknown upscaler", "did you mean \"tiny-rrdbnet-x4\"?", "known: lanczos, latent"]);
    says(&refused(render("../tiny-rrdbnet-x4")), &["upscaler name", "without its path"]);
    says(&refused(render("absent.onnx")), &["absent.onnx cannot be read"]);
}

#[test]
fn files_that_are_no_upscalers() {
    says(&with_file(b"no graph at all"), &["x.onnx", "damaged ONNX file"]);
    says(&with_file(&part("vae_decoder")), &["x.onnx", "as an upscaler, its input"]);
    says(&with_file(&part("unet")), &["x.onnx", "an upscaler takes one picture, it takes 3 inputs"]);
}

#[test]
fn another_network_of_the_same_name() {
    let bytes = std::fs::read(model::upscaler("tiny-compact-x4")).expect("a tiny upscaler");
    let name = "tiny-rrdbnet-x4.onnx";
    let sentence = refused(small().file(name, &bytes).args(["--upscaler", name]));
    says(&sentence, &[name, "another network", "give the file another name"]);
}

#[test]
fn a_file_where_nobody_can_load_it() {
    let file = model::upscaler("tiny-compact-x4");
    let with = |words: &[&str], file: &Path| {
        let render = Render::new("a cat").args(words).args([OsStr::new("--upscaler"), file.as_os_str()]);
        refused(render)
    };
    says(&with(&["--workers", "sim:0"], &file), &["simulated devices run no files", "sim-2x"]);
    let elsewhere = with(&["--coordinator", "http://127.0.0.1:1"], &file);
    says(&elsewhere, &["a cluster's workers load their own", "tessera worker --upscaler FILE"]);
    says(
        &refused(Render::tiny("a cat").flags("--upscaler tiny-rrdbnet-x4 --upscale-tile 5000")),
        &["upscale tile is 5000", "64 to 4096"],
    );
}
