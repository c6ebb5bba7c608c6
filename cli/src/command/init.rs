//! `tessera init`: host names in, a folder with the certificates of a cluster out.

use std::path::PathBuf;

use anyhow::anyhow;
use serde::Serialize;
use tessera_coordinator::security::Authority;

use crate::{
    access::{CA, TLS},
    args::InitArgs,
    exit::Failure,
    output::{Output, Style},
};

/// Names that every coordinator has for programs of its own machine.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    folder: PathBuf,
    names: Vec<String>,
}

/// Makes an authority and a server certificate, or a new one of the latter.
pub(super) fn run(args: InitArgs, output: &Output) -> Result<(), Failure> {
    let default = || tessera_worker::home().map(|home| home.join(TLS));
    let folder = args.folder.or_else(default).ok_or_else(|| {
        Failure::usage(anyhow!("there is no home folder to keep certificates in: name a folder"))
    })?;
    if let Some(name) = args.name.iter().find(|name| !is_name(name)) {
        return Err(Failure::usage(anyhow!(
            "--name {name:?} is no host's name or address, as in render-1 or 10.0.0.5"
        )));
    }
    let names = names(args.name);
    let make = if args.renew { Authority::renew } else { Authority::create };
    make(&folder, &names).map_err(Failure::usage)?;
    if output.style() == Style::Json {
        return output.json(&Made { folder, names });
    }
    let shown = folder.display();
    output.data(format_args!("{shown}: certificates for {}", names.join(", ")))?;
    output.note(format_args!("next: tessera coordinator --listen 0.0.0.0:7878 --tls {shown}"));
    output.note(format_args!(
        "then: tessera token new --role worker, and copy {CA} (no other file) to those who join"
    ));
    Ok(())
}

/// Whether a certificate can be for it.
fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || ['-', '.', '_', ':', '*'].contains(&c);
    !text.is_empty() && text.chars().all(fits)
}

/// All names of a coordinator, each once.
fn names(given: Vec<String>) -> Vec<String> {
    let host = tessera_worker::host_name();
    let mut names: Vec<String> = Vec::new();
    for name in given.into_iter().chain(host).chain(LOCAL.map(str::to_owned)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
