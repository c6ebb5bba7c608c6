//! Several devices of one machine: one worker process each, started again when it dies, until all are told to go.

use std::{
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tessera_worker::engine::DeviceSpec;
use tokio::{
    process::{Child, Command},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::GRACE;
use crate::{access::Access, args::WorkerArgs, exit::Exit, exit::Failure, interrupt::Interrupt};

/// Pauses before a worker that died is started again: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// One that lived for so long has no fault that comes back at once.
const SOUND: Duration = Duration::from_secs(60);

/// A worker of this host.
#[derive(Debug)]
struct Recipe {
    executable: PathBuf,
    /// Its flags.
    flags: Vec<String>,
    /// For its environment, where other users of the machine cannot read it.
    token: Option<String>,
    name: String,
}

/// How a worker ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// It was drained, or told to stop.
    Gone,
    /// It cannot begin as it is asked to.
    Refused,
    /// Anything else: it may do better next time.
    Died,
}

/// Runs a worker on each device, named `HOST/DEVICE`, until all have gone or a signal comes; then each ends its task in hand.
pub(super) async fn run(args: &WorkerArgs, access: &Access, devices: &[DeviceSpec]) -> Result<(), Failure> {
    let executable = std::env::current_exe().map_err(Failure::failed)?;
    let host = args.name.clone().or_else(tessera_worker::host_name).unwrap_or_else(|| "worker".to_owned());
    let mut interrupt = Interrupt::install().map_err(Failure::failed)?;
    let (stop, stopped) = watch::channel(false);
    let mut supervisors = JoinSet::new();
    for (index, device) in devices.iter().enumerate() {
        // Of two devices that are called the same, each has a name of its own.
        let same = devices[..index].iter().filter(|other| *other == device).count();
        let name = if same == 0 { format!("{host}/{device}") } else { format!("{host}/{device}.{same}") };
        let flags = flags(args, device, &name);
        let recipe = Recipe { executable: executable.clone(), flags, token: access.token.clone(), name };
        supervisors.spawn(recipe.supervise(stopped.clone()));
    }
    tracing::info!(host, devices = devices.len(), "one worker per device");
    let mut refused = 0;
    loop {
        tokio::select! {
            ended = supervisors.join_next() => match ended {
                None => break,
                Some(end) => refused += usize::from(end.is_ok_and(|end| end == End::Refused)),
            },
            () = interrupt.next() => {
                // The first signal asks, the second ends the wait.
                if stop.send_replace(true) {
                    return Err(Failure::interrupted("stopped at once"));
                }
                tracing::info!("stopping; another signal stops at once");
            }
        }
    }
    if refused < devices.len() {
        return Ok(());
    }
    Err(Failure::usage(anyhow::anyhow!("no device of this machine can serve: the lines above say why")))
}

/// What a worker of a device is started with, beside its token.
fn flags(args: &WorkerArgs, device: &DeviceSpec, name: &str) -> Vec<String> {
    let mut flags: Vec<String> =
        ["worker", "--leash", "--coordinator", &args.cluster.coordinator].map(str::to_owned).into();
    let mut add = |flag: &str, value: String| flags.extend([flag.to_owned(), value]);
    add("--device", device.to_string());
    add("--name", name.to_owned());
    add("--patience", args.patience.to_string());
    add("--spill-above", args.spill.spill_above.to_string());
    let paths = [
        ("--ca", &args.cluster.access.ca),
        ("--model", &args.model),
        ("--onnxruntime", &args.onnxruntime),
        ("--identity", &args.identity),
        ("--spill-folder", &args.spill.spill_folder),
    ];
    for (flag, path) in paths {
        path.iter().for_each(|path| add(flag, path.display().to_string()));
    }
    args.upscaler.iter().for_each(|path| add("--upscaler", path.display().to_string()));
    add("--model-cache", args.model_cache.to_string());
    if args.fetch_models {
        flags.push("--fetch-models".to_owned());
    }
    if args.no_fuse {
        flags.push("--no-fuse".to_owned());
    }
    flags
}

// === impl Recipe ===

impl Recipe {
    /// Keeps a worker running until it goes, or is told to.
    async fn supervise(self, mut stop: watch::Receiver<bool>) -> End {
        let mut pause = PAUSES[0];
        loop {
            let began = Instant::now();
            let end = match self.command().spawn() {
                Ok(child) => watched(child, &mut stop).await,
                Err(error) => {
                    tracing::warn!(worker = self.name, %error, "a worker cannot be started");
                    End::Died
                }
            };
            match end {
                End::Died if !*stop.borrow() => {}
                end => return end,
            }
            if SOUND <= began.elapsed() {
                pause = PAUSES[0];
            }
            tracing::warn!(worker = self.name, ?pause, "a worker died and is started again");
            tokio::select! {
                () = sleep(pause) => pause = (2 * pause).min(PAUSES[1]),
                _ = stop.wait_for(|stop| *stop) => return End::Gone,
            }
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command.args(&self.flags);
        if let Some(token) = &self.token {
            command.env("TESSERA_TOKEN", token).env_remove("TESSERA_TOKEN_FILE");
        }
        // It goes when its standard input is closed: by us, or by our death.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
        // Ctrl-C reaches us alone, and we tell.
        #[cfg(unix)]
        command.process_group(0);
        command
    }
}

/// Waits for the end of a worker, or brings it about when told to.
async fn watched(mut child: Child, stop: &mut watch::Receiver<bool>) -> End {
    let leash = child.stdin.take();
    tokio::select! {
        status = child.wait() => return status.map_or(End::Died, ended),
        _ = stop.wait_for(|stop| *stop) => {}
    }
    drop(leash);
    // It has as long as one that is told by a signal, and a little to say so.
    match timeout(GRACE + PAUSES[0], child.wait()).await {
        Ok(_) => End::Gone,
        Err(_) => {
            // What is left of it goes with its handle.
            let _ = child.start_kill();
            End::Gone
        }
    }
}

fn ended(status: ExitStatus) -> End {
    match status.code() {
        Some(code) if code == Exit::Ok as i32 => End::Gone,
        Some(code) if code == Exit::Usage as i32 => End::Refused,
        _ => End::Died,
    }
}
