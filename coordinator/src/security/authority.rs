//! The cluster's certificate authority: a folder in; certificates that its members trust out.

use std::{
    fs::{self, Permissions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;
use x509_parser::pem::Pem;

use super::secret;
use crate::store::whole;

/// The files of a folder.
const CA: &str = "ca.pem";
const CA_KEY: &str = "ca.key";
const SERVER: &str = "server.pem";
const SERVER_KEY: &str = "server.key";

/// The files of a certificate that was made with its key, by the names that Kubernetes has for them.
const CLIENT: &str = "tls.crt";
const CLIENT_KEY: &str = "tls.key";

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long the authority is good, and the server's certificate.
const CA_LIFETIME: Duration = DAY.saturating_mul(3650);
const SERVER_LIFETIME: Duration = DAY.saturating_mul(730);

/// Clocks may differ by so much.
const SLACK: Duration = Duration::from_secs(3600);

/// A certificate authority with the certificate of its server. All texts are PEM.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    ca: String,
    server: String,
    server_key: String,
}

/// A certificate and its key, both PEM.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) certificate: Certificate,
    key: String,
}

/// A certificate.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) pem: String,
    pub(super) der: Vec<u8>,
}

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A new authority would make all certificates of the old one worthless.
    #[error("{} is there already: add --renew for a new server certificate of the same authority", path.display())]
    Exists {
        /// The old authority's certificate.
        path: PathBuf,
    },
    /// A key that somebody may still need.
    #[error("{} is there already: name another folder, or remove it", path.display())]
    Taken {
        /// The key.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A name that no certificate can carry.
    #[error("a certificate cannot be made for {names:?}: {error}")]
    Names {
        /// The names.
        names: Vec<String>,
        /// What is wrong with them.
        error: rcgen::Error,
    },
    /// A file that is no certificate or key.
    #[error("{} is not what `tessera init` wrote: {message}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A request that is none, or that its sender did not sign.
    #[error("the request for a certificate cannot be used: {0}")]
    Request(rcgen::Error),
    /// The system.
    #[error("the system has no random numbers: {0}")]
    Random(getrandom::Error),
    /// Signing failed.
    #[error("the certificate cannot be signed: {0}")]
    Sign(rcgen::Error),
}

// === impl Authority ===

impl Authority {
    /// Makes an authority in `folder`, which is made if it is absent, with a certificate for a server of these host names
    /// and addresses.
    ///
    /// # Errors
    /// The folder has one already or takes no files, or a name is none.
    pub fn create(folder: &Path, names: &[String]) -> Result<Self, Error> {
        let path = folder.join(CA);
        if path.exists() {
            return Err(Error::Exists { path });
        }
        fs::create_dir_all(folder).map_err(|error| Error::File { path: folder.to_owned(), error })?;
        let key = KeyPair::generate().map_err(Error::Sign)?;
        let mut params = CertificateParams::default();
        // Programs that trust several of them tell them apart by their names.
        let name = format!("Tessera cluster authority {}", secret::id().map_err(Error::Random)?);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        lasts(&mut params, CA_LIFETIME);
        let ca = params.self_signed(&key).map_err(Error::Sign)?.pem();
        let issuer = Issuer::new(params, key);
        let (server, server_key) = server(&issuer, names)?;
        // The authority's own certificate comes last: it says that all are there.
        for (file, text) in [(CA_KEY, &issuer.key().serialize_pem()), (SERVER_KEY, &server_key)] {
            write(&folder.join(file), text, Secrecy::Secret)?;
        }
        for (file, text) in [(SERVER, &server), (CA, &ca)] {
            write(&folder.join(file), text, Secrecy::Public)?;
        }
        Ok(Self { issuer, ca, server, server_key })
    }

    /// Opens the authority of a folder.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|error| Error::File { path, error })
        };
        let damaged = |name: &str, error: rcgen::Error| Error::Damaged {
            path: folder.join(name),
            message: error.to_string(),
        };
        let key = KeyPair::from_pem(&text(CA_KEY)?).map_err(|error| damaged(CA_KEY, error))?;
        let (ca, server, server_key) = (text(CA)?, text(SERVER)?, text(SERVER_KEY)?);
        let issuer = Issuer::from_ca_cert_pem(&ca, key).map_err(|error| damaged(CA, error))?;
        KeyPair::from_pem(&server_key).map_err(|error| damaged(SERVER_KEY, error))?;
        let authority = Self { issuer, ca, server, server_key };
        match authority.server_ends() {
            Some(_) => Ok(authority),
            None => Err(Error::Damaged { path: folder.join(SERVER), message: "no certificate".to_owned() }),
        }
    }

    /// Replaces the server's certificate in `folder`, for these host names and addresses.
    ///
    /// # Errors
    /// The folder has no authority, or a name is none.
    pub fn renew(folder: &Path, names: &[String]) -> Result<Self, Error> {
        let authority = Self::open(folder)?;
        let (server, server_key) = server(&authority.issuer, names)?;
        write(&folder.join(SERVER_KEY), &server_key, Secrecy::Secret)?;
        write(&folder.join(SERVER), &server, Secrecy::Public)?;
        Ok(Self { server, server_key, ..authority })
    }

    /// The certificate that members trust.
    #[must_use]
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// The server's certificate and its key.
    pub(crate) fn server(&self) -> (&str, &str) {
        (&self.server, &self.server_key)
    }

    /// When the server's certificate ends, s since 1970.
    #[must_use]
    pub fn server_ends(&self) -> Option<i64> {
        ends(&self.server)
    }

    /// Signs the key of a request (PEM). Of what the request says of its owner nothing is believed.
    pub(super) fn certify(
        &self,
        request: &str,
        name: &str,
        lifetime: Duration,
    ) -> Result<Certificate, Error> {
        let mut request = CertificateSigningRequestParams::from_pem(request).map_err(Error::Request)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        lasts(&mut params, lifetime);
        request.params = params;
        let certificate = request.signed_by(&self.issuer).map_err(Error::Sign)?;
        Ok(Certificate { pem: certificate.pem(), der: certificate.der().to_vec() })
    }

    /// Makes a key and its certificate, for a program that cannot ask for one itself.
    pub(super) fn identity(&self, name: &str, lifetime: Duration) -> Result<Identity, Error> {
        let key = KeyPair::generate().map_err(Error::Sign)?;
        let request = CertificateParams::default().serialize_request(&key).map_err(Error::Sign)?;
        let request = request.pem().map_err(Error::Sign)?;
        Ok(Identity { certificate: self.certify(&request, name, lifetime)?, key: key.serialize_pem() })
    }
}

