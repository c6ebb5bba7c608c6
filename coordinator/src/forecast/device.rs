//! What is known of a device: measured times of some classes in, the time of any class and how well it is known out.
//!
//! A class that was never measured is estimated, and said to be: from the same network on another size on this device, in
//! proportion to what both take on another device, or to the px that go in; else from what other devices take, those of the
//! same kind of engine first.

use std::time::Duration;

use serde::Serialize;
use tessera_proto::{Class, Kind, Speed};

/// A device and what was measured of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its name for people.
    pub name: String,
    /// The device, as given to `--device`.
    pub device: String,
    /// What its tasks take.
    pub speeds: Vec<Speed>,
}

/// How well a time is known; the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The class was measured on the device.
    Measured,
    /// The same network was, on another size.
    Scaled,
    /// Other devices were.
    Borrowed,
}

/// What a task takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) took: Duration,
    pub(super) basis: Basis,
}

// === impl Device ===

impl Device {
    /// A device of which is known that a task of this class takes so long.
    #[must_use]
    pub fn of(number: usize, class: Class, took: Duration) -> Self {
        let ms = took.as_secs_f64() * 1e3;
        Self {
            name: format!("device {number}"),
            device: format!("{ms} ms"),
            speeds: vec![Speed { class, took }],
        }
    }

    /// The kind of its engine.
    fn engine(&self) -> &str {
        self.device.split(':').next().unwrap_or_default()
    }

    /// What it takes, where that was measured.
    fn measured(&self, class: Class) -> Option<Duration> {
        self.speeds.iter().find(|speed| speed.class == class).map(|speed| speed.took)
    }

    /// What it takes, as far as it was measured itself; beside what the others were.
    fn own(&self, class: Class, all: &[Self]) -> Option<Time> {
        if let Some(took) = self.measured(class) {
            return Some(Time { took, basis: Basis::Measured });
        }
        let alike = self.speeds.iter().filter(|speed| alike(speed.class, class));
        let ratios = alike.filter_map(|speed| Some((work(class)? / work(speed.class)?, *speed)));
        // From the nearest size: the farther, the less is time in proportion to it.
        let (ratio, speed) = ratios.min_by(|(a, _), (b, _)| a.ln().abs().total_cmp(&b.ln().abs()))?;
        // Better than the px is what both sizes take on another device.
        let both = |other: &Self| {
            let (wanted, known) = (other.measured(class)?, other.measured(speed.class)?);
            (!known.is_zero()).then(|| wanted.as_secs_f64() / known.as_secs_f64())
        };
        let ratio = all.iter().find_map(both).unwrap_or(ratio);
        Some(Time { took: speed.took.mul_f64(ratio), basis: Basis::Scaled })
    }
}

/// What each device takes for a class; `None` where nothing is known of any.
pub(super) fn times(devices: &[Device], class: Class) -> Option<Vec<Time>> {
    let own: Vec<Option<Time>> = devices.iter().map(|device| device.own(class, devices)).collect();
    let of = |engine: Option<&str>| {
        let among =
            devices.iter().zip(&own).filter(|(device, _)| engine.is_none_or(|name| device.engine() == name));
        let mut took: Vec<Duration> = among.filter_map(|(_, time)| time.map(|time| time.took)).collect();
        took.sort_unstable();
        took.get(took.len().saturating_sub(1) / 2).copied()
    };
    let time = |(device, own): (&Device, &Option<Time>)| {
        let borrowed = || of(Some(device.engine())).or_else(|| of(None));
        own.or_else(|| borrowed().map(|took| Time { took, basis: Basis::Borrowed }))
    };
    devices.iter().zip(&own).map(time).collect()
}

/// Whether one time can be estimated from the other: the same network, and the same part of it.
fn alike(one: Class, other: Class) -> bool {
    one.kind == other.kind && (one.part == other.part || one.kind == Kind::Denoise)
}

/// What goes into a network, in px of one row of conditioning; `None` where a class does not say.
fn work(class: Class) -> Option<f64> {
    let Class { kind, part, shape: [n, _, h, w] } = class;
    let px = match kind {
        Kind::Denoise => f64::from(part) * f64::from(n) * f64::from(h) * f64::from(w),
        Kind::Upscale => f64::from(h) * f64::from(w),
        // Of the VAE's tiles, which are about square, the height alone is known.
        Kind::Encode | Kind::Decode => f64::from(h) * f64::from(h),
        Kind::Embed | Kind::Measure => 0.0,
    };
    (0.0 < px).then_some(px)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TILE: Class = Class { kind: Kind::Denoise, part: 2, shape: [1, 4, 96, 96] };

    fn device(device: &str, speeds: &[(Class, u64)]) -> Device {
        let speed = |&(class, ms)| Speed { class, took: Duration::from_millis(ms) };
        Device { name: "a".into(), device: device.into(), speeds: speeds.iter().map(speed).collect() }
    }

    fn known(devices: &[Device], class: Class) -> Vec<(u128, Basis)> {
        let times = times(devices, class).unwrap_or_default();
        times.iter().map(|time| (time.took.as_millis(), time.basis)).collect()
    }

    #[test]
    fn what_was_measured_is_taken_as_it_is() {
        let batch = Class { shape: [4, 4, 96, 96], ..TILE };
        let devices = [device("cuda:0", &[(TILE, 86), (batch, 200)])];
        assert_eq!(known(&devices, TILE), [(86, Basis::Measured)]);
        assert_eq!(known(&devices, batch), [(200, Basis::Measured)], "a batch pays where it was measured to");
    }

    #[test]
    fn another_size_is_estimated_from_the_nearest_one() {
        let sized = |n, side| Class { shape: [n, 4, side, side], ..TILE };
        let devices = [device("cuda:0", &[(sized(1, 32), 20), (TILE, 90)])];
        assert_eq!(known(&devices, sized(1, 64)), [(40, Basis::Scaled)], "4/9 of the larger one");
        assert_eq!(
            known(&devices, sized(2, 96)),
            [(180, Basis::Scaled)],
            "a batch costs what its tiles cost"
        );
        assert_eq!(known(&devices, Class { part: 3, ..TILE }), [(135, Basis::Scaled)], "one row more");
        let round = |part, height| Class { kind: Kind::Decode, part, shape: [1, 0, height, 0] };
        let devices = [device("cuda:0", &[(round(3, 512), 40)])];
        assert_eq!(known(&devices, round(3, 256)), [(10, Basis::Scaled)]);
        assert_eq!(known(&devices, round(4, 512)), [], "another part of the decoder is another network");
    }

    #[test]
    fn two_sizes_are_in_the_proportion_that_another_device_has_shown() {
        let small = Class { shape: [1, 4, 48, 48], ..TILE };
        let devices = [device("cuda:0", &[(TILE, 100), (small, 60)]), device("cpu:2", &[(TILE, 500)])];
        assert_eq!(known(&devices, small), [(60, Basis::Measured), (300, Basis::Scaled)]);
    }

    #[test]
    fn an_unknown_device_is_taken_for_one_of_its_kind() {
        let strangers = [
            device("cuda:0", &[(TILE, 86)]),
            device("cuda:1", &[]),
            device("cpu:4", &[(TILE, 900)]),
            device("rocm:0", &[]),
        ];
        let times = known(&strangers, TILE);
        assert_eq!(times[1], (86, Basis::Borrowed));
        assert_eq!(times[3], (86, Basis::Borrowed), "the faster of two in the middle");
        assert_eq!(known(&strangers[1..2], TILE), [], "nothing comes of nothing");
    }
}
