//! `tessera bench`: flags in; a table of figures, each beside its bound, out.

mod chaos;
mod endurance;

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};
use tessera_proto::job::Size;

use super::table::Table;
use crate::{
    args::{BenchArgs, BenchCommand, ScalingArgs},
    atomic::Draft,
    bench::{self, Case, Measured, Order, Quantity},
    environment::Environment,
    exit::Failure,
    interrupt::Interrupt,
    options::trace_file,
    output::{Output, Style},
};

/// Least share of a pass that two workers of one thread are inside networks: 1.9 times one where two engines do not slow each
/// other down.
const TWO_WORKERS: f64 = 0.95;

/// Least speed against another program on the same work.
const PEER: f64 = 1.5;

/// One measured case.
#[derive(Debug, Serialize)]
struct Row {
    case: String,
    /// One job alone whose tiles wait for all others, for comparison.
    barrier: Option<f64>,
    dataflow: f64,
    /// Not of the real engine.
    dispatch_p99_ms: Option<f64>,
    /// What `dataflow` counts: "share", "calls/s" or "x".
    unit: &'static str,
    bound: Option<f64>,
    dispatch_bound_ms: Option<f64>,
    reached: bool,
}

/// Measures.
///
/// # Errors
/// A flag cannot be read, the cluster does not start, a bound is missed.
pub(super) async fn run(args: BenchArgs, output: &Output) -> Result<(), Failure> {
    let mut interrupt = Interrupt::install().map_err(Failure::failed)?;
    // What is dropped here takes its processes and folders with it.
    let measured = async {
        match args.command {
            BenchCommand::Scaling(args) => scaling(*args, output).await,
            BenchCommand::Chaos(args) => chaos::run(&args, output).await,
            BenchCommand::Endurance(args) => endurance::run(args, output).await,
        }
    };
    let interrupted = || Failure::interrupted("interrupted: nothing was measured to its end".to_owned());
    interrupt.or(Box::pin(measured)).await.unwrap_or_else(|| Err(interrupted()))
}

async fn scaling(args: ScalingArgs, output: &Output) -> Result<(), Failure> {
    let cases = cases(&args)?;
    let trace = args.trace.clone().map(trace_file).transpose().map_err(Failure::usage)?;
    let mut rows = Vec::new();
    let mut faults = Vec::new();
    let mut events = [Vec::new(), Vec::new()];
    for case in &cases {
        output.note(format_args!("{} …", case.name));
        let (row, last) = measure(case).await?;
        rows.push(row);
        events = last;
    }
    if args.real {
        let environment = Environment::of_process().map_err(Failure::failed)?;
        output.note("the demo model on one worker, then on two …");
        match tokio::task::block_in_place(|| bench::pair(&environment.executable)) {
            Ok(pair) => rows.push(Row::pair(pair)),
            Err(error) => faults.push(error),
        }
    }
    if let Some(command) = &args.peer {
        let environment = Environment::of_process().map_err(Failure::failed)?;
        output.note(format_args!("{command} …"));
        let ratio = tokio::task::block_in_place(|| bench::ratio(command, &environment.executable));
        match ratio {
            Ok(ratio) => rows.push(Row::times("a peer on the same work", ratio, PEER)),
            Err(error) => faults.push(error),
        }
    }
    if let Some(path) = &trace {
        let [barrier, dataflow] = events;
        write_trace(path, dataflow)?;
        write_trace(&path.with_extension("barrier.json"), barrier)?;
    }
    if output.style() == Style::Json {
        output.json(&rows)?
    } else {
        output.data(table(&rows))?
    }
    // What was measured is worth showing all the same.
    if let Some(fault) = faults.into_iter().next() {
        return Err(Failure::failed(fault));
    }
    let missed: Vec<&str> = rows.iter().filter(|row| !row.reached).map(|row| row.case.as_str()).collect();
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(anyhow::anyhow!("below the bound: {}", missed.join("; "))))
}

fn write_trace(path: &Path, events: Vec<Value>) -> Result<(), Failure> {
    if events.is_empty() {
        return Ok(());
    }
    let text = json!({ "displayTimeUnit": "ms", "traceEvents": events }).to_string();
    let mut draft = Draft::create(path).map_err(Failure::usage)?;
    draft.write(text.as_bytes()).map_err(Failure::failed)?;
    Draft::publish(vec![draft]).map_err(Failure::failed)
}

