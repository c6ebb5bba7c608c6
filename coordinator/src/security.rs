//! Who may use a cluster that strangers can reach: tokens and certificates in; a caller, or a refusal in one sentence, out.
//!
//! - [`Authority`]: the cluster's own certificate authority; [`Registry`]: the tokens and certificates that it gave out.
//! - `rule`: what each call asks for; `door`: the layer in front of all services that holds callers to it.
//! - `connection`: how many may come at a time, and how long they may take to say who they are.
//!
//! A worker shows its join token once and gets a certificate for the key that it keeps: what it attends with cannot be read
//! off the wire or out of a log. People and scripts show their token with every call, inside TLS.

mod authority;
mod connection;
mod door;
mod registry;
mod role;
mod rule;
mod secret;

pub use authority::{Authority, Error as AuthorityError};
pub use registry::{Error as RegistryError, Registry};
pub use role::{Credential, Kind, Role, RoleError};

pub(crate) use connection::{Peer, accepted};
pub(crate) use door::{Caller, Door};

/// What a cluster needs to tell its members from strangers.
#[derive(Debug)]
pub(crate) struct Security {
    pub(crate) authority: Authority,
    pub(crate) registry: Registry,
}
