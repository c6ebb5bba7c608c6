//! A forecast for people: times, and why they are what they are.

use std::fmt;

use tessera_proto::Stage;

use super::{Advice, Basis, Change, DeviceForecast, Forecast, StageForecast, StageTime};

/// What stands before a time that is an estimate.
const ESTIMATE: &str = "~";

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let devices = self.stages.iter().find_map(|stage| Some(stage.time.as_ref()?.devices.len()));
        let Some(devices) = devices else {
            return write!(f, "time: nothing was measured of this model on any device yet");
        };
        let s = if devices == 1 { "" } else { "s" };
        writeln!(f, "time on {devices} device{s}, in networks alone, beside no other job:")?;
        let names = self.stages.iter().map(|stage| stage.network.chars().count()).max().unwrap_or(0).max(12);
        writeln!(f, "{:<8} {:<names$} {:>10} {:>6}  limited by", "stage", "network", "time", "busy")?;
        for StageForecast { stage, network, time } in &self.stages {
            write!(f, "{:<8} {network:<names$} ", stage.name())?;
            match time {
                None => writeln!(f, "{:>10} {:>6}  not measured on any device yet", "?", "")?,
                Some(time) => {
                    let StageTime { seconds, busy_share, limit, .. } = time;
                    writeln!(f, "{:>10} {:>4.0} %  {limit}", text(*seconds, time.basis), 100.0 * busy_share)?;
                }
            }
        }
        let worst = self.stages.iter().filter_map(|stage| Some(stage.time.as_ref()?.basis)).max();
        match self.seconds {
            Some(seconds) => write!(f, "{} in all", text(seconds, worst.unwrap_or(Basis::Measured)))?,
            None => write!(f, "the time of all stages is not known")?,
        }
        let main = self.stages.iter().rfind(|stage| matches!(stage.stage, Stage::Hires | Stage::Base));
        if let Some((stage, time)) = main.and_then(|main| Some((main.stage, main.time.as_ref()?))) {
            write!(f, "\n{}, device by device:", stage.name())?;
            time.devices.iter().try_for_each(|device| write!(f, "\n{device}"))?;
        }
        if worst.is_some_and(|basis| Basis::Measured < basis) {
            write!(
                f,
                "\n{ESTIMATE} estimated, in proportion to the px, from what was measured of another size or device"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for DeviceForecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, device, task_ms, basis, tasks_a_step, busy_share, .. } = self;
        let mark = mark(*basis);
        let call = format!("{mark}{task_ms:.1} ms a call");
        write!(f, "  {name} ({device}): {call}, {tasks_a_step:.2} a step, busy {:.0} %", 100.0 * busy_share)?;
        match basis {
            Basis::Measured => {}
            Basis::Scaled => write!(f, ", estimated from another size")?,
            Basis::Borrowed => write!(f, ", estimated from other devices")?,
        }
        if self.tasks == 0 { write!(f, ": others end all tiles as soon, or sooner") } else { Ok(()) }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flags, seconds, instead_of_s, tiles, basis, changes } = self;
        let time = text(*seconds, *basis);
        write!(
            f,
            "faster: {flags} makes the tiled pass {time} instead of {instead_of_s:.1} s, in {tiles} tiles; "
        )?;
        f.write_str(match changes {
            Change::Picture => "other tiles make another picture",
            Change::LastBits => "another batch may change the last bits",
        })
    }
}

fn text(seconds: f64, basis: Basis) -> String {
    let digits = if seconds < 10.0 { 2 } else { 1 };
    format!("{}{seconds:.digits$} s", mark(basis))
}

const fn mark(basis: Basis) -> &'static str {
    match basis {
        Basis::Measured => "",
        Basis::Scaled | Basis::Borrowed => ESTIMATE,
    }
}
