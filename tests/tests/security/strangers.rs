//! Those who are not let in, each with its sentence.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tessera_coordinator::security::{Registry, Role};
use tessera_proto::wire::{
    self,
    externalscaler::{ScaledObjectRef, external_scaler_client::ExternalScalerClient},
    fleet_client::FleetClient,
    jobs_client::JobsClient,
};
use tessera_tests::{cluster::Cluster, process::Running, program};
use tonic::{
    Code, Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use super::{Guarded, LIMIT};

/// A token that has the form of one.
const MADE_UP: &str = "tessera-admin-00";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

impl Guarded {
    async fn channel(&self) -> Channel {
        self.connected(None).await
    }

    /// A connection that shows a certificate, if there is one in that folder.
    async fn connected(&self, identity: Option<&Path>) -> Channel {
        let text = |path: PathBuf| std::fs::read_to_string(path).expect("a file of PEM");
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(text(self.ca())));
        let tls = match identity {
            Some(folder) => {
                let (certificate, key) = (text(folder.join("tls.crt")), text(folder.join("tls.key")));
                tls.identity(Identity::from_pem(certificate, key))
            }
            None => tls,
        };
        let endpoint = Endpoint::from_shared(self.cluster.url().to_owned()).expect("a URL");
        endpoint.tls_config(tls).expect("TLS").connect().await.expect("a connection")
    }
}

fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().expect("a header");
    request.metadata_mut().insert("authorization", value);
    request
}

#[test]
fn each_wrong_token_has_its_sentence_and_is_logged() {
    let guarded = Guarded::start(&[]);
    let log = |text: &'static str| {
        guarded
            .cluster
            .coordinator
            .complaint(LIMIT, move |line| line.contains("a call was refused") && line.contains(text));
    };
    let worker = guarded.token("worker", "farm");
    for (token, sentence) in [
        (None, "this cluster asks for a token"),
        (Some(MADE_UP), "this token is not known here"),
        (Some(worker.as_str()), "a worker's token is not enough for this: it is for submit or admin"),
    ] {
        let said = guarded.refused(token, &["jobs"]);
        assert!(said.contains(sentence), "{said}");
        log(sentence);
    }
    let expired = block_on(async {
        let url = format!("sqlite://{}", guarded.cluster.state().join("jobs.sqlite").display());
        let registry = Registry::open(&url).await.expect("the store");
        registry.token(Role::Submit, "old hand", Duration::ZERO).await.expect("a token")
    });
    let said = guarded.refused(Some(&expired), &["jobs"]);
    assert!(said.contains("of old hand has expired: ask for a new one"), "{said}");
    let submit = guarded.token("submit", "alice");
    let home = tempfile::tempdir().expect("a folder");
    let ended = guarded.worker(Some(&submit), home.path(), "host").wait(LIMIT);
    assert!(ended.error().contains("a submit's token is not enough for this: it is for worker"), "{ended:?}");
    assert_eq!(std::fs::read_dir(home.path()).expect("the folder").count(), 0);
    assert!(guarded.refused(Some("two\nlines"), &["jobs"]).contains("the token cannot be used"));
}

#[test]
fn a_job_is_its_owners() {
    let guarded = Guarded::start(&[]);
    let [alice, bob] = ["alice", "bob"].map(|name| guarded.token("submit", name));
    let job = guarded.submit(&alice, &[]);
    for words in [["cancel", &job], ["fetch", &job]] {
        let said = guarded.refused(Some(&bob), &words);
        assert!(said.contains("is not bob's: its owner or an admin may do this"), "{said}");
    }
    let said = guarded.refused(Some(&bob), &["submit", "a prompt", "--user", "alice"]);
    assert!(said.contains("this token is bob's, whose jobs are too"), "{said}");
    let cancelled = guarded.run(Some(&alice), &["cancel", &job]);
    assert_eq!(cancelled.code, Some(0), "{cancelled:?}");
    let other = guarded.submit(&bob, &[]);
    let admin = guarded.token("admin", "root");
    assert_eq!(guarded.run(Some(&admin), &["cancel", &other]).code, Some(0));
}

#[test]
fn what_answers_must_be_whom_we_were_told_of() {
    let guarded = Guarded::start(&[]);
    let token = guarded.token("admin", "root");
    let strange = tempfile::tempdir().expect("a folder");
    let made = Running::start(program::command().arg("init").arg(strange.path())).wait(LIMIT);
    assert_eq!(made.code, Some(0), "{made:?}");
    let said = |file: &str| {
        let mut command = guarded.command(Some(&token), &["jobs"]);
        let ended = Running::start(command.env("TESSERA_CA", strange.path().join(file))).wait(LIMIT);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        ended.error().to_owned()
    };
    let other = said("ca.pem");
    assert!(other.contains("its certificate is not of the authority given with --ca"), "{other}");
    let none = said("nothing.pem");
    assert!(none.contains("nothing.pem: No such file"), "{none}");
    let key = said("ca.key");
    assert!(key.contains("is no certificate: take the ca.pem"), "{key}");

    let open = Cluster::start(&[]);
    let mut command = program::command();
    command.args(["jobs", "--coordinator", &format!("https://{}", open.address())]);
    let ended = Running::start(command.env("TESSERA_CA", guarded.ca())).wait(LIMIT);
    assert!(ended.error().contains("it speaks no TLS: connect with http://"), "{ended:?}");
    let mut command = program::command();
    command.args(["jobs", "--coordinator", &format!("http://{}", guarded.cluster.address())]);
    let ended = Running::start(&mut command).wait(LIMIT);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.error().contains("and does it ask for https://?"), "{ended:?}");
}

