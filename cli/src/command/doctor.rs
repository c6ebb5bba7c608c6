//! `tessera doctor`: this machine in, what is there and what is missing out, each with what to do about it.

use std::{
    fmt,
    net::{Ipv4Addr, TcpListener},
};

use serde::Serialize;
use tessera_worker::engine::{DeviceSpec, OnnxEngine, Options, Runtime, library::Places};

use crate::{
    args::DoctorArgs,
    default_model,
    environment::Environment,
    exit::Failure,
    output::{Output, Style},
};

/// Devices other than the CPU, any one of each kind.
const DEVICES: [DeviceSpec; 6] = [
    DeviceSpec::Cuda { card: 0 },
    DeviceSpec::TensorRt { card: 0 },
    DeviceSpec::Rocm { card: 0 },
    DeviceSpec::DirectMl { card: 0 },
    DeviceSpec::CoreMl,
    DeviceSpec::OpenVino,
];

/// One line of the doctor's.
#[derive(Debug, Serialize)]
struct Check {
    /// What was looked at.
    what: &'static str,
    /// How it stands.
    state: State,
    /// What was found, or what to do.
    detail: String,
}

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// As it should be.
    Ok,
    /// Absent, which is no obstacle.
    Absent,
    /// Needed and not there.
    Missing,
}

/// Prints a line per check.
///
/// # Errors
/// Something that `render` needs is missing.
pub(super) fn run(args: DoctorArgs, output: &Output) -> Result<(), Failure> {
    let environment = Environment::of_process().map_err(Failure::failed)?;
    let mut checks = runtime(&args);
    checks.push(model(&args, &environment));
    checks.push(home(&environment));
    checks.push(cores(&environment));
    checks.push(loopback());
    for check in &checks {
        match output.style() {
            Style::Json => output.json(check)?,
            Style::People | Style::Quiet => output.data(check)?,
        }
    }
    let missing: Vec<_> =
        checks.iter().filter(|check| check.state == State::Missing).map(|check| check.what).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Failure::failed(anyhow::anyhow!("not ready to render, this is missing: {}", missing.join(", "))))
    }
}

/// The library, and the devices for which it has drivers.
fn runtime(args: &DoctorArgs) -> Vec<Check> {
    let what = "onnx runtime";
    match Runtime::load(&Places::of_process(args.onnxruntime.clone())) {
        Err(error) => vec![Check::missing(what, error)],
        Ok(runtime) => {
            let found = format!("{}: {}", runtime.path().display(), runtime.build_info());
            vec![Check::ok(what, found), devices(&runtime)]
        }
    }
}

fn devices(runtime: &Runtime) -> Check {
    let driven = |device: &DeviceSpec| {
        let options = Options { device: *device, fuse: true };
        OnnxEngine::new(runtime.clone(), options).is_ok()
    };
    let names = DEVICES.iter().filter(|device| driven(device)).map(|device| {
        let name = device.to_string();
        name.split(':').next().unwrap_or_default().to_owned()
    });
    let names: Vec<_> = std::iter::once("cpu".to_owned()).chain(names).collect();
    Check::ok("devices", format!("the library has drivers for {}", names.join(", ")))
}

fn model(args: &DoctorArgs, environment: &Environment) -> Check {
    let what = "model";
    let folder = match &args.model {
        Some(folder) => folder.clone(),
        None => match default_model::find(environment) {
            Ok(folder) => folder,
            Err(error) => return Check::missing(what, error),
        },
    };
    match tessera_worker::open_model(&folder, &[]) {
        Ok(model) => {
            let facts = model.facts();
            Check::ok(what, format!("{} {} in {}", facts.name, facts.short_hash(), folder.display()))
        }
        Err(error) => Check::missing(what, error),
    }
}

fn home(environment: &Environment) -> Check {
    let what = "tessera home";
    match &environment.home {
        Some(home) if home.is_dir() => Check::ok(what, home.display()),
        Some(home) => Check {
            what,
            state: State::Absent,
            detail: format!("{} does not exist yet: deploy/fetch-onnxruntime.sh makes it", home.display()),
        },
        None => Check {
            what,
            state: State::Absent,
            detail: "this user has no home folder: set TESSERA_HOME".to_owned(),
        },
    }
}

fn cores(environment: &Environment) -> Check {
    Check::ok("cores", environment.cores)
}

fn loopback() -> Check {
    let what = "loopback";
    match TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) {
        Ok(_) => Check::ok(what, "ports of 127.0.0.1 can be opened"),
        Err(error) => Check::missing(
            what,
            format_args!("cannot open a port of 127.0.0.1 ({error}): allow it in the sandbox or firewall"),
        ),
    }
}

// === impl Check ===

impl Check {
    fn ok(what: &'static str, detail: impl fmt::Display) -> Self {
        Self { what, state: State::Ok, detail: detail.to_string() }
    }

    fn missing(what: &'static str, detail: impl fmt::Display) -> Self {
        Self { what, state: State::Missing, detail: detail.to_string() }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Ok => "ok",
            State::Absent => "absent",
            State::Missing => "missing",
        };
        write!(f, "{state:<8} {:<13} {}", self.what, self.detail)
    }
}
