//! The device that a worker runs on, as people write it: text in, a checked choice out.

mod pace;

use std::{fmt, num::NonZeroUsize, str::FromStr, time::Duration};

pub use pace::Pace;

/// Most threads that `cpu:THREADS` takes.
pub const MAX_THREADS: usize = 1024;

/// Highest card number.
pub const MAX_CARD: u32 = 255;

/// Longest simulated network call: an hour.
pub const MAX_DELAY: Duration = Duration::from_secs(3600);

/// The forms that a device is written in.
const FORMS: [&str; 9] = [
    "cpu",
    "cpu:THREADS",
    "cuda:N",
    "tensorrt:N",
    "rocm:N",
    "directml:N",
    "coreml",
    "openvino",
    "sim:MILLISECONDS",
];

/// Where networks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceSpec {
    /// This machine's processor.
    Cpu {
        /// Threads inside a network call; `None` = one per core.
        threads: Option<NonZeroUsize>,
    },
    /// An NVIDIA card through CUDA.
    Cuda {
        /// Number of the card, from 0.
        card: u32,
    },
    /// An NVIDIA card through TensorRT; what TensorRT cannot run goes to CUDA on the same card.
    TensorRt {
        /// Number of the card, from 0.
        card: u32,
    },
    /// An AMD card.
    Rocm {
        /// Number of the card, from 0.
        card: u32,
    },
    /// A card through DirectML (Windows).
    DirectMl {
        /// Number of the card, from 0.
        card: u32,
    },
    /// Apple's Core ML.
    CoreMl,
    /// Intel's OpenVINO.
    OpenVino,
    /// No device: made-up results after a delay, for tests of everything around.
    Simulated {
        /// How long its network calls take.
        pace: Pace,
    },
}

/// Why a text names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No form begins like this.
    #[error("unknown device {given:?}: use {}{}", forms(), hint(*nearest))]
    Unknown {
        /// The text, shortened.
        given: String,
        /// The form that is meant, perhaps.
        nearest: Option<&'static str>,
    },
    /// The part after the colon is missing, superfluous, or no number in range.
    #[error("device {given:?} is not of the form {form}: {expected}")]
    Argument {
        /// The text, shortened.
        given: String,
        /// The form.
        form: &'static str,
        /// What the part after the colon must be.
        expected: String,
    },
}

// === impl DeviceSpec ===

impl FromStr for DeviceSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (kind, argument) = match text.split_once(':') {
            Some((kind, argument)) => (kind, Some(argument)),
            None => (text, None),
        };
        let given: String = text.chars().take(40).collect();
        let card = |form| {
            let card = argument.and_then(|argument| argument.parse().ok()).filter(|&card| card <= MAX_CARD);
            let expected = format!("N is the number of the card, 0 to {MAX_CARD}");
            card.ok_or_else(|| Error::Argument { given: given.clone(), form, expected })
        };
        let bare = |spec, form| match argument {
            None => Ok(spec),
            Some(_) => {
                Err(Error::Argument { given: given.clone(), form, expected: "nothing follows it".to_owned() })
            }
        };
        match kind {
            "cpu" => cpu(argument, &given),
            "cuda" => Ok(Self::Cuda { card: card("cuda:N")? }),
            "tensorrt" => Ok(Self::TensorRt { card: card("tensorrt:N")? }),
            "rocm" => Ok(Self::Rocm { card: card("rocm:N")? }),
            "directml" => Ok(Self::DirectMl { card: card("directml:N")? }),
            "coreml" => bare(Self::CoreMl, "coreml"),
            "openvino" => bare(Self::OpenVino, "openvino"),
            "sim" => simulated(argument, &given),
            _ => Err(Error::Unknown { nearest: nearest(kind), given }),
        }
    }
}

impl fmt::Display for DeviceSpec {
    /// The form that [`FromStr`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu { threads: None } => f.write_str("cpu"),
            Self::Cpu { threads: Some(threads) } => write!(f, "cpu:{threads}"),
            Self::Cuda { card } => write!(f, "cuda:{card}"),
            Self::TensorRt { card } => write!(f, "tensorrt:{card}"),
            Self::Rocm { card } => write!(f, "rocm:{card}"),
            Self::DirectMl { card } => write!(f, "directml:{card}"),
            Self::CoreMl => f.write_str("coreml"),
            Self::OpenVino => f.write_str("openvino"),
            Self::Simulated { pace } => write!(f, "sim:{pace}"),
        }
    }
}

