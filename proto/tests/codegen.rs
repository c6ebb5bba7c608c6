//! The generated code in `src/wire/` is what the `.proto` files say today.
//!
//! `TESSERA_BLESS=1 cargo test -p tessera-proto --test codegen` writes it anew.

use std::{env, fs, path::Path};

use prost::Message;

/// The files that prost and tonic write, and the descriptor set that reflection serves.
const GENERATED: [&str; 3] = ["externalscaler.rs", "tessera.v1.rs", DESCRIPTORS];

/// Of our services and of those that others ask for.
const DESCRIPTORS: &str = "tessera.v1.descriptor.bin";

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = tempfile::tempdir().unwrap();
    generate(root, fresh.path());
    for name in GENERATED {
        let checked_in = root.join("src/wire").join(name);
        let new = fs::read(fresh.path().join(name)).unwrap();
        if env::var_os("TESSERA_BLESS").is_some() {
            fs::write(&checked_in, &new).unwrap();
        }
        let old = fs::read(&checked_in).unwrap_or_default();
        assert!(
            old == new,
            "{name} is stale: run TESSERA_BLESS=1 cargo test -p tessera-proto --test codegen"
        );
    }
}

fn generate(root: &Path, out: &Path) {
    let include = root.join("proto");
    let ours = ["tensor", "fleet", "jobs", "models"].map(|name| format!("tessera/v1/{name}"));
    let files = ours.into_iter().chain(["externalscaler/externalscaler".to_owned()]);
    let files: Vec<_> = files.map(|name| include.join(format!("{name}.proto"))).collect();
    let descriptors = protox::compile(files, [include]).expect("the contract compiles");
    fs::write(out.join(DESCRIPTORS), descriptors.encode_to_vec()).expect("the temporary folder takes files");
    tonic_prost_build::configure()
        .bytes(".")
        .out_dir(out)
        .compile_fds(descriptors)
        .expect("code can be generated from the contract");
}
