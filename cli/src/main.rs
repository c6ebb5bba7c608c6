//! `tessera`: renders Stable Diffusion hires-fix pictures on any number of devices and machines.
//!
//! # Layout
//! - [`args`] is what clap reads, of the command line and of the job file that [`told`] lays under it; [`options`] makes validated values of it; [`environment`] is what they are read against.
//! - [`command`]: one file per command. [`local`]: the cluster that `render` starts for itself.
//! - [`client`]: the way to a coordinator, the only place here that names wire types; [`access`]: how to be admitted.
//!   [`follow`]: a job to its end.
//! - [`bench`]: a cluster inside this process, to be measured.
//! - [`output`] is the only printer; [`progress`] and [`event`] are what it prints while a job runs.
//! - [`telemetry`]: why this program may begin twice.
//! - [`exit`]: how a failure becomes a sentence and an exit code; [`tally`]: how several do.

mod access;
mod address;
mod args;
mod atomic;
mod bench;
mod client;
mod command;
mod count;
mod default_model;
mod environment;
mod event;
mod exit;
mod follow;
mod interrupt;
mod local;
mod logging;
mod options;
mod output;
mod progress;
mod results;
mod tally;
mod telemetry;
mod told;

use std::process::ExitCode;

use exit::{Exit, Failure};
use output::{Output, Style};
use told::Refusal;

/// Tensors of many sizes come and go, some of them to stay for a moment longer: glibc's allocator cannot give back what
/// lies around those, and a worker that decodes 2048 x 2048 px holds twice the memory that it uses. This one can, and
/// its feature `override` makes it ONNX Runtime's as well.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    telemetry::off();
    let cli = match told::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(Refusal::Words(message)) => return said(&message).into(),
        Err(Refusal::File(error)) => {
            Output::new(Style::People).error(Failure::usage(*error).sentence());
            return Exit::Usage.into();
        }
    };
    let output = Output::new(command::style(&cli.command));
    logging::start(command::log_level(&cli.command), cli.log_format, &output);
    match command::run(cli.command, &output) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            match failure.exit {
                Exit::Interrupted => output.note(failure.sentence()),
                _ => output.error(failure.sentence()),
            }
            failure.exit.into()
        }
    }
}

/// Help and the version are answers, everything else is a fault of the command line.
fn said(message: &clap::Error) -> Exit {
    // Nobody is left to read it: the exit code says the rest.
    let _ = message.print();
    if message.use_stderr() { Exit::Usage } else { Exit::Ok }
}
