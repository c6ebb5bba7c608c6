//! Figures that we promise: measured values in, a line each on standard error and a verdict out.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

/// The figures of one bench.
#[derive(Debug, Default)]
pub struct Figures {
    missed: usize,
}

/// Says something on standard error, also from a test that passes: the test runner holds back what is printed by other
/// means.
pub fn say(line: impl Display) {
    // Nobody is left to tell when this fails.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

// === impl Figures ===

impl Figures {
    /// A figure without a bound.
    pub fn note(&self, name: &str, value: f64, unit: &str) {
        say(format_args!("{name:<58} {value:>10.3} {unit}"));
    }

    /// A figure that must not be larger than `bound`.
    pub fn at_most(&mut self, name: &str, (value, unit): (f64, &str), bound: f64) {
        self.judge(name, (value, unit), ("at most", bound), value <= bound);
    }

    /// A figure that must not be smaller than `bound`.
    pub fn at_least(&mut self, name: &str, (value, unit): (f64, &str), bound: f64) {
        self.judge(name, (value, unit), ("at least", bound), bound <= value);
    }

    /// Success when no bound was missed.
    #[must_use]
    pub fn verdict(&self) -> ExitCode {
        if self.missed == 0 {
            return ExitCode::SUCCESS;
        }
        say(format_args!("{} bounds were missed", self.missed));
        ExitCode::FAILURE
    }

    fn judge(&mut self, name: &str, (value, unit): (f64, &str), (word, bound): (&str, f64), holds: bool) {
        let verdict = if holds { "ok" } else { "MISSED" };
        say(format_args!("{name:<58} {value:>10.3} {unit:<4} {word} {bound}: {verdict}"));
        self.missed += usize::from(!holds);
    }
}
