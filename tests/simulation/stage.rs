//! Plays a scenario: hosts, their network and what befalls them in, how the jobs ended out.

use std::{cell::RefCell, fs, future::pending, path::Path, rc::Rc, time::Duration};

use tokio::sync::Semaphore;
use turmoil::{Builder, Sim};

use crate::{
    network,
    scenario::{Fault, Kind, Machine, Scenario},
    user::{self, Ending},
};

/// How far each step goes; messages arrive at its end.
const TICK: Duration = Duration::from_millis(4);

/// By then all jobs must have ended: a slow device alone needs 20 s, a connection that is cut off shows in 30 s.
const LIMIT: Duration = Duration::from_secs(120);

const COORDINATOR: &str = "coordinator";

/// How a simulation ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Played {
    /// In the order in which jobs were asked for.
    pub(crate) endings: Vec<Ending>,
    /// How long it took by its own clock.
    pub(crate) took: Duration,
    /// Pictures in the coordinator's folder, and what else lies there that is no report.
    pub(crate) files: Vec<String>,
}

/// Plays a scenario to its end.
///
/// # Errors
/// A host failed, or not all jobs ended in time.
pub(crate) fn play(scenario: &Scenario) -> Result<Played, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut sim = Builder::new()
        .rng_seed(scenario.seed)
        .tick_duration(TICK)
        .simulation_duration(LIMIT)
        .min_message_latency(scenario.latency[0])
        .max_message_latency(scenario.latency[1])
        .tcp_capacity(1024)
        .build();
    add_coordinator(&mut sim, scenario, folder.path());
    for (number, machine) in scenario.workers.iter().enumerate() {
        add_worker(&mut sim, name(number), machine);
    }
    let endings = add_users(&mut sim, scenario);
    run(&mut sim, scenario).map_err(|error| error.to_string())?;
    let took = sim.elapsed();
    drop(sim);
    let endings = endings.take().into_iter().collect::<Option<_>>().ok_or("a user did not come back")?;
    Ok(Played { endings, took, files: files(folder.path()) })
}

fn name(worker: usize) -> String {
    format!("worker-{worker}")
}

fn add_coordinator(sim: &mut Sim<'_>, scenario: &Scenario, folder: &Path) {
    let options = tessera_coordinator::Options {
        heartbeat: Duration::from_millis(500),
        silence: Duration::from_secs(2),
        task_timeout: Duration::from_secs(20),
        user_jobs: scenario.user_jobs,
        artifacts: Some(tessera_coordinator::Place::Folder(folder.to_owned())),
        ..Default::default()
    };
    sim.host(COORDINATOR, move || {
        let options = options.clone();
        async move {
            let connections = network::listen().await?;
            Ok(tessera_coordinator::serve_over(connections, options, pending()).await?)
        }
    });
}

fn add_worker(sim: &mut Sim<'_>, name: String, machine: &Machine) {
    let options = tessera_worker::Options {
        coordinator: network::URL.to_owned(),
        name: name.clone(),
        device: machine.device.parse().expect("a device"),
        model: None,
        fetch: None,
        access: None,
        upscalers: Vec::new(),
        onnxruntime: None,
        fuse: true,
        spill: tessera_worker::exact::Spill::default(),
        patience: LIMIT,
    };
    let joins = machine.joins;
    sim.host(name, move || {
        let options = options.clone();
        async move {
            tokio::time::sleep(joins.saturating_sub(turmoil::sim_elapsed().unwrap_or_default())).await;
            Ok(tessera_worker::run_over(options, network::connect, pending()).await?)
        }
    });
}

/// One user for each job, and one who looks at what is left when all have ended.
fn add_users(sim: &mut Sim<'_>, scenario: &Scenario) -> Rc<RefCell<Vec<Option<Ending>>>> {
    let endings = Rc::new(RefCell::new(vec![None; scenario.asks.len()]));
    let ended = Rc::new(Semaphore::new(0));
    for (number, &ask) in scenario.asks.iter().enumerate() {
        let (endings, ended) = (Rc::clone(&endings), Rc::clone(&ended));
        sim.client(format!("user-{number}"), async move {
            let ending = user::ask(ask).await?;
            endings.borrow_mut()[number] = Some(ending);
            ended.add_permits(1);
            Ok(())
        });
    }
    let all = u32::try_from(scenario.asks.len()).expect("a few jobs");
    sim.client("auditor", async move {
        let _ended = ended.acquire_many(all).await?;
        user::idle().await
    });
    endings
}

/// Steps until all users are done; faults begin and end at their times.
fn run(sim: &mut Sim<'_>, scenario: &Scenario) -> turmoil::Result {
    let moments = |fault: &Fault| [(fault.begin, *fault, true), (fault.end, *fault, false)];
    let mut moments: Vec<_> = scenario.faults.iter().flat_map(moments).collect();
    moments.sort_by_key(|&(at, ..)| at);
    let mut moments = moments.into_iter().peekable();
    loop {
        let now = sim.elapsed();
        while let Some((_, fault, begins)) = moments.next_if(|&(at, ..)| at <= now) {
            if begins {
                begin(sim, fault);
            } else {
                end(sim, fault, scenario.latency[1]);
            }
        }
        if sim.step()? {
            return Ok(());
        }
    }
}

fn begin(sim: &mut Sim<'_>, fault: Fault) {
    let worker = &*name(fault.worker);
    match fault.kind {
        Kind::Hold => sim.hold(COORDINATOR, worker),
        Kind::Partition => sim.partition(COORDINATOR, worker),
        Kind::Deaf => sim.partition_oneway(COORDINATOR, worker),
        Kind::Mute => sim.partition_oneway(worker, COORDINATOR),
        Kind::Crash => sim.crash(worker),
        Kind::Vanish => {
            sim.partition(COORDINATOR, worker);
            sim.crash(worker);
        }
        Kind::Lag => sim.set_link_latency(COORDINATOR, worker, Duration::from_millis(250)),
    }
}

fn end(sim: &mut Sim<'_>, fault: Fault, latency: Duration) {
    let worker = &*name(fault.worker);
    match fault.kind {
        Kind::Hold => sim.release(COORDINATOR, worker),
        Kind::Partition => sim.repair(COORDINATOR, worker),
        Kind::Deaf => sim.repair_oneway(COORDINATOR, worker),
        Kind::Mute => sim.repair_oneway(worker, COORDINATOR),
        Kind::Crash => sim.bounce(worker),
        Kind::Vanish => {
            sim.repair(COORDINATOR, worker);
            sim.bounce(worker);
        }
        Kind::Lag => sim.set_link_latency(COORDINATOR, worker, latency),
    }
}

/// What lies in a folder, without reports.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.ends_with(".json")).collect()
}
