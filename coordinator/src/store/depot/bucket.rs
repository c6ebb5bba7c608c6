//! A bucket of S3, Google or Azure: names and bytes in, calls to its server, and bytes out.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, path::Path};
use tokio::{runtime::Handle, time::timeout};
use tokio_stream::StreamExt as _;
use url::Url;

/// How long one call may take, with its repetitions: long before a lease is lost the job pauses and says why.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of one part of a large object; S3 takes ten thousand of them, 5 MiB each at least.
const PART: usize = 8 << 20;

/// What a variable of the environment begins with that says how to get in.
const VARIABLES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// A bucket, and where in it.
#[derive(Clone)]
pub(in crate::store) struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    runtime: Handle,
}

// === impl Bucket ===

impl Bucket {
    /// The bucket of a URL, `s3://BUCKET/PREFIX`, `gs://…` or `az://…`; how to get in is said by the variables that the
    /// providers' own tools read.
    ///
    /// # Errors
    /// The URL is none of these, or a variable is missing.
    pub(super) fn open(url: &Url) -> io::Result<Self> {
        // The HTTP client asks for the process's cryptography; that others have chosen it is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let variables =
            std::env::vars().filter(|(name, _)| VARIABLES.iter().any(|start| name.starts_with(start)));
        let (store, prefix) = object_store::parse_url_opts(url, variables).map_err(fault)?;
        Ok(Self { store: store.into(), prefix, runtime: Handle::current() })
    }

    /// What lies beneath a part of a path.
    pub(super) fn below(&self, name: &str) -> Self {
        Self { prefix: self.path(name), ..self.clone() }
    }

    pub(super) fn put(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        let payload = PutPayload::from(bytes);
        self.wait(async { self.store.put(&self.path(name), payload).await }).map(drop)
    }

    pub(super) fn get(&self, name: &str) -> io::Result<Vec<u8>> {
        self.wait(async { self.store.get(&self.path(name)).await?.bytes().await }).map(Into::into)
    }

    pub(super) fn size(&self, name: &str) -> io::Result<u64> {
        self.wait(async { self.store.head(&self.path(name)).await }).map(|meta| meta.size)
    }

    pub(super) fn read(&self, name: &str, range: Range<u64>) -> io::Result<Vec<u8>> {
        self.wait(async { self.store.get_range(&self.path(name), range).await }).map(Into::into)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        self.wait(async { self.store.delete(&self.path(name)).await })
    }

    /// Names that lie right under the prefix.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        self.wait(async {
            let mut listed = self.store.list(Some(&self.prefix));
            let mut names = Vec::new();
            while let Some(meta) = listed.next().await.transpose()? {
                let mut below = meta.location.prefix_match(&self.prefix).into_iter().flatten();
                if let (Some(name), None) = (below.next(), below.next()) {
                    names.push(name.as_ref().to_owned());
                }
            }
            Ok(names)
        })
    }

    /// Sends a file; it appears with its last byte.
    pub(super) fn upload(&self, mut file: File, name: &str) -> io::Result<()> {
        let path = self.path(name);
        let mut part = read_part(&mut file)?;
        if part.len() < PART {
            return self.put(name, part);
        }
        let mut upload = self.wait(async { self.store.put_multipart(&path).await })?;
        let mut send = || {
            while !part.is_empty() {
                self.wait(upload.put_part(PutPayload::from(std::mem::take(&mut part))))?;
                part = read_part(&mut file)?;
            }
            Ok(())
        };
        let sent: io::Result<()> = send();
        match sent.and_then(|()| self.wait(upload.complete())) {
            Ok(_) => Ok(()),
            Err(error) => {
                // Where this fails too, the bucket's own rules remove what is left.
                let _ = self.wait(upload.abort());
                Err(error)
            }
        }
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    /// Waits for a call, on a thread that may.
    fn wait<T>(&self, call: impl Future<Output = object_store::Result<T>>) -> io::Result<T> {
        let silent = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {PATIENCE:?}"));
        let bounded = async { timeout(PATIENCE, call).await };
        self.runtime.block_on(bounded).map_err(|_| silent())?.map_err(fault)
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // How to get in is nobody's business.
        f.debug_struct("Bucket").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The next part of a file; a shorter one is the last.
fn read_part(file: &mut File) -> io::Result<Vec<u8>> {
    let mut part = Vec::with_capacity(PART);
    file.take(PART as u64).read_to_end(&mut part)?;
    Ok(part)
}

fn fault(error: object_store::Error) -> io::Error {
    match error {
        object_store::Error::NotFound { .. } => io::Error::new(io::ErrorKind::NotFound, error),
        error => io::Error::other(error),
    }
}
