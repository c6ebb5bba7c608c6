//! Coordinators that do not answer, have no workers, or are no address.

use tessera_tests::{
    cluster::Cluster,
    process::Running,
    program,
    render::{Failed, Render},
};

use super::{refused, says, sentence};

fn at(url: &str) -> Render {
    Render::new("a cat").args(["--steps", "1", "--scale", "1", "--coordinator", url])
}

/// A port of this machine on which nothing listens.
fn closed() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound port has an address");
    format!("http://{address}")
}

/// The sentence of a render with which nothing is wrong: it may work another time, which is exit code 1.
fn failed(render: Render) -> String {
    let Failed { ended, left } = render.failed();
    assert_eq!((ended.code, left.len()), (Some(1), 0), "{ended:?}");
    ended.error().to_owned()
}

#[test]
fn no_worker_comes() {
    let patient = Cluster::start(&[]);
    says(
        &failed(at(patient.url()).args(["--worker-wait", "0.5"])),
        &["no worker", "within 0.5 s", "--worker-wait"],
    );
    let impatient = Cluster::start(&["--worker-wait", "1"]);
    says(&failed(at(impatient.url())), &["no worker", "within 1 s", "tessera worker"]);
}

#[test]
fn nobody_listens() {
    let url = closed();
    says(&failed(at(&url)), &["no coordinator answers", &url, "tessera coordinator"]);
    let worker = program::command()
        .args(["worker", "--device", "sim:0", "--patience", "0", "--coordinator", &url])
        .output()
        .expect("the program starts");
    assert_eq!(worker.status.code(), Some(1), "{worker:?}");
    assert!(String::from_utf8_lossy(&worker.stderr).contains("no coordinator answers"), "{worker:?}");
}

#[test]
fn what_listens_is_no_coordinator() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound port has an address");
    // Hangs up on everybody.
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let url = format!("http://{address}");
    says(&refused(at(&url)), &["hung up: is it a coordinator", &url]);
}

#[test]
fn an_address_that_is_none() {
    says(&refused(at("foo:bar")), &["\"foo:bar\"", "http://"]);
    says(
        &refused(at("https://127.0.0.1:1").env("TESSERA_HOME", "/nowhere")),
        &["https://127.0.0.1:1", "--ca"],
    );
}

#[test]
fn a_port_that_is_taken() {
    let cluster = Cluster::start(&[]);
    let taken = cluster.url().trim_start_matches("http://");
    let mut command = program::command();
    let state = tempfile::tempdir().expect("a folder");
    command.args(["coordinator", "--listen", taken, "--state"]).arg(state.path());
    let second = Running::start(&mut command);
    let ended = second.wait(std::time::Duration::from_secs(20));
    says(&sentence(&ended), &["--listen: cannot listen on", taken, "take another port"]);
}

#[test]
fn flags_of_a_coordinator_that_name_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let refusal = |words: &[&str]| {
        let mut command = program::command();
        command.args(words).env("TESSERA_HOME", home.path());
        sentence(&Running::start(&mut command).wait(std::time::Duration::from_secs(20)))
    };
    says(
        &refusal(&["coordinator", "--listen", "127.0.0.1:0", "--otlp", "nonsense"]),
        &["--otlp \"nonsense\" is no URL"],
    );
    says(&refusal(&["init", "--name", "a b/c"]), &["--name \"a b/c\" is no host's name"]);
    says(&refusal(&["init", "--name", ""]), &["--name \"\" is no host's name"]);
    assert!(!home.path().join("tls").exists(), "no authority for nobody");
    for words in [&["token", "list"][..], &["token", "revoke", "abcd"]] {
        says(&refusal(words), &["no coordinator has kept anything in", "run this on its machine"]);
    }
    assert!(!home.path().join("coordinator/jobs.sqlite").exists(), "who only asks makes nothing");
    let unknown = ["jobs", "--coordinator", "http://no-such-host.invalid:7878"];
    says(&refusal(&unknown), &["http://no-such-host.invalid:7878 names no machine that this one knows"]);
}

#[test]
fn a_folder_for_files_that_is_none() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut command = program::command();
    let state = tempfile::tempdir().expect("a folder");
    command.args(["coordinator", "--listen", "127.0.0.1:0", "--state"]).arg(state.path());
    let ended = Running::start(command.arg("--artifacts").arg(file.path()));
    let ended = ended.wait(std::time::Duration::from_secs(20));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let path = file.path().display().to_string();
    says(&sentence(&ended), &["--artifacts", &path, "name a folder to write to"]);
    let mut command = program::command();
    command.args(["coordinator", "--listen", "127.0.0.1:0", "--state"]).arg(file.path());
    let ended = Running::start(&mut command).wait(std::time::Duration::from_secs(20));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    says(&sentence(&ended), &["--state", &path, "name a folder to write to"]);
    let mut command = program::command();
    command.args(["coordinator", "--listen", "127.0.0.1:0", "--database", "jobs.db", "--state"]);
    let ended = Running::start(command.arg(state.path())).wait(std::time::Duration::from_secs(20));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    says(&sentence(&ended), &["--database is no database's URL", "sqlite:FILE or postgres://"]);
    let mut command = program::command();
    command.args(["coordinator", "--listen", "127.0.0.1:0", "--artifacts", "s4://a/b", "--state"]);
    let ended = Running::start(command.arg(state.path())).wait(std::time::Duration::from_secs(20));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    says(&sentence(&ended), &["--artifacts \"s4://a/b\" is no bucket", "take s3://BUCKET/PREFIX"]);
    let mut command = program::command();
    command.args([
        "coordinator",
        "--listen",
        "127.0.0.1:0",
        "--database",
        "postgres://a:secret@127.0.0.1:1/b",
    ]);
    let ended =
        Running::start(command.arg("--state").arg(state.path())).wait(std::time::Duration::from_secs(20));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.stdout, "", "nobody is told to connect");
    assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
    says(&sentence(&ended), &["--database: the job store cannot be used"]);
}

#[test]
fn a_state_that_no_job_is_in() {
    let mut command = program::command();
    command.args(["jobs", "--coordinator", &closed(), "--state", "runing"]);
    let ended = Running::start(&mut command).wait(std::time::Duration::from_secs(20));
    says(&sentence(&ended), &["state \"runing\"", "did you mean \"running\"?", "cancelled"]);
}

/// A model that no worker of the cluster has: a name, and the folder of another one.
#[test]
fn a_model_that_nobody_serves() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:0"], None);
    let wait = ["--worker-wait", "1"];
    says(
        &refused(at(cluster.url()).args(["--model", "unheard-of"]).args(wait)),
        &["no worker", "model", "the workers serve sim: choose one"],
    );
    says(
        &refused(at(cluster.url()).model(&tessera_tests::model::tiny()).args(wait)),
        &["no worker", "model"],
    );
}