// === impl Identity ===

impl Identity {
    /// Refuses a folder that has a key already.
    pub(super) fn vacant(folder: &Path) -> Result<(), Error> {
        let path = folder.join(CLIENT_KEY);
        if path.exists() { Err(Error::Taken { path }) } else { Ok(()) }
    }

    /// Writes `tls.key`, its owner's alone, and `tls.crt` to a folder, which is made if it is absent.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        fs::create_dir_all(folder).map_err(|error| Error::File { path: folder.to_owned(), error })?;
        write(&folder.join(CLIENT_KEY), &self.key, Secrecy::Secret)?;
        write(&folder.join(CLIENT), &self.certificate.pem, Secrecy::Public)
    }
}

/// A new key and certificate for a server of these names.
fn server(issuer: &Issuer<'_, KeyPair>, names: &[String]) -> Result<(String, String), Error> {
    let refused = |error| Error::Names { names: names.to_vec(), error };
    let key = KeyPair::generate().map_err(Error::Sign)?;
    let mut params = CertificateParams::new(names).map_err(refused)?;
    params.distinguished_name.push(DnType::CommonName, "Tessera coordinator");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    lasts(&mut params, SERVER_LIFETIME);
    let certificate = params.signed_by(&key, issuer).map_err(Error::Sign)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn lasts(params: &mut CertificateParams, lifetime: Duration) {
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - SLACK, now + lifetime);
}

/// When the first certificate of a PEM text ends, s since 1970.
fn ends(pem: &str) -> Option<i64> {
    let pem = Pem::iter_from_buffer(pem.as_bytes()).next()?.ok()?;
    Some(pem.parse_x509().ok()?.validity().not_after.timestamp())
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    /// Its owner.
    Secret,
    /// Everybody.
    Public,
}

/// Writes a file that appears whole.
fn write(path: &Path, text: &str, secrecy: Secrecy) -> Result<(), Error> {
    let attempt = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        // Files that are begun are their owner's alone.
        let mut file = whole::begin(folder, "tls")?;
        file.write_all(text.as_bytes())?;
        if secrecy == Secrecy::Public {
            publish(file.as_file())?;
        }
        file.as_file().sync_all()?;
        whole::publish(file, path)
    };
    attempt().map_err(|error| Error::File { path: path.to_owned(), error })
}

#[cfg(unix)]
fn publish(file: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn publish(_: &fs::File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec()
    }

    fn request(name: &str) -> String {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serialize_request(&key).unwrap().pem().unwrap()
    }

    #[test]
    fn an_authority_is_found_again_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new");
        let made = Authority::create(&folder, &names()).unwrap();
        let error = Authority::create(&folder, &names()).unwrap_err().to_string();
        assert!(error.contains("ca.pem is there already: add --renew"), "{error}");
        let opened = Authority::open(&folder).unwrap();
        assert_eq!((opened.ca(), opened.server()), (made.ca(), made.server()));
        let renewed = Authority::renew(&folder, &names()).unwrap();
        assert_eq!(renewed.ca(), made.ca());
        assert_ne!(renewed.server(), made.server());
        let ends = renewed.server_ends().unwrap() - OffsetDateTime::now_utc().unix_timestamp();
        assert!((729..=730).contains(&(ends / 86_400)), "{ends} s");
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        Authority::create(folder.path(), &names()).unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(CA_KEY), mode(SERVER_KEY), mode(CA), mode(SERVER)), (0o600, 0o600, 0o644, 0o644));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    }

    #[test]
    fn a_certificate_says_what_the_authority_says() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(folder.path(), &names()).unwrap();
        let certificate = authority.certify(&request("admin"), "farm/1", DAY).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate.der).unwrap();
        assert_eq!(parsed.subject().to_string(), "CN=farm/1");
        assert!(parsed.subject_alternative_name().unwrap().is_none(), "nor what it asked for");
        assert!(!parsed.is_ca());
        let usage = parsed.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
        let error = authority.certify("nonsense", "farm/1", DAY).unwrap_err().to_string();
        assert!(error.starts_with("the request for a certificate cannot be used"), "{error}");
    }

    #[test]
    fn what_is_missing_or_damaged_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Authority::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("ca.key: No such file"), "{error}");
        Authority::create(folder.path(), &names()).unwrap();
        fs::write(folder.path().join(SERVER), "nonsense").unwrap();
        let error = Authority::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("server.pem is not what `tessera init` wrote"), "{error}");
        let error = Authority::renew(folder.path(), &["a b\u{e9}".to_owned()]).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }
}
