//! Model folders that are none, of another kind, or damaged.

use std::{fs, path::Path};

use tempfile::TempDir;
use tessera_tests::{model, render::Render};

use super::{refused, says};

fn refusal(folder: &Path) -> String {
    let render = Render::new("a cat").flags("--width 64 --height 64 --steps 1 --scale 1 --workers 2");
    refused(render.model(folder))
}

/// A copy of the tiny model after `damage`.
fn damaged(damage: impl FnOnce(&Path)) -> TempDir {
    let copy = model::copy_of_tiny();
    damage(copy.path());
    copy
}

#[test]
fn no_folder() {
    says(&refusal(Path::new("no/such/folder")), &["no/such/folder", "does not exist"]);
    let empty = tempfile::tempdir().expect("a temporary folder");
    says(&refusal(empty.path()), &["is no model folder", "model_index.json"]);
}

#[test]
fn another_architecture() {
    let folder = damaged(|folder| {
        let index = folder.join("model_index.json");
        let text = fs::read_to_string(&index).expect("an index");
        let other = text.replace("StableDiffusionPipeline", "StableDiffusionXLPipeline");
        assert_ne!(text, other, "the class must stand in the index");
        fs::write(index, other).expect("a temporary file");
    });
    says(&refusal(folder.path()), &["StableDiffusionXLPipeline", "only Stable Diffusion 1.x"]);
}

/// Only the networks of SDXL, no index that names its class.
#[test]
fn the_unet_of_another_architecture() {
    let folder = damaged(|folder| {
        let from = tessera_tests::root().join("tests/models/tiny-sdxl/unet");
        for file in model::files_below(&from) {
            let name = file.file_name().expect("a file has a name");
            fs::copy(&file, folder.join("unet").join(name)).expect("a temporary file");
        }
    });
    says(&refusal(folder.path()), &["unet"]);
}

#[test]
fn truncated_networks() {
    for network in ["unet", "text_encoder", "vae_decoder", "vae_encoder"] {
        let folder = damaged(|folder| {
            let path = folder.join(network).join("model.onnx");
            let bytes = fs::read(&path).expect("a network");
            fs::write(path, &bytes[..bytes.len() / 2]).expect("a temporary file");
        });
        says(&refusal(folder.path()), &[&format!("{network}/model.onnx"), "damaged"]);
    }
}

#[test]
fn a_network_that_is_no_network() {
    for bytes in [&b""[..], b"this is not an ONNX file", &[0xff; 4096]] {
        let folder = damaged(|folder| fs::write(folder.join("unet/model.onnx"), bytes).expect("a file"));
        says(&refusal(folder.path()), &["unet/model.onnx"]);
    }
}

#[test]
fn parts_that_are_missing() {
    for (part, words) in [
        ("tokenizer", "tokenizer.json, or vocab.json and merges.txt"),
        ("unet", "unet/model.onnx"),
        ("vae_decoder", "vae_decoder/model.onnx"),
        ("text_encoder", "text_encoder/model.onnx"),
        ("scheduler", "scheduler"),
    ] {
        let folder = damaged(|folder| fs::remove_dir_all(folder.join(part)).expect("a folder"));
        says(&refusal(folder.path()), &[words]);
    }
}

#[test]
fn a_config_file_that_is_no_json() {
    let folder = damaged(|folder| fs::write(folder.join("unet/config.json"), "{").expect("a file"));
    says(&refusal(folder.path()), &["unet/config.json"]);
}

#[test]
fn a_field_that_does_not_fit() {
    let folder = damaged(|folder| {
        let path = folder.join("scheduler/scheduler_config.json");
        let text = fs::read_to_string(&path).expect("a config");
        let other = text.replace("scaled_linear", "zigzag");
        assert_ne!(text, other, "the schedule must stand in the config");
        fs::write(path, other).expect("a temporary file");
    });
    says(&refusal(folder.path()), &["scheduler/scheduler_config.json", "beta_schedule", "zigzag"]);
}
