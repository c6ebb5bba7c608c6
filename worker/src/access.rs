//! How a worker shows who it is: a join token in, a certificate for a key of its own out, kept for the next time.

use std::{
    error::Error as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{CertificateParams, KeyPair};
use tonic::transport::{self, Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use x509_parser::pem::Pem;

use crate::link::{self, Error};

/// A certificate that ends sooner is renewed.
const RENEW: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a line of a kept file begins with that tells which token bought the certificate.
const BOUGHT_WITH: &str = "token: ";

/// How to be admitted by a coordinator that asks for TLS.
#[derive(Debug, Clone)]
pub struct Access {
    /// The certificate of the cluster's authority, PEM.
    pub ca: String,
    /// The token to join with; not needed by a worker that has joined.
    pub token: Option<String>,
    /// Folder where keys and certificates are kept.
    pub folder: PathBuf,
    /// Who the certificate is for, for people: the host.
    pub name: String,
}

/// A key and its certificate, PEM.
#[derive(Debug, Clone)]
struct Kept {
    key: String,
    certificate: String,
    /// Hash of the token that bought it.
    token: Option<String>,
}

// === impl Access ===

impl Access {
    /// Opens a channel with our certificate, which is asked for if there is none, or if it ends soon.
    ///
    /// # Errors
    /// Nobody answers, the coordinator is another cluster's, or it refuses us.
    pub(crate) async fn connect(&self, endpoint: Endpoint) -> Result<Channel, Error> {
        let kept = self.read();
        let kept = match kept.filter(|kept| self.is_bought_with_ours(kept)) {
            Some(kept) if RENEW < kept.left() => kept,
            Some(kept) => match self.enroll(&endpoint, Some(&kept)).await {
                Ok(renewed) => renewed,
                Err(error) if kept.left().is_zero() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "the certificate was not renewed");
                    kept
                }
            },
            None => self.enroll(&endpoint, None).await?,
        };
        self.dial(&endpoint, Some(&kept)).await
    }

    /// Asks for a certificate of a new key, and keeps both.
    async fn enroll(&self, endpoint: &Endpoint, old: Option<&Kept>) -> Result<Kept, Error> {
        let request = || {
            let key = KeyPair::generate()?;
            let request = CertificateParams::default().serialize_request(&key)?.pem()?;
            Ok((key.serialize_pem(), request))
        };
        let (key, request) =
            request().map_err(|error: rcgen::Error| Error::Key { message: error.to_string() })?;
        let channel = self.dial(endpoint, old).await?;
        let certificate = link::enroll(channel, (request, self.name.clone()), self.token.as_deref()).await?;
        let kept = Kept { key, certificate, token: self.token.as_deref().map(hash) };
        self.write(&kept).map_err(|error| Error::Keep { path: self.path(), error })?;
        tracing::info!(file = %self.path().display(), "got a certificate");
        Ok(kept)
    }

    async fn dial(&self, endpoint: &Endpoint, kept: Option<&Kept>) -> Result<Channel, Error> {
        let url = endpoint.uri().to_string();
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.ca));
        if let Some(Kept { key, certificate, .. }) = kept {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let connect = async || endpoint.clone().tls_config(tls)?.connect().await;
        connect().await.map_err(|error| unreachable(&url, &error))
    }

    /// Whether a certificate is what our token would buy; with none, any is.
    fn is_bought_with_ours(&self, kept: &Kept) -> bool {
        self.token.as_deref().is_none_or(|token| kept.token == Some(hash(token)))
    }

    /// One file per cluster.
    fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.pem", &hash(&self.ca)[..16]))
    }

    /// What is kept; one that cannot be used is as good as none.
    fn read(&self) -> Option<Kept> {
        let text = fs::read_to_string(self.path()).ok()?;
        let token = text.lines().find_map(|line| line.strip_prefix(BOUGHT_WITH)).map(str::to_owned);
        let at = text.find("-----BEGIN CERTIFICATE")?;
        let key = text[..at].find("-----BEGIN PRIVATE KEY").map(|from| text[from..at].to_owned())?;
        Some(Kept { key, certificate: text[at..].to_owned(), token })
    }

    /// Writes a file that appears whole and is its owner's alone.
    fn write(&self, Kept { key, certificate, token }: &Kept) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        let token = token.iter().map(|hash| format!("{BOUGHT_WITH}{hash}\n")).collect::<String>();
        write!(file, "{token}{key}{certificate}")?;
        file.as_file().sync_all()?;
        file.persist(self.path()).map_err(|error| error.error)?;
        Ok(())
    }
}

