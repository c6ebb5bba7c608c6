//! A PostgreSQL server of our own: nothing in; a URL that is good until this is dropped out.

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a server may take to answer.
const START: Duration = Duration::from_secs(30);

/// `nobody`: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

/// A server on a socket in a folder of its own, or on a port.
#[derive(Debug)]
pub struct Postgres {
    server: Child,
    folder: TempDir,
    /// Of one that speaks TLS.
    port: Option<u16>,
}

// === impl Postgres ===

impl Postgres {
    /// Makes a database in a temporary folder and starts a server on it.
    ///
    /// # Panics
    /// PostgreSQL is not installed, or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::begin(None)
    }

    /// The same on a port of this machine, to those alone who speak TLS, with the certificate in a folder that
    /// `tessera init` made.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_encrypted(tls: &Path) -> Self {
        Self::begin(Some(tls))
    }

    fn begin(tls: Option<&Path>) -> Self {
        let programs = programs().expect("PostgreSQL is missing: deploy/fetch-postgres.sh installs it");
        let folder = tempfile::tempdir().expect("a temporary folder");
        if is_root(folder.path()) {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("root may give folders away");
        }
        let data = folder.path().join("data");
        let mut make = command(&programs, "initdb", folder.path());
        make.args(["--auth=trust", "--username=tessera", "--no-sync", "--locale=C", "-D"]).arg(&data);
        let made = make.output().expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut serve = command(&programs, "postgres", folder.path());
        serve.arg("-D").arg(&data).arg("-k").arg(folder.path());
        let port = tls.map(|tls| encrypt(&mut serve, tls, &data));
        if tls.is_none() {
            serve.args(["-h", ""]);
        }
        let log = folder.path().join("log");
        let said = fs::File::create(&log).expect("a log");
        let server = serve.stdout(Stdio::null()).stderr(said).spawn().expect("postgres runs");
        let this = Self { server, folder, port };
        let deadline = Instant::now() + START;
        while !this.answers() {
            let said = || fs::read_to_string(&log).unwrap_or_default();
            assert!(Instant::now() < deadline, "PostgreSQL does not start: {}", said());
            sleep(Duration::from_millis(50));
        }
        this
    }

    /// Its database, for sqlx.
    #[must_use]
    pub fn url(&self) -> String {
        match self.port {
            Some(port) => format!("postgres://tessera@127.0.0.1:{port}/postgres"),
            None => format!("postgres://tessera@localhost/postgres?host={}", self.folder.path().display()),
        }
    }

    /// Whether it says so itself, in the last line of its lock file.
    fn answers(&self) -> bool {
        let lock = fs::read_to_string(self.folder.path().join("data/postmaster.pid"));
        lock.is_ok_and(|lock| lock.lines().last().is_some_and(|state| state.trim() == "ready"))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // What it leaves goes with its folder.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Has a server listen on a free port, with a certificate, to those who ask for it. Returns the port.
fn encrypt(serve: &mut Command, tls: &Path, data: &Path) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound port has an address").port();
    fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n").expect("a temporary file");
    serve.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "ssl=on"]);
    let owner = data.metadata().expect("it was made");
    for (setting, name) in [("ssl_cert_file", "server.pem"), ("ssl_key_file", "server.key")] {
        let copy = data.join(name);
        fs::copy(tls.join(name), &copy).expect("tessera init made it");
        chown(&copy, Some(owner.uid()), Some(owner.gid())).expect("what is ours may be given away");
        serve.arg("-c").arg(format!("{setting}={}", copy.display()));
    }
    port
}

/// A program of the server's, as somebody who is not root.
fn command(programs: &Path, name: &str, folder: &Path) -> Command {
    let mut command = Command::new(programs.join(name));
    command.current_dir(folder);
    if folder.metadata().is_ok_and(|folder| folder.uid() == NOBODY) {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Whether we are: then what we make is root's.
fn is_root(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|folder| folder.uid() == 0)
}

/// The folder of the newest server: on the path, or where Debian puts it.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder| folder.join("initdb").is_file());
    on_path.or_else(|| {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok);
        let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
        folders.retain(|folder| folder.join("initdb").is_file());
        folders.sort();
        folders.pop()
    })
}
