//! Nothing is told to anybody: ONNX Runtime's telemetry is off before the library is loaded.

use tessera_tests::{process::Running, program};

/// The library would leave a queue of events in the cache folder as soon as it is loaded.
#[test]
fn nothing_is_queued_for_anybody() {
    let home = tempfile::tempdir().expect("a folder");
    let library = std::env::var_os("HOME").map(std::path::PathBuf::from);
    let tessera = std::env::var_os("TESSERA_HOME").map(std::path::PathBuf::from);
    let tessera = tessera.or_else(|| library.map(|home| home.join(".local/share/tessera"))).expect("a home");
    let mut command = program::command();
    command.args(["doctor"]).env_remove("ORT_DISABLE_TELEMETRY");
    command
        .env("HOME", home.path())
        .env("XDG_CACHE_HOME", home.path().join("cache"))
        .env("TESSERA_HOME", tessera);
    let ended = Running::start(&mut command).wait(std::time::Duration::from_secs(60));
    assert!(ended.stdout.contains("onnx runtime"), "the library was loaded: {ended:?}");
    let mut left = Vec::new();
    let mut folders = vec![home.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { left.push(path) }
        }
    }
    assert!(left.is_empty(), "{left:?}");
}
