//! A cluster that strangers can reach: who is let in, who is not, and what those are told.

mod strangers;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;
use tessera_tests::{
    cluster::Cluster,
    process::{Ended, Running, Signal},
    program, report,
};

/// How long anything here may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A picture that takes a few seconds on simulated devices.
const JOB: [&str; 9] = ["a lighthouse", "--seed", "5", "--width", "64", "--height", "64", "--steps", "20"];

/// A coordinator with TLS, and its certificates.
struct Guarded {
    cluster: Cluster,
    tls: TempDir,
}

// === impl Guarded ===

impl Guarded {
    fn start(flags: &[&str]) -> Self {
        Self::start_with(flags, &[])
    }

    fn start_with(flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let tls = tempfile::tempdir().expect("a folder");
        let folder = tls.path().to_str().expect("a plain path").to_owned();
        let made = Running::start(program::command().args(["init", &folder])).wait(LIMIT);
        assert_eq!(made.code, Some(0), "{made:?}");
        let flags: Vec<&str> = ["--tls", &folder].into_iter().chain(flags.iter().copied()).collect();
        let cluster = Cluster::start_with(&flags, variables);
        assert!(cluster.url().starts_with("https://127.0.0.1:"), "{}", cluster.url());
        Self { cluster, tls }
    }

    fn ca(&self) -> PathBuf {
        self.tls.path().join("ca.pem")
    }

    /// A new token.
    fn token(&self, role: &str, name: &str) -> String {
        let made = self.tokens(&["new", "--role", role, "--name", name]);
        made.stdout.trim().to_owned()
    }

    /// `tessera token …`, beside the coordinator that runs.
    fn tokens(&self, words: &[&str]) -> Ended {
        let mut command = program::command();
        command.arg("token").args(words).arg("--state").arg(self.cluster.state());
        let ended = Running::start(&mut command).wait(LIMIT);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
    }

    /// A client's command with a token.
    fn command(&self, token: Option<&str>, words: &[&str]) -> Command {
        let mut command = self.cluster.command(words);
        command.env("TESSERA_CA", self.ca());
        token.map(|token| command.env("TESSERA_TOKEN", token));
        command
    }

    fn run(&self, token: Option<&str>, words: &[&str]) -> Ended {
        Running::start(&mut self.command(token, words)).wait(LIMIT)
    }

    /// What a refused command says, which the coordinator says too.
    fn refused(&self, token: Option<&str>, words: &[&str]) -> String {
        let ended = self.run(token, words);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        ended.error().to_owned()
    }

    /// Starts a worker that keeps what it gets in `identity`.
    fn worker(&self, token: Option<&str>, identity: &Path, name: &str) -> Running {
        let mut command = self.command(token, &["worker", "--device", "sim:20", "--name", name]);
        Running::start(command.arg("--identity").arg(identity))
    }

