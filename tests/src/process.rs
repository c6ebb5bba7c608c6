//! One process: a command in; its lines as they come, its end within a time limit, or its death by a signal out.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How often a running process is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    started: Instant,
}

/// What an ended process leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All that it wrote to standard output.
    pub stdout: String,
    /// All that it wrote to standard error.
    pub stderr: String,
    /// From its start to its end.
    pub wall: Duration,
}

/// What a process can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// The end, without a word.
    Kill,
    /// Stand still.
    Stop,
    /// Go on.
    Continue,
}

/// The lines of one stream, collected by a thread.
#[derive(Debug)]
struct Lines {
    shared: Arc<(Mutex<Collected>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Collected {
    lines: Vec<String>,
    ended: bool,
}

// === impl Running ===

impl Running {
    /// Starts a process with nothing to read.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = Lines::of(child.stdout.take().expect("stdout is a pipe"));
        let stderr = Lines::of(child.stderr.take().expect("stderr is a pipe"));
        Self { child, stdout, stderr, started: Instant::now() }
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the first line on standard output that `wanted` accepts.
    ///
    /// # Panics
    /// None comes within `limit`, or the process ends before.
    pub fn line(&self, limit: Duration, wanted: impl Fn(&str) -> bool) -> String {
        self.stdout.find(limit, wanted).unwrap_or_else(|| {
            panic!(
                "the line that was waited for did not come in {limit:?}\nstdout: {}\nstderr: {}",
                self.stdout.text(),
                self.stderr.text()
            )
        })
    }

    /// The same on standard error.
    ///
    /// # Panics
    /// None comes within `limit`, or the process ends before.
    pub fn complaint(&self, limit: Duration, wanted: impl Fn(&str) -> bool) -> String {
        let found = self.stderr.find(limit, wanted);
        found.unwrap_or_else(|| panic!("it did not say so in {limit:?}: {}", self.stderr.text()))
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// The process is gone.
    pub fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Kill => self.child.kill().expect("a child can be killed"),
            other => self::signal(other, self.id()),
        }
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// It does not come within `limit`; the process is killed then.
    #[must_use]
    pub fn wait(mut self, limit: Duration) -> Ended {
        let status = self.end(limit).unwrap_or_else(|| {
            panic!(
                "still running after {limit:?}\nstdout: {}\nstderr: {}",
                self.stdout.text(),
                self.stderr.text()
            )
        });
        let wall = self.started.elapsed();
        Ended { code: status.code(), stdout: self.stdout.all(), stderr: self.stderr.all(), wall }
    }

    /// Waits for the end of a process that was told to end.
    ///
    /// # Panics
    /// It takes longer than half a minute.
    pub fn join(&mut self) {
        assert!(self.end(Duration::from_secs(30)).is_some(), "it does not end: {}", self.stderr.text());
    }

    /// Most memory that the process has had so far, bytes; Linux only.
    ///
    /// # Panics
    /// The system does not tell.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Lets the process have this much more memory than it has now, bytes; Linux only.
    ///
    /// # Panics
    /// The system does not allow it.
    pub fn limit_memory(&self, more: u64) {
        let limit = self.memory("VmSize:") + more;
        let limited = Command::new("prlimit")
            .args(["--pid", &self.id().to_string(), &format!("--as={limit}")])
            .status()
            .expect("prlimit runs");
        assert!(limited.success(), "{limited}");
    }

    /// A number of the process's status, bytes.
    fn memory(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(path).expect("Linux tells about its processes");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib.and_then(|kib| kib.trim().parse().ok()).expect("a number of kB");
        kib << 10
    }

    /// Processor time that the process has taken so far, all threads together; Linux only.
    ///
    /// # Panics
    /// The system does not tell.
    #[must_use]
    pub fn processor_time(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.id());
        let stat = std::fs::read_to_string(path).expect("Linux tells about its processes");
        // PID (NAME) STATE, then numbers; utime and stime are the 14th and 15th field, in hundredths of a second.
        let fields = stat.rsplit(") ").next().expect("a name stands in parentheses").split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks")).sum();
        Duration::from_millis(10 * ticks)
    }

    fn end(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return Some(status);
            }
            if deadline < Instant::now() {
                return None;
            }
            thread::sleep(GLANCE);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Ended ===

impl Ended {
    /// The sentence of the last line `error: …` on standard error.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn error(&self) -> &str {
        let mut errors = self.stderr.lines().filter_map(|line| line.strip_prefix("error: "));
        errors.next_back().unwrap_or_else(|| panic!("no error in: {self:?}"))
    }
}

// === impl Lines ===

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let shared = Arc::<(Mutex<Collected>, Condvar)>::default();
        let ours = Arc::clone(&shared);
        let reader = thread::spawn(move || {
            let (collected, changed) = &*ours;
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
                collected.lines.push(line);
                changed.notify_all();
            }
            collected.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
            changed.notify_all();
        });
        Self { shared, reader: Some(reader) }
    }

    fn find(&self, limit: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let (collected, changed) = &*self.shared;
        let deadline = Instant::now() + limit;
        let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = 0;
        loop {
            if let Some(found) = collected.lines[seen..].iter().find(|line| wanted(line)) {
                return Some(found.clone());
            }
            seen = collected.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if collected.ended || left.is_zero() {
                return None;
            }
            let waited = changed.wait_timeout(collected, left);
            collected = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn text(&self) -> String {
        let collected = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        collected.lines.join("\n")
    }

    /// The text when the other end is closed.
    fn all(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            // A reader that panicked has left what it had.
            let _ = reader.join();
        }
        self.text()
    }
}

/// The ids of a process's children; Linux only.
///
/// # Panics
/// The system does not tell.
#[must_use]
pub fn children(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("Linux lists its processes");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut children: Vec<u32> = ids.filter(|id| parent_of(*id) == Some(parent)).collect();
    children.sort_unstable();
    children
}

/// Whether a process runs; one that has ended and was not asked after does not.
#[must_use]
pub fn exists(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"));
    // PID (NAME) STATE …; a name may hold anything, also parentheses.
    stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with('Z')))
}

/// Ends a process that is no child of ours, without a word.
///
/// # Panics
/// There is no such process.
pub fn kill(id: u32) {
    send("KILL", id);
}

/// Sends a signal to a process that is not ours to wait for.
pub(crate) fn signal(signal: Signal, id: u32) {
    send(
        match signal {
            Signal::Interrupt => "INT",
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        },
        id,
    );
}

fn send(name: &str, id: u32) {
    let status = Command::new("kill").args(["-s", name, &id.to_string()]).status();
    let status = status.expect("there is a kill command");
    assert!(status.success(), "SIG{name} cannot be sent to {id}");
}

fn parent_of(id: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}
