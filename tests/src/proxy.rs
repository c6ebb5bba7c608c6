//! A network that can be cut: an address behind it in; one before it, whose connections stand still when told to, out.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};

/// Passes bytes between its clients and one server.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    gate: Arc<Gate>,
}

/// Whether bytes pass.
#[derive(Debug, Default)]
struct Gate {
    cut: Mutex<bool>,
    changed: Condvar,
}

// === impl Proxy ===

impl Proxy {
    /// Listens on a free port for what is to go to `server`.
    ///
    /// # Panics
    /// There is no port.
    #[must_use]
    pub fn to(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let (gate, server) = (Arc::<Gate>::default(), server.to_owned());
        let ours = Arc::clone(&gate);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A host that is cut off cannot connect either: its first bytes wait like all others.
                let Ok(server) = TcpStream::connect(&server) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                    let gate = Arc::clone(&ours);
                    thread::spawn(move || gate.pass(from, to));
                }
            }
        });
        Self { address, gate }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on nothing passes, in either direction, and nobody is told.
    pub fn cut(&self) {
        self.gate.set(true);
    }

    /// What was held up passes, and what comes.
    pub fn mend(&self) {
        self.gate.set(false);
    }
}

// === impl Gate ===

impl Gate {
    fn set(&self, cut: bool) {
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner) = cut;
        self.changed.notify_all();
    }

    /// Passes bytes on until one side is gone.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
            drop(self.changed.wait_while(cut, |cut| *cut).unwrap_or_else(PoisonError::into_inner));
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        // One side's end is the other's; either may be gone already.
        let _ = to.shutdown(std::net::Shutdown::Both);
    }
}
