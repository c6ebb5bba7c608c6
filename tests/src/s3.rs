//! A server of our own that speaks S3: nothing in; a bucket and how to get in, until this is dropped, out.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::process::{self, Signal};

/// How long a server may take to answer: Python loads a while on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A server with one bucket, `tessera`.
#[derive(Debug)]
pub struct S3 {
    server: Child,
    address: String,
}

// === impl S3 ===

impl S3 {
    /// Starts a server and makes the bucket.
    ///
    /// # Panics
    /// moto is not installed, or does not start.
    #[must_use]
    pub fn start() -> Self {
        let program = home().join("moto-venv/bin/moto_server");
        assert!(program.is_file(), "moto is missing: deploy/fetch-moto.sh installs it");
        // It takes no port 0; between this and its start nobody else should ask for one.
        let free = TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("its address");
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &free.port().to_string()]);
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("moto runs");
        let this = Self { server, address: free.to_string() };
        let deadline = Instant::now() + START;
        while !this.call("PUT /tessera").is_some_and(|answer| answer.contains(" 200 ")) {
            assert!(Instant::now() < deadline, "moto does not start");
            sleep(Duration::from_millis(100));
        }
        this
    }

    /// The variables that let a program in.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://{}", self.address);
        let variables = [
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", &endpoint),
            ("AWS_ALLOW_HTTP", "true"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// The server's own list of what lies under a prefix: XML.
    ///
    /// # Panics
    /// It does not answer.
    #[must_use]
    pub fn list(&self, prefix: &str) -> String {
        self.call(&format!("GET /tessera?list-type=2&prefix={prefix}")).expect("the server answers")
    }

    /// Lets it stand still, or go on.
    pub fn signal(&self, signal: Signal) {
        process::signal(signal, self.server.id());
    }

    fn call(&self, line: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        let host = &self.address;
        write!(stream, "{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Where downloads lie.
fn home() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = || variable("HOME").map(|home| home.join(".local/share/tessera"));
    variable("TESSERA_HOME").or_else(user).expect("a home folder")
}
