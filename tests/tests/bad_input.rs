//! Bad input: one sentence that says what is wrong, where, and what to do; exit code 2; no file left behind.

mod batch;
mod cluster;
mod files;
mod library;
mod model;
mod upscaler;
mod values;

use tessera_tests::{
    process::Ended,
    render::{Failed, Render},
};

/// A render of one step that would succeed, were it not for what is added to it.
fn small() -> Render {
    Render::tiny("a cat").flags("--width 64 --height 64 --steps 1 --scale 1")
}

/// Runs a render that must be refused; returns its sentence.
fn refused(render: Render) -> String {
    let Failed { ended, left } = render.failed();
    assert!(left.is_empty(), "{left:?} is left behind by {ended:?}");
    sentence(&ended)
}

/// The one sentence of a command that ended with exit code 2.
fn sentence(ended: &Ended) -> String {
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(!ended.stdout.contains("error"), "{ended:?}");
    let errors: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "one sentence: {ended:?}");
    assert_eq!(ended.stderr.lines().last(), errors.first().copied(), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    let sentence = ended.error();
    assert!(!sentence.ends_with('.') && sentence.len() < 500, "{sentence}");
    sentence.to_owned()
}

/// Asserts that a sentence has all these parts.
fn says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "{part:?} is missing in: {sentence}");
    }
}
