//! A TCP socket: frames of known length, one behind the other.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::worker::Worker;
use crate::{Link, Picture};

/// A TCP connection over loopback.
pub struct TcpLink {
    // Dropped last, so that the sender can finish.
    sending: Worker,
    socket: TcpStream,
    frame: Vec<u8>,
}

impl TcpLink {
    /// Connects both ends.
    ///
    /// # Panics
    /// Where loopback does not work.
    pub fn new(picture: &Picture) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port left");
        let address = listener.local_addr().expect("a bound socket has an address");
        let mut sender = TcpStream::connect(address).expect("loopback can be reached");
        let (socket, _) = listener.accept().expect("the connection is there");
        let frame = vec![0; picture.bytes()];
        let source = frame.clone();
        let sending = Worker::start(move |frames| {
            for _ in 0..frames {
                sender.write_all(&source).expect("the far end reads");
            }
        });
        Self { sending, socket, frame }
    }
}

impl Link for TcpLink {
    fn transfer(&mut self, frames: u64) -> Duration {
        let started = Instant::now();
        self.sending.send(frames);
        for _ in 0..frames {
            self.socket.read_exact(&mut self.frame).expect("the far end sends");
        }
        started.elapsed()
    }
}
