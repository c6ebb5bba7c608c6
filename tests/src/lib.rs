//! The harness of the end-to-end tests: the real program, its processes, their faults, and what they leave behind.
//!
//! # Layout
//! - [`program`]: the executable, built when needed; [`process`]: one run of it, with a time limit.
//! - [`render`]: `tessera render` with its files; [`cluster`]: a coordinator and workers in processes of their own.
//! - [`picture`], [`tensors`], [`report`]: what comes out; [`golden`], [`model`]: what goes in and what is expected.
//! - [`figures`]: numbers that are printed and bounded. [`http`]: one question to a web server. [`fuzz`]: damaged input.
//!
//! All of it panics where a test should fail: there is nobody to mend an error.

pub mod cluster;
pub mod figures;
pub mod fuzz;
pub mod golden;
pub mod http;
pub mod model;
pub mod picture;
#[cfg(unix)]
pub mod postgres;
pub mod process;
pub mod program;
pub mod proxy;
pub mod render;
pub mod report;
#[cfg(unix)]
pub mod s3;
pub mod tensors;

use std::path::{Path, PathBuf};

/// The top folder of the project.
#[must_use]
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests' folder lies in the project").to_owned()
}
