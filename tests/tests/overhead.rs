//! What a task costs beyond its network: the trap of small packets that wait for an acknowledgement.

use tessera_tests::{figures::say, render::Render};

/// Nagle's algorithm beside delayed acknowledgements costs 40 ms a message; our own cost is below 1 ms, and tests beside
/// this one take the cores from it.
const BOUND_MS: f64 = 20.0;

#[test]
fn a_round_trip_does_not_wait_for_acknowledgements() {
    let rendered = Render::simulated("sim:0")
        .flags("--width 256 --height 256 --steps 20 --hires-steps 5 --tile 24")
        .rendered();
    let report = rendered.report();
    for stage in ["base", "hires"] {
        let p50 = report.stage(stage, "round_trip_overhead_ms_p50");
        say(format_args!("{stage}: {p50:.2} ms of round trip beyond the network, p50"));
        assert!(p50 < BOUND_MS, "{stage}: {p50} ms");
    }
}