/// What our own programs would never do.
#[test]
fn calls_that_no_program_of_ours_makes() {
    let guarded = Guarded::start(&[]);
    let (worker, submit) = (guarded.token("worker", "farm"), guarded.token("submit", "alice"));
    let refused = |status: Status, code: Code, sentence: &str| {
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(sentence), "{status}");
    };
    block_on(async {
        let channel = guarded.channel().await;
        let mut fleet = FleetClient::new(channel.clone());
        let attended = fleet.attend(with(&worker, tokio_stream::empty())).await;
        refused(attended.expect_err("no certificate"), Code::Unauthenticated, "attends with a certificate");
        let request = wire::EnrollRequest { request: "nonsense".to_owned(), name: "host".to_owned() };
        let enrolled = fleet.enroll(with(&worker, request)).await;
        refused(enrolled.expect_err("no request"), Code::InvalidArgument, "the request for a certificate");

        let mut jobs = JobsClient::new(channel.clone()).max_encoding_message_size(usize::MAX);
        for id in ["../../etc/passwd", "..", "/etc/passwd", "a/b", ""] {
            let request = wire::FetchRequest { job: id.to_owned(), artifact: 1 };
            let fetched = jobs.fetch(with(&submit, request)).await;
            refused(fetched.expect_err("no id"), Code::InvalidArgument, "job id");
        }
        let huge = wire::JobSpec { image: vec![0; 98 << 20].into(), ..wire::JobSpec::default() };
        let sent = jobs.submit(with(&submit, wire::SubmitRequest { spec: Some(huge) })).await;
        let status = sent.expect_err("an oversize message");
        assert_eq!(status.code(), Code::OutOfRange, "{status}");

        let mut reflection =
            tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(channel);
        let asked = reflection.server_reflection_info(tokio_stream::empty()).await;
        refused(asked.expect_err("no token"), Code::Unauthenticated, "this cluster asks for a token");
    });
}

/// Connections that say nothing, or say it drop by drop, before and after TLS.
/// KEDA can show a certificate, and no token.
#[test]
fn a_certificate_alone_is_enough_for_the_scaler_until_it_is_revoked() {
    let guarded = Guarded::start(&[]);
    let folder = guarded.tls.path().join("keda");
    let place = |path: &Path| path.to_str().expect("a plain path").to_owned();
    let (made, tls) = (place(&folder), place(guarded.tls.path()));
    let words = ["new", "--role", "submit", "--name", "keda", "--certificate", &made, "--tls", &tls];
    let said = guarded.tokens(&words);
    assert_eq!(said.stdout.trim(), made);
    let active = async |identity| {
        let mut scaler = ExternalScalerClient::new(guarded.connected(identity).await);
        scaler.is_active(ScaledObjectRef::default()).await.map(|answer| answer.into_inner().result)
    };
    let stranger = block_on(active(None)).expect_err("nothing was shown");
    assert_eq!(stranger.code(), Code::Unauthenticated, "{stranger}");
    assert!(!block_on(active(Some(&folder))).expect("it is known"), "no job, no work");
    let listed = guarded.tokens(&["list"]).stdout;
    let row = listed.lines().find(|line| line.contains("keda")).expect("a row");
    assert!(row.contains("certificate") && row.contains("submit"), "{row}");
    guarded.tokens(&["revoke", row.split_whitespace().next().expect("an id")]);
    let deadline = Instant::now() + LIMIT;
    while let Ok(active) = block_on(active(Some(&folder))) {
        assert!(!active && Instant::now() < deadline, "a revoked certificate still works");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn slow_callers_are_cut_off() {
    let guarded = Guarded::start(&[]);
    let cut = |open: bool| {
        let cluster = open.then(|| Cluster::start(&[]));
        let address = cluster.as_ref().unwrap_or(&guarded.cluster).address();
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a limit");
        let began = Instant::now();
        // What HTTP/2 begins with, and a TLS greeting of 256 bytes: neither comes to its end.
        let greeting: &[u8] =
            if open { b"PRI * HTTP/2.0\r\n\r\nSM" } else { &[22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3] };
        let mut greeting = greeting.iter();
        loop {
            let said = greeting.next().map_or(Ok(()), |&byte| stream.write_all(&[byte]));
            let heard = stream.read(&mut [0; 64]);
            let over = said.is_err() || matches!(heard, Ok(0)) || heard.as_ref().is_err_and(is_cut);
            if over {
                return began.elapsed();
            }
            assert!(began.elapsed() < LIMIT, "still open");
        }
    };
    std::thread::scope(|scope| {
        for open in [false, true] {
            scope.spawn(move || assert!(cut(open) < Duration::from_secs(20)));
        }
    });
}

fn is_cut(error: &std::io::Error) -> bool {
    !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