fn cpu(argument: Option<&str>, given: &str) -> Result<DeviceSpec, Error> {
    let Some(argument) = argument else {
        return Ok(DeviceSpec::Cpu { threads: None });
    };
    let threads = argument.parse::<NonZeroUsize>().ok().filter(|threads| threads.get() <= MAX_THREADS);
    let expected = format!("THREADS is 1 to {MAX_THREADS}");
    let threads =
        threads.ok_or_else(|| Error::Argument { given: given.to_owned(), form: "cpu:THREADS", expected })?;
    Ok(DeviceSpec::Cpu { threads: Some(threads) })
}

fn simulated(argument: Option<&str>, given: &str) -> Result<DeviceSpec, Error> {
    let pace = Pace::parse(argument.unwrap_or_default());
    let pace =
        pace.map_err(|expected| Error::Argument { given: given.to_owned(), form: pace::FORM, expected })?;
    Ok(DeviceSpec::Simulated { pace })
}

/// The form whose first word is at most two slips away.
fn nearest(kind: &str) -> Option<&'static str> {
    let kind: String = kind.chars().take(40).flat_map(char::to_lowercase).collect();
    let slips = |form: &&str| strsim::damerau_levenshtein(&kind, form.split(':').next().unwrap_or_default());
    FORMS.into_iter().filter(|form| slips(form) <= 2).min_by_key(slips)
}

fn forms() -> String {
    let [first @ .., last] = FORMS;
    format!("{} or {last}", first.join(", "))
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |form| format!("; did you mean {form}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        for text in [
            "cpu",
            "cpu:3",
            "cuda:0",
            "tensorrt:1",
            "rocm:2",
            "directml:0",
            "coreml",
            "openvino",
            "sim:20",
            "sim:0.5",
            "sim:0",
            "sim:86~0.1",
            "sim:86~0.1/0.01x5",
            "sim:0.5/0.001x2.5#18",
            "sim:20@9x20",
            "sim:86~0.1/0.01x5@100x2.5#7",
        ] {
            assert_eq!(text.parse::<DeviceSpec>().unwrap().to_string(), text);
        }
        let pace = Pace::steady(Duration::from_micros(500));
        assert_eq!("sim:0.5".parse(), Ok(DeviceSpec::Simulated { pace }));
    }

    fn refusal(text: &str) -> String {
        text.parse::<DeviceSpec>().unwrap_err().to_string()
    }

    #[test]
    fn a_slip_is_answered_with_the_nearest_form() {
        assert_eq!(
            refusal("cdua:0"),
            "unknown device \"cdua:0\": use cpu, cpu:THREADS, cuda:N, tensorrt:N, rocm:N, directml:N, coreml, openvino \
             or sim:MILLISECONDS; did you mean cuda:N?"
        );
        assert!(refusal("quantum").ends_with("openvino or sim:MILLISECONDS"));
        assert!(refusal("").starts_with("unknown device \"\""));
        assert!(refusal("CPU").ends_with("did you mean cpu?"));
    }

    #[test]
    fn arguments_are_bounded() {
        assert_eq!(refusal("cpu:0"), "device \"cpu:0\" is not of the form cpu:THREADS: THREADS is 1 to 1024");
        assert_eq!(
            refusal("cuda"),
            "device \"cuda\" is not of the form cuda:N: N is the number of the card, 0 to 255"
        );
        assert_eq!(refusal("coreml:1"), "device \"coreml:1\" is not of the form coreml: nothing follows it");
        for text in [
            "cpu:1025",
            "cuda:-1",
            "cuda:256",
            "sim:",
            "sim:-1",
            "sim:NaN",
            "sim:1e300",
            "sim:3600001",
            "sim:5~2",
            "sim:5/0.1",
            "sim:5/2x3",
            "sim:5/0.1x1001",
            "sim:5#x",
            "sim:5@x2",
            "sim:5@1.5x2",
            "sim:5@1x1001",
        ] {
            assert!(refusal(text).contains("is not of the form"), "{text}");
        }
    }
}