/// The case that the flags describe, or all of the table.
fn cases(args: &ScalingArgs) -> Result<Vec<Case>, Failure> {
    let refuse = |text: String| Failure::usage(anyhow::Error::msg(text));
    if args.steps == 0 || args.jobs == 0 || args.seeds == 0 {
        return Err(refuse("--steps, --jobs and --seeds are at least 1".to_owned()));
    }
    let Some(tiles) = &args.tiles else { return Ok(bench::table(args.steps)) };
    let tiles = sides("--tiles", tiles, "columns x rows as in 5x5")?;
    let (width, height) = sides("--tile", &args.tile, "latent px as in 128x64")?;
    let rate = args.devices.iter().all(|ms| *ms == 0.0);
    if let Some(ms) = args.devices.iter().find(|ms| !rate && **ms <= 0.0) {
        return Err(refuse(format!("--devices holds {ms}, must be milliseconds above 0, or all of them 0")));
    }
    let mut case = Case {
        tile: Size { width, height },
        quantity: if rate { Quantity::Rate } else { Quantity::Busy },
        jobs: args.jobs,
        seeds: args.seeds,
        ..Case::new(tiles, args.devices.clone(), args.steps)
    };
    if 0.0 < args.jitter {
        case.variation.push_str(&format!("~{}", args.jitter));
    }
    if let Some(slow) = &args.slow {
        case.variation.push_str(&format!("/{slow}"));
    }
    case.check().map_err(Failure::usage)?;
    case.job(Order::Dataflow).map_err(Failure::usage)?;
    Ok(vec![case])
}

/// Two numbers above 0.
fn sides(flag: &str, text: &str, example: &str) -> Result<(u32, u32), Failure> {
    let sides = text.split_once('x').and_then(|(x, y)| Some((x.parse().ok()?, y.parse().ok()?)));
    let sides = sides.filter(|&(x, y)| 0 < x && 0 < y);
    sides.ok_or_else(|| Failure::usage(anyhow::anyhow!("{flag} is {text:?}, must be {example}")))
}

/// A case's row, and the events of its last runs, behind a barrier and without one.
async fn measure(case: &Case) -> Result<(Row, [Vec<Value>; 2]), Failure> {
    let mut behind = match case.quantity {
        Quantity::Busy => run_all(case, Order::Barrier).await?,
        Quantity::Rate => Vec::new(),
    };
    let mut runs = run_all(case, Order::Dataflow).await?;
    let mean = |runs: &[Measured]| runs.iter().map(|run| run.value).sum::<f64>() / f64::from(case.seeds);
    let dispatch = runs.iter().map(|run| run.dispatch_p99_ms).fold(0.0, f64::max);
    let dataflow = mean(&runs);
    let reached = case.bound.is_none_or(|bound| bound <= dataflow)
        && case.dispatch_bound.is_none_or(|bound| dispatch <= bound);
    let row = Row {
        case: case.name.clone(),
        barrier: (!behind.is_empty()).then(|| mean(&behind)),
        dataflow,
        dispatch_p99_ms: Some(dispatch),
        unit: match case.quantity {
            Quantity::Busy => "share",
            Quantity::Rate => "calls/s",
        },
        bound: case.bound,
        dispatch_bound_ms: case.dispatch_bound,
        reached,
    };
    let last = |runs: &mut Vec<Measured>| runs.pop().map(|run| run.events).unwrap_or_default();
    Ok((row, [last(&mut behind), last(&mut runs)]))
}

async fn run_all(case: &Case, order: Order) -> Result<Vec<Measured>, Failure> {
    let mut runs = Vec::new();
    for seed in 0..case.seeds {
        runs.push(Box::pin(bench::measure(case, seed, order)).await?);
    }
    Ok(runs)
}

fn table(rows: &[Row]) -> Table<6> {
    let mut table = Table::new(["case", "barrier", "dataflow", "must reach", "dispatch p99", ""]);
    for row in rows {
        let dispatch = row.dispatch_p99_ms.map(|ms| format!("{ms:.1} ms")).unwrap_or_default();
        let dispatch_bound =
            row.dispatch_bound_ms.map(|ms| format!(" (at most {ms} ms)")).unwrap_or_default();
        let verdict = match (row.bound, row.reached) {
            (None, _) => "",
            (Some(_), true) => "reached",
            (Some(_), false) => "MISSED",
        };
        table.row([
            row.case.clone(),
            row.barrier.map(|value| row.figure(value)).unwrap_or_default(),
            row.figure(row.dataflow),
            row.bound.map(|bound| row.figure(bound)).unwrap_or_default(),
            format!("{dispatch}{dispatch_bound}"),
            verdict.to_owned(),
        ]);
    }
    table
}

// === impl Row ===

impl Row {
    /// How many times as fast something is.
    fn times(case: &str, ratio: f64, bound: f64) -> Self {
        Self {
            case: case.to_owned(),
            barrier: None,
            dataflow: ratio,
            dispatch_p99_ms: None,
            unit: "x",
            bound: Some(bound),
            dispatch_bound_ms: None,
            reached: bound <= ratio,
        }
    }

    /// Two real workers.
    fn pair(bench::Pair { ratio, busy }: bench::Pair) -> Self {
        Self {
            case: format!("demo model, 2 workers x 1 thread ({ratio:.2}x of 1 x 1)"),
            barrier: None,
            dataflow: busy,
            dispatch_p99_ms: None,
            unit: "share",
            bound: Some(TWO_WORKERS),
            dispatch_bound_ms: None,
            reached: TWO_WORKERS <= busy,
        }
    }

    /// A number in the row's unit.
    fn figure(&self, value: f64) -> String {
        match self.unit {
            "share" => format!("{:.1} %", value * 100.0),
            "x" => format!("{value:.2}x"),
            unit => format!("{value:.0} {unit}"),
        }
    }
}
