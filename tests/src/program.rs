//! The program under test: nothing in, the path of an up-to-date executable out.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::{report, root};

/// Variables that would change what the program does; its home, where the libraries lie, is not among them.
const FOREIGN: [&str; 4] = ["TESSERA_MODEL", "TESSERA_COORDINATOR", "TESSERA_LOG", "CUDA_VISIBLE_DEVICES"];

/// The executable of the profile that this process was built with, brought up to date on the first call.
///
/// # Panics
/// It cannot be built.
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(build)
}

/// A run of the program that the caller's environment does not change.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new(path());
    for name in FOREIGN {
        command.env_remove(name);
    }
    command
}

/// The ONNX Runtime that the program finds by itself, for one that shall have a home of its own.
///
/// # Panics
/// It finds none.
#[must_use]
pub fn library() -> PathBuf {
    let checked = command().args(["doctor", "--json"]).output().expect("the program starts");
    let lines = String::from_utf8_lossy(&checked.stdout).into_owned();
    let named = |line: &str| {
        let detail = report::parse(line)["detail"].as_str().unwrap_or_default().to_owned();
        detail.split(": ").find(|word| word.contains("onnxruntime")).map(PathBuf::from)
    };
    lines.lines().find_map(named).unwrap_or_else(|| panic!("doctor names no library: {checked:?}"))
}

/// Runs cargo: tests of one package do not build the executables of another.
///
/// Beside the tests of all packages, as `cargo test --workspace` builds them, the program shares what is compiled for
/// those: on its own it would have features of its own, and with them nearly all dependencies a second time. A benchmark
/// has no such company.
fn build() -> PathBuf {
    let ours = env::current_exe().expect("a running test has an executable");
    // TARGET/PROFILE/deps/main-HASH
    let folder = ours.ancestors().nth(2).expect("cargo puts tests two folders deep");
    let target = folder.parent().expect("cargo puts profiles into a folder");
    let profile = folder.file_name().unwrap_or_default().to_string_lossy();
    let profile = if profile == "debug" { "dev" } else { &*profile };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let what: &[&str] = match profile {
        "dev" => &["--workspace", "--lib", "--bins", "--tests"],
        _ => &["--package", "tessera", "--bin", "tessera"],
    };
    let mut command = Command::new(cargo);
    // What cargo tells a test of its own package would make build scripts that look at it (ring's) run anew, and all that
    // is built on them.
    let told = |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.starts_with(start));
    for (name, _) in env::vars().filter(|(name, _)| told(name)) {
        command.env_remove(name);
    }
    let output = command
        .args(["build", "--quiet", "--profile", profile])
        .args(what)
        .arg("--target-dir")
        .arg(target)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "the program cannot be built; run: cargo build --package tessera\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    folder.join(format!("tessera{}", env::consts::EXE_SUFFIX))
}
