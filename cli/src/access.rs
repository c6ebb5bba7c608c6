//! How to be admitted by a coordinator: flags and files in, a certificate to trust and a token to show out.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    address::{self, Address},
    args::AccessArgs,
};

/// Where `tessera init` puts what it makes, under `$TESSERA_HOME`.
pub(crate) const TLS: &str = "tls";

/// The authority's certificate in it.
pub(crate) const CA: &str = "ca.pem";

/// What a coordinator behind TLS is shown, and is to show.
#[derive(Clone, Default)]
pub(crate) struct Access {
    /// The authority's certificate, PEM; `None` = no TLS.
    pub(crate) ca: Option<String>,
    /// The token.
    pub(crate) token: Option<String>,
}

/// A coordinator, and how to be admitted there.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Where it answers.
    pub(crate) address: Address,
    /// What it is shown.
    pub(crate) access: Access,
}

/// Why a coordinator cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Its address is none.
    #[error(transparent)]
    Address(#[from] address::Error),
    /// There is no certificate to trust.
    #[error(
        "{address} needs the certificate of the cluster's authority: copy {CA} from the coordinator and name it with --ca"
    )]
    NoCa {
        /// The coordinator.
        address: Address,
    },
    /// A file cannot be read.
    #[error("{flag} {}: {error}", path.display())]
    File {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file is no certificate.
    #[error("--ca {} is no certificate: take the {CA} that `tessera init` made", path.display())]
    NotCa {
        /// The file.
        path: PathBuf,
    },
}

// === impl Target ===

impl Target {
    /// The coordinator of a URL.
    ///
    /// # Errors
    /// It is none, or what it takes to be admitted there is missing.
    pub(crate) fn of(coordinator: &str, args: &AccessArgs) -> Result<Self, Error> {
        let address: Address = coordinator.parse()?;
        Ok(Self { access: Access::of(args, &address)?, address })
    }
}

// === impl Access ===

impl Access {
    /// What the flags say for this address. Over a connection that others can read no token is shown.
    ///
    /// # Errors
    /// A file cannot be read, or there is no certificate to trust.
    fn of(args: &AccessArgs, address: &Address) -> Result<Self, Error> {
        if !address.is_encrypted() {
            return Ok(Self::default());
        }
        let default =
            || tessera_worker::home().map(|home| home.join(TLS).join(CA)).filter(|path| path.exists());
        let path =
            args.ca.clone().or_else(default).ok_or_else(|| Error::NoCa { address: address.clone() })?;
        let ca = fs::read_to_string(&path);
        let ca = ca.map_err(|error| Error::File { flag: "--ca", path: path.clone(), error })?;
        if !ca.contains("BEGIN CERTIFICATE") {
            return Err(Error::NotCa { path });
        }
        Ok(Self { ca: Some(ca), token: token(args)? })
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ca, token } = self;
        f.debug_struct("Access").field("tls", &ca.is_some()).field("token", &token.is_some()).finish()
    }
}

fn token(args: &AccessArgs) -> Result<Option<String>, Error> {
    let read = |path: &Path| {
        let token = tessera_worker::token_file(path);
        token.map_err(|error| Error::File { flag: "--token-file", path: path.to_owned(), error })
    };
    match (&args.token, &args.token_file) {
        // An empty variable is none.
        (Some(token), _) => Ok(Some(token.trim().to_owned()).filter(|token| !token.is_empty())),
        (None, Some(path)) => read(path).map(Some),
        (None, None) => Ok(None),
    }
}
