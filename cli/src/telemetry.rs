//! ONNX Runtime's telemetry, off: nothing in; this program started again where it was on, out.
//!
//! Microsoft's builds for Linux and macOS, those on PyPI for one, queue events in the user's cache folder and send them when
//! they have run for some seconds, whatever the library's own switch for it says. They do not where this variable is set
//! before the process begins; a process cannot set one for itself safely, but it can begin again.

use std::{convert::Infallible, env, io, process::Command};

/// What the library looks for.
const SWITCH: &str = "ORT_DISABLE_TELEMETRY";

/// Turns it off for this process and for all that it starts. Who has set the variable is left alone.
pub(crate) fn off() {
    if env::var_os(SWITCH).is_none() {
        let Err(error) = begin_again();
        tracing::debug!(%error, "cannot begin again without ONNX Runtime's telemetry");
    }
}

#[cfg(unix)]
fn begin_again() -> Result<Infallible, io::Error> {
    use std::os::unix::process::CommandExt;
    let mut words = env::args_os();
    let mut command = Command::new(env::current_exe()?);
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    Err(command.args(words).env(SWITCH, "1").exec())
}

#[cfg(not(unix))]
fn begin_again() -> Result<Infallible, io::Error> {
    Err(io::ErrorKind::Unsupported.into())
}
