//! Names of jobs, leases and workers: numbers that cannot be taken for one another.
//!
//! ```compile_fail
//! use tessera_proto::{JobId, LeaseId};
//! let lease: LeaseId = JobId::new(1);
//! ```

use std::{fmt, str::FromStr};

/// A job, written as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(u64);

/// One worker's right to bring one task's result; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(u64);

/// A worker's stay on one stream; a worker that comes back is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(u64);

/// A text that is no job's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("job {text:?} is not a job id, which has 16 hexadecimal digits")]
pub struct InvalidJobId {
    text: String,
}

macro_rules! number {
    ($id:ty) => {
        impl $id {
            /// The id with this number.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }
    };
}

number!(JobId);
number!(LeaseId);
number!(WorkerId);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker-{}", self.0)
    }
}

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u64::from_str_radix(text, 16) {
            Ok(number) if digits => Ok(Self(number)),
            _ => Err(InvalidJobId { text: text.chars().take(40).collect() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_id_survives_its_spelling() {
        let id = JobId::new(0x00ab_cdef_0123_4567);
        assert_eq!(id.to_string(), "00abcdef01234567");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn other_texts_are_no_job_id() {
        for text in ["", "12", "+0abcdef01234567", "00abcdef0123456g", "../../etc/passwd"] {
            assert!(text.parse::<JobId>().is_err(), "{text:?} was taken for a job id");
        }
    }
}
