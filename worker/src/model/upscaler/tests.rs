//! Upscalers of a folder and from elsewhere, and what is none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::model::{
    Error, HashCache, ModelFolder,
    tests::{Copy, tiny, top},
};

fn tiny_upscaler(name: &str) -> PathBuf {
    top().join("tests/models/tiny-upscalers").join(name)
}

fn with_upscalers(folder: &Path, files: &[PathBuf]) -> Result<ModelFolder, Error> {
    ModelFolder::open(folder, files, &HashCache::unsaved())
}

#[test]
fn an_upscaler_from_elsewhere_counts_as_one_of_the_folder() {
    let file = tiny_upscaler("tiny-compact-x2.onnx");
    let joined = with_upscalers(&tiny(), std::slice::from_ref(&file)).unwrap();
    let names: Vec<_> = joined.facts().upscalers.iter().map(|upscaler| upscaler.name.as_str()).collect();
    assert_eq!(names, ["tiny-compact-x2", "tiny-rrdbnet-x4"]);
    assert_ne!(joined.facts().hash, with_upscalers(&tiny(), &[]).unwrap().facts().hash);
    let folder = Copy::new();
    fs::copy(&file, folder.root().join("upscalers/tiny-compact-x2.onnx")).unwrap();
    let inside = with_upscalers(&folder.root(), &[]).unwrap();
    assert_eq!(inside.facts().hash, joined.facts().hash, "the same networks are the same model");
    assert_eq!(inside.facts().upscalers, joined.facts().upscalers);
    let again = with_upscalers(&folder.root(), std::slice::from_ref(&file)).unwrap();
    assert_eq!(again.facts().hash, joined.facts().hash, "the same file twice is one network");
    let other = folder.root().join("tiny-rrdbnet-x4.onnx");
    fs::copy(&file, &other).unwrap();
    let text = with_upscalers(&folder.root(), &[other]).unwrap_err().to_string();
    assert!(text.contains("another network than the model's own upscaler \"tiny-rrdbnet-x4\""), "{text}");
}

#[test]
fn files_that_are_no_upscalers_are_refused_in_a_sentence() {
    let refusal = |file: PathBuf| with_upscalers(&tiny(), &[file]).unwrap_err().to_string();
    let part = |name: &str| {
        let copy = tempfile::tempdir().unwrap();
        let file = copy.path().join("x.onnx");
        fs::copy(tiny().join(name).join("model.onnx"), &file).unwrap();
        refusal(file)
    };
    assert!(part("vae_decoder").contains("as an upscaler, its input"), "{}", part("vae_decoder"));
    assert!(part("vae_encoder").contains("as an upscaler, its output"), "{}", part("vae_encoder"));
    assert!(part("unet").contains("an upscaler takes one picture, it takes 3 inputs"), "{}", part("unet"));
    assert!(refusal(tiny().join("unet/config.json")).contains("damaged ONNX file"));
    assert!(refusal(tiny().join("none.onnx")).contains("none.onnx cannot be read"));
    assert!(refusal(tiny()).contains("is no file"));
    let beside = top().join("tests/models/tiny-sd15-external/unet/model.onnx");
    assert!(refusal(beside).contains("keeps its weights in another file"));
}
