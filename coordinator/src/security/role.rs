//! What a credential says: who, as what, until when.

use std::{fmt, str::FromStr};

/// What the owner of a credential may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Hand jobs in, look at all of them, fetch and cancel one's own.
    Submit,
    /// Serve a device.
    Worker,
    /// What a submitter may, with everybody's jobs, and drain workers.
    Admin,
}

/// What a caller shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A secret text.
    Token,
    /// A client certificate.
    Certificate,
}

/// A token or certificate that was given out. Times are s since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its name in commands; no secret.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// What it is good for.
    pub role: Role,
    /// Whose it is.
    pub name: String,
    /// The token that a certificate was bought with, the first one where it was renewed since; with that it ends.
    pub parent: Option<String>,
    /// When it was made.
    pub made: i64,
    /// When it ends.
    pub ends: i64,
    /// Whether that is over.
    pub expired: bool,
    /// Whether it was ended early.
    pub revoked: bool,
}

/// A text that names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no role: take submit, worker or admin")]
pub struct RoleError {
    name: String,
}

// === impl Role ===

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Submit, Self::Worker, Self::Admin];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Worker => "worker",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        let named = |role: &Self| role.name() == text;
        Self::ALL.into_iter().find(named).ok_or_else(|| RoleError { name: text.to_owned() })
    }
}

// === impl Kind ===

impl Kind {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Certificate => "certificate",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        [Self::Token, Self::Certificate].into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Credential ===

impl Credential {
    /// Whether it still opens anything.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        !self.expired && !self.revoked
    }
}