// === impl Kept ===

impl Kept {
    /// How long the certificate still holds.
    fn left(&self) -> Duration {
        let ends = || {
            let pem = Pem::iter_from_buffer(self.certificate.as_bytes()).next()?.ok()?;
            u64::try_from(pem.parse_x509().ok()?.validity().not_after.timestamp()).ok()
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Duration::from_secs(ends().unwrap_or(0)).saturating_sub(now)
    }
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// Where certificates are kept that no folder was named for: `$TESSERA_HOME/identity`.
#[must_use]
pub fn default_folder() -> Option<PathBuf> {
    crate::home().map(|home| home.join("identity"))
}

/// Reads a token out of a file, as secrets are mounted.
///
/// # Errors
/// The file cannot be read.
pub fn token_file(path: &Path) -> io::Result<String> {
    Ok(fs::read_to_string(path)?.trim().to_owned())
}

/// Why a coordinator was not reached.
pub(crate) fn unreachable(url: &str, error: &transport::Error) -> Error {
    tracing::debug!(?error, url, "cannot connect");
    match distrust(error) {
        Some(message) => Error::Untrusted { url: url.trim_end_matches('/').to_owned(), message },
        None => Error::Unreachable { url: url.trim_end_matches('/').to_owned() },
    }
}

/// What is wrong with the other side's TLS, if that is why there is no connection.
#[must_use]
pub fn distrust(error: &transport::Error) -> Option<String> {
    let mut cause = error.source();
    let mut texts = Vec::new();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    let last = texts.last()?;
    let is_certificate = texts.iter().any(|text| text.contains("certificate"));
    if is_certificate && ["UnknownIssuer", "BadSignature"].iter().any(|fault| last.contains(fault)) {
        return Some("its certificate is not of the authority given with --ca".to_owned());
    }
    if is_certificate {
        return Some(format!(
            "its certificate is refused: {}",
            last.replace("invalid peer certificate: ", "")
        ));
    }
    last.contains("corrupt message").then(|| "it speaks no TLS: connect with http://".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(folder: &Path, token: Option<&str>) -> Access {
        let ca = "-----BEGIN CERTIFICATE-----".to_owned();
        Access { ca, token: token.map(str::to_owned), folder: folder.to_owned(), name: "host".to_owned() }
    }

    fn kept(token: &str) -> Kept {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap().pem();
        Kept { key: key.serialize_pem(), certificate, token: Some(hash(token)) }
    }

    #[test]
    fn what_was_kept_is_found_again_by_those_whom_it_is_for() {
        let folder = tempfile::tempdir().unwrap();
        let ours = access(&folder.path().join("new"), Some("one"));
        assert!(ours.read().is_none());
        let made = kept("one");
        ours.write(&made).unwrap();
        let read = ours.read().unwrap();
        assert_eq!((&read.key, &read.certificate, &read.token), (&made.key, &made.certificate, &made.token));
        assert!(ours.is_bought_with_ours(&read));
        assert!(!access(folder.path(), Some("two")).is_bought_with_ours(&read), "a new token buys a new one");
        assert!(access(folder.path(), None).is_bought_with_ours(&read));
        let other = Access { ca: "other".to_owned(), ..ours.clone() };
        assert!(other.read().is_none(), "another cluster's is not shown");
        assert!(RENEW < read.left(), "{:?}", read.left());
        fs::write(ours.path(), "nonsense").unwrap();
        assert!(ours.read().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let access = access(folder.path(), None);
        access.write(&kept("one")).unwrap();
        assert_eq!(fs::metadata(access.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
