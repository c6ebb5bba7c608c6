//! ONNX Runtime libraries that are absent, too old, or none.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use tessera_tests::render::Render;

use super::{refused, says, small};

/// A library with ONNX Runtime's entry point that calls itself 1.10.0 and has no interface.
const OLD: &str = r#"
#[repr(C)]
pub struct Base {
    api: extern "C" fn(u32) -> *const u8,
    version: extern "C" fn() -> *const u8,
}
extern "C" fn api(_: u32) -> *const u8 {
    std::ptr::null()
}
extern "C" fn version() -> *const u8 {
    b"1.10.0\0".as_ptr()
}
static BASE: Base = Base { api, version };
#[unsafe(no_mangle)]
pub extern "C" fn OrtGetApiBase() -> *const Base {
    &BASE
}
"#;

fn old_library() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = folder.path().join("old.rs");
    fs::write(&source, OLD).expect("a temporary file");
    let library = folder.path().join("libonnxruntime.so");
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .args(["--edition", "2024", "--crate-type", "cdylib", "-o"])
        .args([&library, &source])
        .current_dir(tessera_tests::root())
        .output()
        .expect("there is a compiler");
    assert!(output.status.success(), "{output:?}");
    (folder, library)
}

fn with(library: &Path) -> String {
    refused(small().args([std::ffi::OsStr::new("--onnxruntime"), library.as_os_str()]))
}

#[test]
fn none_is_installed() {
    let home = tempfile::tempdir().expect("a temporary folder");
    // The system's own loader may know one: an empty path keeps it from the folders that it is told of.
    let render =
        small().env("TESSERA_HOME", home.path()).env("ORT_DYLIB_PATH", "").env("LD_LIBRARY_PATH", "");
    says(&refused(render), &["not installed", "deploy/fetch-onnxruntime.sh", "--onnxruntime"]);
}

#[test]
fn a_name_that_is_no_file() {
    says(
        &with(Path::new("no/libonnxruntime.so")),
        &["--onnxruntime", "no/libonnxruntime.so", "deploy/fetch-onnxruntime.sh"],
    );
    let render: Render = small().env("ORT_DYLIB_PATH", "no/libonnxruntime.so");
    says(&refused(render), &["ORT_DYLIB_PATH", "no/libonnxruntime.so"]);
}

#[test]
fn a_file_that_is_no_library() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("libonnxruntime.so");
    fs::write(&path, [0x5a; 4096]).expect("a temporary file");
    says(&with(&path), &["cannot load", "libonnxruntime.so", "deploy/fetch-onnxruntime.sh"]);
}

#[test]
fn a_library_that_is_too_old() {
    let (_folder, path) = old_library();
    says(&with(&path), &["1.10.0", "too old", "1.22", "deploy/fetch-onnxruntime.sh"]);
}
