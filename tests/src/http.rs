//! One question over HTTP/1: an address and a path in, status and body out.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Asks and waits for the whole answer.
///
/// # Panics
/// Nobody answers within ten seconds, or not in HTTP.
#[must_use]
pub fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket takes a time limit");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .expect("it is read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer comes, and ends");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}