    /// Waits until so many workers are connected.
    fn have_workers(&self, token: &str, count: usize) {
        let deadline = std::time::Instant::now() + LIMIT;
        while self.run(Some(token), &["workers", "--json"]).stdout.lines().count() != count {
            assert!(std::time::Instant::now() < deadline, "no {count} workers");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Submits a job, returns its id.
    fn submit(&self, token: &str, flags: &[&str]) -> String {
        let words: Vec<&str> = ["submit"].into_iter().chain(JOB).chain(flags.iter().copied()).collect();
        let ended = self.run(Some(token), &words);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout.trim().to_owned()
    }
}

#[test]
fn members_render_through_the_death_of_their_coordinator() {
    let mut guarded = Guarded::start(&["--checkpoint", "0.2"]);
    let (admin, alice) = (guarded.token("admin", "root"), guarded.token("submit", "alice"));
    let homes = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let join = guarded.token("worker", "farm");
    let _workers = [0, 1].map(|n| guarded.worker(Some(&join), homes[n].path(), &format!("host-{n}")));
    guarded.have_workers(&admin, 2);
    let job = guarded.submit(&alice, &["--hires-steps", "30"]);
    std::thread::sleep(Duration::from_millis(700));
    guarded.cluster.coordinator.signal(Signal::Kill);
    guarded.cluster.coordinator.join();
    guarded.cluster.start_again();
    let watched = guarded.run(Some(&alice), &["watch", &job]);
    assert_eq!(watched.code, Some(0), "{watched:?}");
    let picture = |guarded: &Guarded, token: &str, job: &str| {
        let file = guarded.tls.path().join(format!("{job}.png"));
        let fetched = guarded.run(Some(token), &["fetch", job, "-o", file.to_str().expect("a plain path")]);
        assert_eq!(fetched.code, Some(0), "{fetched:?}");
        std::fs::read(file).expect("the picture")
    };
    let through_a_kill = picture(&guarded, &alice, &job);
    let calm = guarded.submit(&alice, &["--hires-steps", "30", "--watch"]);
    let calm = calm.lines().next().expect("an id").to_owned();
    assert_eq!(through_a_kill, picture(&guarded, &admin, &calm), "an admin fetches what is alice's");
}

#[test]
fn a_worker_joins_once_and_comes_back_without_its_token() {
    let guarded = Guarded::start(&[]);
    let admin = guarded.token("admin", "root");
    let home = tempfile::tempdir().expect("a folder");
    let ended = guarded.worker(None, home.path(), "host").wait(LIMIT);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.error().contains("this cluster asks for a token"), "{}", ended.error());
    let join = guarded.token("worker", "farm");
    drop(
        guarded.worker(Some(&join), home.path(), "host").complaint(LIMIT, |line| line.contains("attending")),
    );
    let again = guarded.worker(None, home.path(), "host");
    again.complaint(LIMIT, |line| line.contains("attending"));
    let listed = guarded.tokens(&["list", "--json"]).stdout;
    let rows: Vec<_> = listed.lines().map(report::parse).collect();
    assert_eq!(rows.iter().filter(|row| row["kind"] == "certificate").count(), 1, "{listed}");
    assert!(!listed.contains(&join), "no list shows a token");

    // What was bought with a token goes with it.
    let bought = rows.iter().find(|row| row["name"] == "farm").expect("the join token");
    guarded.tokens(&["revoke", bought["id"].as_str().expect("an id")]);
    let shut = again.wait(LIMIT);
    assert_eq!(shut.code, Some(2), "it is cut off, and not let in again: {shut:?}");
    assert!(shut.error().contains("was revoked"), "{}", shut.error());
    // A new token buys a new certificate.
    let join = guarded.token("worker", "farm");
    let back = guarded.worker(Some(&join), home.path(), "host");
    back.complaint(LIMIT, |line| line.contains("attending"));
    guarded.have_workers(&admin, 1);
}

#[test]
fn a_drained_worker_ends_its_task_and_goes() {
    let guarded = Guarded::start(&[]);
    let (admin, alice) = (guarded.token("admin", "root"), guarded.token("submit", "alice"));
    let (home, join) = (tempfile::tempdir().expect("a folder"), guarded.token("worker", "farm"));
    let (one, two) =
        (guarded.worker(Some(&join), home.path(), "one"), guarded.worker(Some(&join), home.path(), "two"));
    guarded.have_workers(&admin, 2);
    let job = guarded.submit(&alice, &[]);
    assert!(guarded.refused(Some(&alice), &["drain", "one"]).contains("it is for admin"));
    assert!(guarded.refused(Some(&admin), &["drain", "three"]).contains("no worker \"three\" is connected"));
    let drained = guarded.run(Some(&admin), &["drain", "one"]);
    assert_eq!(drained.code, Some(0), "{drained:?}");
    assert!(drained.stdout.contains(", one, goes"), "{}", drained.stdout);
    let ended = one.wait(LIMIT);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let watched = guarded.run(Some(&alice), &["watch", &job]);
    assert_eq!(watched.code, Some(0), "the other one finishes: {watched:?}");
    drop(two);
}

#[test]
fn an_admin_gives_models_and_a_worker_with_a_certificate_fetches_them() {
    let guarded = Guarded::start(&[]);
    let (admin, alice) = (guarded.token("admin", "root"), guarded.token("submit", "alice"));
    let join = guarded.token("worker", "farm");
    let folder = tessera_tests::model::tiny();
    let push = ["model", "push", folder.to_str().expect("a plain path")];
    for token in [&alice, &join] {
        let sentence = guarded.refused(Some(token), &push);
        assert!(sentence.contains("is not enough for this: it is for admin"), "{sentence}");
    }
    assert!(guarded.refused(None, &push).contains("this cluster asks for a token"));
    assert!(!guarded.cluster.artifacts().join("models").exists(), "nothing came of it");
    let pushed = guarded.run(Some(&admin), &push);
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    for token in [&alice, &join, &admin] {
        let listed = guarded.run(Some(token), &["model", "list"]);
        assert!(listed.stdout.contains("tiny-sd15"), "{listed:?}");
    }
    assert!(guarded.refused(Some(&alice), &["model", "remove", "tiny-sd15"]).contains("it is for admin"));

    let (home, identity) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let mut worker = guarded.command(Some(&join), &["worker", "--device", "cpu:1", "--fetch-models"]);
    worker.env("TESSERA_HOME", home.path()).arg("--identity").arg(identity.path());
    let _worker = Running::start(worker.arg("--onnxruntime").arg(program::library()));
    guarded.have_workers(&admin, 1);
    guarded.submit(&alice, &["--model", "tiny-sd15", "--watch"]);
}

/// Everything is logged, by all three: tokens and keys are not.
#[test]
fn no_secret_is_in_any_log() {
    let all = [("TESSERA_LOG", "trace")];
    let guarded = Guarded::start_with(&[], &all);
    let [admin, worker] = ["admin", "worker"].map(|role| guarded.token(role, role));
    let home = tempfile::tempdir().expect("a folder");
    let mut command = guarded.command(Some(&worker), &["worker", "--device", "sim:0"]);
    let attending = Running::start(command.arg("--identity").arg(home.path()).envs(all));
    guarded.have_workers(&admin, 1);
    let words: Vec<&str> = ["submit"].into_iter().chain(JOB).chain(["--watch"]).collect();
    let submitted = Running::start(guarded.command(Some(&admin), &words).envs(all)).wait(LIMIT);
    assert_eq!(submitted.code, Some(0), "{submitted:?}");
    let key = std::fs::read_to_string(guarded.tls.path().join("server.key")).expect("tessera init made it");
    let key = key.lines().nth(1).expect("a line of the key").to_owned();
    let ended = |mut process: Running| {
        process.signal(Signal::Interrupt);
        process.wait(LIMIT)
    };
    let Guarded { cluster: Cluster { coordinator, .. }, .. } = guarded;
    for (who, ended) in
        [("worker", ended(attending)), ("coordinator", ended(coordinator)), ("submit", submitted)]
    {
        let lines = ended.stderr.lines().count();
        assert!(100 < lines, "everything is logged: {lines} lines of the {who}");
        for secret in [&admin, &worker, &key] {
            // What follows the role in a token is the secret.
            let secret = secret.rsplit('-').next().unwrap_or(secret);
            let found = ended.stderr.lines().find(|line| line.contains(secret));
            assert_eq!(found, None, "a secret in the log of the {who}");
        }
    }
}
