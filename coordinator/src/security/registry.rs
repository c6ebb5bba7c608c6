//! The tokens and certificates of a cluster: a database in; new ones, and what became of old ones, out.

use std::time::Duration;

use super::{Authority, AuthorityError, Credential, Kind, Role, secret};
use crate::store::{Credentials, Database, DatabaseError, NewCredential};

/// How long a worker's certificate is good; it gets a new one well before.
const CERTIFICATE: Duration = Duration::from_secs(90 * 24 * 3600);

/// Longest name of a credential, bytes.
const NAME: usize = 64;

/// Who was given what.
#[derive(Debug, Clone)]
pub struct Registry {
    credentials: Credentials,
}

/// Why a credential was not made, found or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The job store.
    #[error("{message}")]
    Store {
        /// What it says.
        message: String,
    },
    /// A name that would make a mess of lists and logs.
    #[error("the name {name:?} cannot be used: take 1 to {NAME} printable characters")]
    Name {
        /// The name.
        name: String,
    },
    /// The system.
    #[error("the system has no random numbers: {0}")]
    Random(getrandom::Error),
    /// The request for a certificate.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

// === impl Registry ===

impl Registry {
    /// Opens the registry in a job store's database, whose tables are made if they are absent.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn open(url: &str) -> Result<Self, Error> {
        Ok(Self { credentials: Credentials::new(Database::open(url).await?) })
    }

    /// Makes a token; nobody can read it again.
    ///
    /// # Errors
    /// The name is none, or the store cannot be used.
    pub async fn token(&self, role: Role, name: &str, lifetime: Duration) -> Result<String, Error> {
        let token = secret::token(role).map_err(Error::Random)?;
        self.enter((Kind::Token, role), name, (token.as_bytes(), None), lifetime).await?;
        Ok(token)
    }

    /// All credentials, oldest first.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn list(&self) -> Result<Vec<Credential>, Error> {
        Ok(self.credentials.list().await?)
    }

    /// Ends a credential, and the certificates that were bought with it. Returns whether there was anything to end.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn revoke(&self, id: &str) -> Result<bool, Error> {
        Ok(self.credentials.revoke(id).await? > 0)
    }

    /// Signs a request for a certificate (PEM) of a caller, for the caller's own role; the answer is PEM.
    pub(crate) async fn certify(
        &self,
        authority: &Authority,
        (caller, name): (&Credential, &str),
        request: &str,
    ) -> Result<String, Error> {
        let certificate = authority.certify(request, name, CERTIFICATE)?;
        let bought = (certificate.der.as_slice(), Some(caller.id.as_str()));
        self.enter((Kind::Certificate, caller.role), name, bought, CERTIFICATE).await?;
        Ok(certificate.pem)
    }

    /// The credential of a hash.
    pub(crate) async fn find(&self, hash: [u8; 32]) -> Result<Option<Credential>, Error> {
        Ok(self.credentials.find(hash).await?)
    }

    async fn enter(
        &self,
        (kind, role): (Kind, Role),
        name: &str,
        (secret, parent): (&[u8], Option<&str>),
        lifetime: Duration,
    ) -> Result<(), Error> {
        if name.is_empty() || name.len() > NAME || name.chars().any(char::is_control) {
            return Err(Error::Name { name: name.to_owned() });
        }
        let (id, hash) = (secret::id().map_err(Error::Random)?, secret::hash(secret));
        let new = NewCredential { id: &id, hash, kind, role, name, parent, lifetime };
        Ok(self.credentials.insert(new).await?)
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        Self::Store { message: error.to_string() }
    }
}
