//! The flow-control windows of HTTP/2, as both sides announce them: bytes of a connection's beginning in, settings out.
//!
//! Left to the defaults of 64 KiB, a tile of some MiB waits for dozens of round trips. What a side announces is what the other
//! one may send to it.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use tessera_tests::{cluster::Cluster, process::Running, program};

/// What a client says first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frames' types, and a setting's number (RFC 9113, 6).
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// A connection's window before anything is announced, bytes.
const DEFAULT: u32 = 65_535;

/// How long the other side may take to say something.
const LIMIT: Duration = Duration::from_secs(30);

/// The windows of a stream and of the connection that the other side announces, bytes.
fn announced(stream: &mut TcpStream) -> (u32, u32) {
    stream.set_read_timeout(Some(LIMIT)).expect("a socket has time limits");
    let (mut of_stream, mut of_connection) = (None, None);
    while of_stream.is_none() || of_connection.is_none() {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("settings, and a window of the connection");
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).expect("a whole frame");
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
        match head[3] {
            SETTINGS => {
                let settings = payload.chunks_exact(6);
                let window =
                    settings.filter(|entry| u16::from_be_bytes([entry[0], entry[1]]) == INITIAL_WINDOW_SIZE);
                of_stream = of_stream.or(window.map(|entry| number(&entry[2..])).next_back());
            }
            WINDOW_UPDATE if head[5..] == [0; 4] => of_connection = Some(DEFAULT + number(&payload)),
            _ => {}
        }
    }
    (of_stream.expect("it was announced"), of_connection.expect("likewise"))
}

/// What a program that dials an address announces.
fn dialled(words: &[&str]) -> (u32, u32) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let mut command = program::command();
    let _program = Running::start(command.args(words).args(["--coordinator", &url]));
    listener.set_nonblocking(true).expect("a listener that does not wait");
    let deadline = Instant::now() + LIMIT;
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(_) => assert!(Instant::now() < deadline, "nobody dials"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    stream.set_nonblocking(false).expect("a stream that waits");
    let mut preface = vec![0; PREFACE.len()];
    stream.set_read_timeout(Some(LIMIT)).expect("a socket has time limits");
    stream.read_exact(&mut preface).expect("a preface");
    assert_eq!(preface, PREFACE);
    announced(&mut stream)
}

/// As `proto/src/limits.rs` has them.
const OURS: (u32, u32) = (4 << 20, 8 << 20);

#[test]
fn the_coordinator_announces_wide_windows() {
    let cluster = Cluster::start(&[]);
    let mut stream = TcpStream::connect(cluster.url().trim_start_matches("http://")).expect("it listens");
    // A preface and no settings of our own.
    stream.write_all(&[PREFACE, &[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]].concat()).expect("it reads");
    assert_eq!(announced(&mut stream), OURS);
}

#[test]
fn workers_and_users_announce_wide_windows() {
    assert_eq!(dialled(&["worker", "--device", "sim:1"]), OURS);
    assert_eq!(dialled(&["jobs"]), OURS);
}
