//! Where the library is looked for, and what is said about libraries that do not fit.

use std::{env, process::Command};

use super::{super::tests::in_child, *};

/// Makes empty files in a new folder.
fn folder(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }
    folder
}

fn found(places: &Places) -> PathBuf {
    match places.candidate().unwrap() {
        Candidate::File(path) => path,
        Candidate::System => panic!("nothing found"),
    }
}

#[test]
fn places_are_tried_in_order() {
    let name = system_name();
    let folder = folder(&["a", "b", &format!("onnxruntime/{name}"), name]);
    let path = |name: &str| folder.path().join(name);
    let mut places = Places {
        explicit: Some(path("a")),
        variable: Some(path("b")),
        home: Some(folder.path().to_owned()),
        executable: Some(folder.path().to_owned()),
    };
    assert_eq!(found(&places), path("a"));
    places.explicit = Some(path("onnxruntime"));
    assert_eq!(found(&places), path("onnxruntime").join(name), "a folder may be named too");
    places.explicit = None;
    assert_eq!(found(&places), path("b"));
    places.variable = None;
    assert_eq!(found(&places), path("onnxruntime").join(name));
    places.home = None;
    assert_eq!(found(&places), path(name));
    places.executable = None;
    assert_eq!(places.candidate().unwrap(), Candidate::System);
}

#[test]
#[cfg(target_os = "linux")]
fn the_highest_version_is_taken_and_providers_are_not() {
    let folder = folder(&[
        "libonnxruntime.so.1.9.0",
        "libonnxruntime.so.1.31.1",
        "libonnxruntime.so.1.4",
        "libonnxruntime_providers_shared.so",
        "libonnxruntime_providers_cuda.so.9",
    ]);
    assert_eq!(library_in(folder.path()), Some(folder.path().join("libonnxruntime.so.1.31.1")));
    assert_eq!(library_in(Path::new("/nonexistent")), None);
}

#[test]
fn a_named_file_must_exist() {
    let gone = PathBuf::from("/nonexistent/libonnxruntime.so");
    let places = Places { explicit: Some(gone.clone()), ..Places::default() };
    assert_eq!(
        places.candidate().unwrap_err().to_string(),
        "--onnxruntime names /nonexistent/libonnxruntime.so, which is no file and no folder with a library in it: \
         run deploy/fetch-onnxruntime.sh, or correct the path"
    );
    let places = Places { variable: Some(gone), ..Places::default() };
    assert!(places.candidate().unwrap_err().to_string().starts_with("ORT_DYLIB_PATH names /nonexistent/"));
}

/// A library with the right name and entry point that claims a version and has no interface.
fn pretender(folder: &Path, version: &str) -> PathBuf {
    let source = folder.join("pretender.rs");
    fs::write(
        &source,
        format!(
            r#"
            #[repr(C)]
            pub struct Base(extern "C" fn(u32) -> *const u8, extern "C" fn() -> *const u8);
            extern "C" fn api(_: u32) -> *const u8 {{ std::ptr::null() }}
            extern "C" fn version() -> *const u8 {{ b"{version}\0".as_ptr() }}
            static BASE: Base = Base(api, version);
            #[unsafe(no_mangle)]
            pub extern "C" fn OrtGetApiBase() -> *const Base {{ &BASE }}
            "#
        ),
    )
    .unwrap();
    let library = folder.join(system_name());
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let made = Command::new(compiler)
        .args(["--edition", "2024", "--crate-type", "cdylib", "-o"])
        .args([&library, &source])
        .status();
    assert!(made.unwrap().success(), "rustc made no library");
    library
}

const KEY: &str = "TESSERA_TEST_LIBRARY";

/// Loads the library that the parent process names, and prints what is said about it.
#[test]
fn child_loads_a_library() {
    if let Some(library) = env::var_os(KEY) {
        let places = Places { explicit: Some(library.into()), ..Places::default() };
        println!("said: {}", Runtime::load(&places).unwrap_err());
        // Not remembered: the next try says the same.
        println!("again: {}", Runtime::load(&places).unwrap_err());
    }
}

fn said_of(library: &Path) -> String {
    let output =
        in_child("engine::library::tests::child_loads_a_library", 0, KEY, &library.display().to_string());
    assert!(!output.contains("panicked"), "a panic is shown to the user:\n{output}");
    let line = |start| output.lines().find_map(|line: &str| line.strip_prefix(start)).unwrap_or_default();
    assert_eq!(line("said: "), line("again: "), "{output}");
    line("said: ").to_owned()
}

#[test]
fn libraries_that_do_not_fit_are_described() {
    let folder = folder(&["empty"]);
    let old = pretender(folder.path(), "1.17.3");
    assert_eq!(
        said_of(&old),
        format!(
            "ONNX Runtime 1.17.3 in {} is too old, 1.22 or later is needed: run deploy/fetch-onnxruntime.sh",
            old.display()
        )
    );
    let hollow = pretender(folder.path(), "1.99.0");
    let said = said_of(&hollow);
    assert!(said.contains("it has no interface that this program knows"), "{said}");
    let said = said_of(&folder.path().join("empty"));
    assert!(
        said.starts_with("cannot load ONNX Runtime from ") && said.contains("fetch-onnxruntime.sh"),
        "{said}"
    );
}

/// Without a library anywhere, as on a fresh machine.
#[test]
fn child_finds_no_library() {
    if env::var_os("TESSERA_TEST_NOWHERE").is_some() {
        match Runtime::load(&Places::default()) {
            Err(error) => println!("said: {error}"),
            Ok(runtime) => println!("the system has one: {}", runtime.path().display()),
        }
    }
}

#[test]
fn absence_says_how_to_get_it() {
    let output = in_child("engine::library::tests::child_finds_no_library", 0, "TESSERA_TEST_NOWHERE", "1");
    let said = "said: ONNX Runtime is not installed: run deploy/fetch-onnxruntime.sh, or name the library with \
                --onnxruntime FILE (looked for: ORT_DYLIB_PATH, the system's libraries)";
    assert!(output.contains(said) || output.contains("the system has one"), "{output}");
}

#[test]
fn a_loaded_library_is_shared() {
    let places = Places::of_process(None);
    let first = Runtime::load(&places).unwrap_or_else(|error| panic!("{error}"));
    let second = Runtime::load(&places).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(first.path(), second.path());
    assert!(first.build_info().contains("ORT"), "{}", first.build_info());
}
