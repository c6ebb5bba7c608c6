//! The tokens and certificates of a cluster: a database in; new ones, and what became of old ones, out.

use std::{path::Path, time::Duration};

use super::{Authority, AuthorityError, Credential, Kind, Role, authority::Identity, secret};
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

    /// Makes a certificate with its key, for a program that can show nothing else, and writes them to `folder` as `tls.crt`
    /// and `tls.key`.
    ///
    /// # Errors
    /// The folder has a key already or takes no files, the name is none, or the store cannot be used.
    pub async fn certificate(
        &self,
        authority: &Authority,
        (role, name): (Role, &str),
        lifetime: Duration,
        folder: &Path,
    ) -> Result<(), Error> {
        Identity::vacant(folder)?;
        let identity = authority.identity(name, lifetime)?;
        // Known before it is shown: one that nobody knows of would look like another cluster's.
        self.enter((Kind::Certificate, role), name, (&identity.certificate.der, None), lifetime).await?;
        Ok(identity.write(folder)?)
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
        // A renewed certificate is its token's too: else it would outlive a revoked one.
        let token = caller.parent.as_ref().unwrap_or(&caller.id);
        let bought = (certificate.der.as_slice(), Some(token.as_str()));
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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use x509_parser::pem::Pem;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn request() -> String {
        let key = KeyPair::generate().unwrap();
        CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap()
    }

    /// What a caller shows who has such a certificate.
    fn shown(pem: &str) -> [u8; 32] {
        let pem = Pem::iter_from_buffer(pem.as_bytes()).next().unwrap().unwrap();
        secret::hash(&pem.contents)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_certificate_with_its_key_is_known_and_replaces_none() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(folder.path(), &["localhost".to_owned()]).unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("a").display());
        let registry = Registry::open(&url).await.unwrap();
        let place = folder.path().join("keda");
        registry.certificate(&authority, (Role::Submit, "keda"), DAY, &place).await.unwrap();
        let pem = std::fs::read_to_string(place.join("tls.crt")).unwrap();
        let found = registry.find(shown(&pem)).await.unwrap().unwrap();
        assert_eq!((found.kind, found.role, found.name.as_str()), (Kind::Certificate, Role::Submit, "keda"));
        let key = KeyPair::from_pem(&std::fs::read_to_string(place.join("tls.key")).unwrap()).unwrap();
        let pem = Pem::iter_from_buffer(pem.as_bytes()).next().unwrap().unwrap();
        let public = pem.parse_x509().unwrap().public_key().subject_public_key.data.to_vec();
        assert_eq!(public, key.public_key_raw(), "the key is the certificate's");
        let again = registry.certificate(&authority, (Role::Submit, "keda"), DAY, &place).await;
        let error = again.unwrap_err().to_string();
        assert!(error.ends_with("tls.key is there already: name another folder, or remove it"), "{error}");
        assert_eq!(registry.list().await.unwrap().len(), 1, "none was made that nobody has");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_certificate_ends_with_its_token_however_often_it_was_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(folder.path(), &["localhost".to_owned()]).unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("a").display());
        let registry = Registry::open(&url).await.unwrap();
        let token = registry.token(Role::Worker, "farm", DAY).await.unwrap();
        let token = registry.find(secret::hash(token.as_bytes())).await.unwrap().unwrap();
        let mut caller = token.clone();
        for _ in 0..3 {
            let pem = registry.certify(&authority, (&caller, "host"), &request()).await.unwrap();
            caller = registry.find(shown(&pem)).await.unwrap().unwrap();
            assert_eq!(caller.parent.as_ref(), Some(&token.id));
            assert_eq!((caller.kind, caller.role, caller.is_good()), (Kind::Certificate, Role::Worker, true));
        }
        assert!(registry.revoke(&token.id).await.unwrap());
        assert!(registry.list().await.unwrap().iter().all(|credential| credential.revoked));
        let error = registry.token(Role::Submit, "two\nlines", DAY).await.unwrap_err().to_string();
        assert!(error.starts_with("the name \"two\\nlines\" cannot be used"), "{error}");
    }
}
