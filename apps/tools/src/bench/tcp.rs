//! One TCP connection: frames of known length, one behind the other.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use framewire_transport::Time;

use super::contender::{Arrived, ReceiveLink, SendLink};
use super::control::is_pause;
use super::patience::{LOOK_AROUND, PATIENCE, Wait};
use super::stamp::Stamp;

/// How long whoever connects may take to name the stream.
const NAME_WAIT: Duration = Duration::from_secs(1);
const ACCEPT_PAUSE: Duration = Duration::from_millis(1);

/// The sending half.
pub(super) struct TcpSender {
    socket: TcpStream,
    frame: Vec<u8>,
    stop: Stop,
}

impl TcpSender {
    /// Connects, and names the stream that the far end waits for.
    pub(super) fn connect(peer: SocketAddr, stream: u32, frame_bytes: usize, stop: &Stop) -> Result<Self, Failure> {
        let refused =
            |error| Failure::runtime(format!("no TCP connection for frames to {peer}: {error}; start both ends again"));
        let mut socket = TcpStream::connect_timeout(&peer, PATIENCE).map_err(refused)?;
        socket.set_nodelay(true).map_err(refused)?;
        socket.set_write_timeout(Some(LOOK_AROUND)).map_err(refused)?;
        socket.write_all(&stream.to_le_bytes()).map_err(refused)?;
        // Not zero, so that the pages are there before the first frame.
        Ok(Self { socket, frame: vec![1; frame_bytes], stop: stop.clone() })
    }
}

impl SendLink for TcpSender {
    fn send(&mut self, stamp: Stamp) -> Result<(), Failure> {
        stamp.write_now(&mut self.frame);
        let (frame, mut socket) = (&self.frame, &self.socket);
        let (mut at, mut wait) = (0, None);
        while at < frame.len() {
            match socket.write(&frame[at..]) {
                Ok(0) => return Err(broken(ErrorKind::WriteZero.into())),
                Ok(len) => at += len,
                Err(error) if is_pause(&error) => wait
                    .get_or_insert_with(|| Wait::begin(&self.stop, PATIENCE))
                    .check("no bytes went out over TCP", "is the far end still there?")?,
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(())
    }
}

/// The receiving half.
pub(super) struct TcpReceiver {
    listener: TcpListener,
    stream: u32,
    socket: Option<TcpStream>,
    frame: Vec<u8>,
    stop: Stop,
}

impl TcpReceiver {
    /// Takes the connection of a sender that names this stream, on a listener that does not block.
    pub(super) fn new(listener: &TcpListener, stream: u32, frame_bytes: usize, stop: &Stop) -> Result<Self, Failure> {
        let listener = listener.try_clone().map_err(broken)?;
        Ok(Self { listener, stream, socket: None, frame: vec![1; frame_bytes], stop: stop.clone() })
    }

    /// Waits until the sender connects; others are turned away.
    fn accept(&self) -> Result<TcpStream, Failure> {
        let wait = Wait::begin(&self.stop, PATIENCE);
        loop {
            match self.listener.accept() {
                Ok((socket, _)) if is_named(&socket, self.stream) => {
                    socket.set_read_timeout(Some(LOOK_AROUND)).map_err(broken)?;
                    return Ok(socket);
                }
                Ok(_) => {}
                // The sender connects within a round trip.
                Err(error) if is_pause(&error) => std::thread::sleep(ACCEPT_PAUSE),
                Err(error) => return Err(broken(error)),
            }
            wait.check("no TCP connection for frames came", "does a firewall on the way drop it?")?;
        }
    }
}

fn is_named(mut socket: &TcpStream, stream: u32) -> bool {
    let mut name = [0; 4];
    let read = socket
        .set_nonblocking(false)
        .and_then(|()| socket.set_read_timeout(Some(NAME_WAIT)))
        .and_then(|()| socket.read_exact(&mut name));
    read.is_ok() && name == stream.to_le_bytes()
}

impl ReceiveLink for TcpReceiver {
    fn next_frame(&mut self) -> Result<Arrived, Failure> {
        let mut socket = match self.socket.take() {
            Some(socket) => socket,
            None => self.accept()?,
        };
        let (mut at, mut wait) = (0, None);
        while at < self.frame.len() {
            match socket.read(&mut self.frame[at..]) {
                Ok(0) => return Err(broken(ErrorKind::UnexpectedEof.into())),
                Ok(len) => at += len,
                Err(error) if is_pause(&error) => wait
                    .get_or_insert_with(|| Wait::begin(&self.stop, PATIENCE))
                    .check("no bytes came over TCP", "is the sender still there?")?,
                Err(error) => return Err(broken(error)),
            }
        }
        let completed = Time::now();
        self.socket = Some(socket);
        let stamp = Stamp::parse(&self.frame).ok_or_else(|| Failure::runtime("a frame came without a stamp"))?;
        Ok(Arrived { stamp, completed, latency: None })
    }
}

fn broken(error: io::Error) -> Failure {
    Failure::runtime(format!("the TCP connection for frames broke: {error}; is the other end still there?"))
}
