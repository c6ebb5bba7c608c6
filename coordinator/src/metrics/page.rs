//! The page that Prometheus reads: meters and figures in, OpenMetrics text out.
//!
//! Names and labels hold no prompt, no user and no path: workers' names and devices are all that people chose.

use std::collections::BTreeMap;

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::ConstCounter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};
use tessera_proto::Kind;

use super::{Label, Meters};
use crate::actor::{Figures, OpenJobs};

/// Makes the page.
pub(super) fn page(meters: &Meters, figures: &Figures) -> String {
    let mut registry = Registry::with_prefix("tessera");
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "What runs here", build);
    states(&mut registry, figures);
    events(&mut registry, meters, figures);
    let mut page = String::new();
    // Writing to a string cannot fail; half a page would be refused by its reader.
    if encode(&mut page, &registry).is_err() {
        page.clear();
    }
    page
}

/// What is so now.
fn states(registry: &mut Registry, figures: &Figures) {
    let Figures { jobs, load, workers, watchers, wanted, .. } = figures;
    registry.register("jobs", "Jobs that are not over", by_state(*jobs));
    registry.register("tasks_ready", "Tasks that wait for a worker", by_kind(&load.ready));
    registry.register("tasks_running", "Tasks in workers' hands", by_kind(&load.running));
    registry.register("workers", "Workers that are connected", gauge(*workers));
    registry.register("workers_wanted", "Workers that would not be idle", gauge(*wanted));
    registry.register("watchers", "Clients that follow a job", gauge(*watchers));
}

/// What has happened so far.
fn events(registry: &mut Registry, meters: &Meters, figures: &Figures) {
    let Meters {
        dispatch,
        checkpoint,
        checkpoint_bytes,
        store_errors,
        retries,
        refused,
        ended,
        tasks,
        busy,
        spans: _,
    } = meters;
    let (stale, duplicates) = (ConstCounter::new(figures.stale), ConstCounter::new(figures.duplicates));
    registry.register("jobs_ended", "Jobs that are over, by how they ended", ended.clone());
    registry.register("dispatch_seconds", "From a result to the next task on its way", dispatch.clone());
    registry.register("worker_tasks", "Tasks that a worker has ended", tasks.clone());
    registry.register("worker_busy_seconds", "Time that a worker was inside networks", busy.clone());
    registry.register("task_retries", "Tasks that were given to another worker", retries.clone());
    registry.register("task_duplicates", "Tasks that a second worker was given", duplicates);
    registry.register("results_stale", "Results that came too late to count", stale);
    registry.register("results_refused", "Results that were not what was asked for", refused.clone());
    registry.register("checkpoint_seconds", "From a checkpoint's order until it is safe", checkpoint.clone());
    registry.register("checkpoint_bytes", "Bytes of checkpoints", checkpoint_bytes.clone());
    registry.register("store_errors", "Writes and reads of the store that failed", store_errors.clone());
}

fn by_state(jobs: OpenJobs) -> Family<[Label; 1], Gauge> {
    let OpenJobs { waiting, running, saving, paused } = jobs;
    let counts = [("waiting", waiting), ("running", running), ("saving", saving), ("paused", paused)];
    family("state", counts)
}

/// Kinds without tasks count too: a series that ends looks like one that stays.
fn by_kind(counts: &BTreeMap<Kind, u64>) -> Family<[Label; 1], Gauge> {
    let kinds = [Kind::Embed, Kind::Denoise, Kind::Upscale, Kind::Encode, Kind::Decode, Kind::Measure];
    family("kind", kinds.map(|kind| (kind.name(), counts.get(&kind).copied().unwrap_or_default())))
}

fn family<const N: usize>(label: &'static str, counts: [(&str, u64); N]) -> Family<[Label; 1], Gauge> {
    let family: Family<[Label; 1], Gauge> = Family::default();
    for (value, count) in counts {
        family.get_or_create(&[(label, value.to_owned())]).set(signed(count));
    }
    family
}

fn gauge(value: u64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(signed(value));
    gauge
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tessera_proto::{JobId, JobState};

    use super::*;
    use crate::{fleet::Load, metrics::Again};

    fn lines(page: &str) -> Vec<&str> {
        page.lines().filter(|line| !line.starts_with('#')).collect()
    }

    #[test]
    fn everything_that_happened_is_on_the_page() {
        let meters = Meters::default();
        meters.dispatched(Duration::from_micros(300));
        meters.kept(1000, Duration::from_millis(3));
        meters.store_failed();
        meters.again(Again::Lost);
        meters.refused();
        meters.ended(JobId::new(1), (JobState::Done, None), (Duration::ZERO, Instant::now()));
        meters.worked(("a \"quoted\" name", "cuda:0"), Duration::from_millis(1500));
        let figures = Figures {
            jobs: OpenJobs { waiting: 3, running: 2, ..OpenJobs::default() },
            load: Load {
                ready: [(Kind::Denoise, 7)].into(),
                running: [(Kind::Denoise, 4), (Kind::Embed, 1)].into(),
            },
            workers: 5,
            watchers: 6,
            stale: 8,
            duplicates: 9,
            wanted: 14,
            fault: None,
        };
        let page = page(&meters, &figures);
        for line in [
            concat!("tessera_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "tessera_jobs{state=\"waiting\"} 3",
            "tessera_jobs{state=\"running\"} 2",
            "tessera_jobs{state=\"paused\"} 0",
            "tessera_tasks_ready{kind=\"denoise\"} 7",
            "tessera_tasks_ready{kind=\"decode\"} 0",
            "tessera_tasks_running{kind=\"embed\"} 1",
            "tessera_workers 5",
            "tessera_workers_wanted 14",
            "tessera_watchers 6",
            "tessera_jobs_ended_total{state=\"done\"} 1",
            "tessera_jobs_ended_total{state=\"failed\"} 0",
            "tessera_dispatch_seconds_count 1",
            "tessera_dispatch_seconds_bucket{le=\"0.0004\"} 1",
            "tessera_worker_tasks_total{worker=\"a \\\"quoted\\\" name\",device=\"cuda:0\"} 1",
            "tessera_worker_busy_seconds_total{worker=\"a \\\"quoted\\\" name\",device=\"cuda:0\"} 1.5",
            "tessera_task_retries_total{reason=\"lost\"} 1",
            "tessera_task_retries_total{reason=\"failed\"} 0",
            "tessera_task_duplicates_total 9",
            "tessera_results_stale_total 8",
            "tessera_results_refused_total 1",
            "tessera_checkpoint_seconds_count 1",
            "tessera_checkpoint_bytes_total 1000",
            "tessera_store_errors_total 1",
        ] {
            assert!(lines(&page).contains(&line), "no {line:?} in\n{page}");
        }
        assert!(page.ends_with("# EOF\n"), "{page}");
    }

    #[test]
    fn a_worker_that_went_leaves_no_series() {
        let meters = Meters::default();
        meters.came(("old", "cpu"));
        assert!(page(&meters, &Figures::default()).contains("{worker=\"old\",device=\"cpu\"} 0"));
        meters.worked(("old", "cpu"), Duration::from_secs(1));
        meters.went(("old", "cpu"));
        assert!(!page(&meters, &Figures::default()).contains("\"old\""));
    }
}
