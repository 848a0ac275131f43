//! What the two ends of a bench tell each other besides frames: lines of JSON over TCP.
//!
//! Either end says hello first, the near one before the far one. Then, for each measurement, the near end sends a [`Run`]
//! and the far one answers with [`Reply::Ready`] and, at the end of each phase, [`Reply::Phase`]; or with
//! [`Reply::Failed`]. The near end closes the connection when it is done.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use framewire_figures::summary::LatencyMs;
use framewire_process::stop::Stop;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::contender::Contender;
use super::patience::LOOK_AROUND;
use super::stamp::Phase;

/// Changes with every change of what the two ends say or do.
const VERSION: u32 = 3;
const PROGRAM: &str = "framewire-bench";
/// How long the first line may take.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);
/// Far more than any line has.
const LINE_MAX: usize = 4096;
/// As much of a reason as is passed on.
const REASON_CHARS_MAX: usize = 600;

/// The first line of either end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    program: String,
    version: u32,
    /// Equal exactly where both ends read one clock; 0 where that cannot be told.
    pub(super) clock: u64,
}

/// What the far end is to receive next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) contender: Contender,
    /// As `--frame` writes it.
    pub(super) frame: String,
    pub(super) backend: String,
    /// A time of one end can be compared with one of the other.
    pub(super) shared_clock: bool,
    /// Bytes of a datagram of the bare kernel.
    #[serde(default)]
    pub(super) datagram_bytes: u16,
    /// Where those datagrams come from, at the near end's address.
    #[serde(default)]
    pub(super) udp_port: u16,
    /// Where the two processes of one machine meet.
    #[serde(default)]
    pub(super) path: Option<String>,
    /// The reader looks for frames without sleeping.
    #[serde(default)]
    pub(super) busy_poll: bool,
    /// Of a protected stream, as [`Key::to_text`](framewire_transport::Key::to_text) writes it: of one that has nothing to hide.
    #[serde(default)]
    pub(super) key: Option<String>,
}

/// What the far end says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// It can be sent to.
    Ready(Ready),
    /// Every frame of a phase has arrived.
    Phase(PhaseFigures),
    /// It cannot go on with this run.
    Failed(String),
}

/// Where to send to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ready {
    /// TCP or UDP, at the address of the control connection.
    pub(super) port: u16,
    /// What the sender names itself by, so that nobody else is taken for it.
    pub(super) stream: u32,
    /// Datagrams of the bare kernel that may be on their way.
    #[serde(default)]
    pub(super) window: u64,
}

/// What the far end has measured in a phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PhaseFigures {
    pub(super) phase: Phase,
    pub(super) frames: u64,
    /// From the first frame complete to the last.
    pub(super) seconds: f64,
    /// Of the receiving process in that time.
    pub(super) cpu_seconds: f64,
    /// From sent to complete, where the ends have one clock or the link knows their difference.
    pub(super) latency_ms: Option<LatencyMs>,
}

/// Why the two ends do not understand each other.
#[derive(Debug, Error)]
pub(super) enum ControlError {
    #[error("stopped")]
    Stopped,
    #[error("{0} has closed the control connection; look there for the reason, and start both ends again")]
    Closed(SocketAddr),
    #[error(
        "{peer} did not answer within {patience:?}; is framewire bench --receive running there, and not busy with another bench?"
    )]
    Silent { peer: SocketAddr, patience: Duration },
    #[error("{0} sends a line of more than {LINE_MAX} bytes, as framewire bench never does; check the port")]
    Endless(SocketAddr),
    #[error("{peer} says '{said}', as framewire bench never does; check the port")]
    Stranger { peer: SocketAddr, said: String },
    #[error(
        "{peer} speaks version {theirs} of framewire bench and this is version {VERSION}; use the same release at both ends"
    )]
    Version { peer: SocketAddr, theirs: u32 },
    #[error("the control connection with {peer} broke: {source}; check the network, and start both ends again")]
    Broken { peer: SocketAddr, source: io::Error },
}

/// One end of the connection.
pub(super) struct Control {
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
    stop: Stop,
    /// Bytes of the next line.
    pending: Vec<u8>,
}

impl Control {
    /// Says hello first, as the near end does, and returns what the far end answers.
    pub(super) fn greet(stream: TcpStream, clock: u64, stop: &Stop) -> Result<(Self, Hello), ControlError> {
        let mut control = Self::new(stream, stop)?;
        control.send(&Hello::of_this_end(clock))?;
        let hello = control.hear_hello()?;
        control.check_version(&hello)?;
        Ok((control, hello))
    }

    /// Answers a hello, as the far end does.
    pub(super) fn answer(stream: TcpStream, clock: u64, stop: &Stop) -> Result<Self, ControlError> {
        let mut control = Self::new(stream, stop)?;
        let hello = control.hear_hello()?;
        // Before its version is looked at: so the near end can say what is wrong, too.
        control.send(&Hello::of_this_end(clock))?;
        control.check_version(&hello)?;
        Ok(control)
    }

    fn new(stream: TcpStream, stop: &Stop) -> Result<Self, ControlError> {
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let broken = |peer| move |source| ControlError::Broken { peer, source };
        let peer = stream.peer_addr().map_err(broken(unknown))?;
        let local = stream.local_addr().map_err(broken(peer))?;
        stream.set_read_timeout(Some(LOOK_AROUND)).map_err(broken(peer))?;
        stream.set_write_timeout(Some(HELLO_PATIENCE)).map_err(broken(peer))?;
        stream.set_nodelay(true).map_err(broken(peer))?;
        Ok(Self { stream, peer, local, stop: stop.clone(), pending: Vec::new() })
    }

    /// The address at the far end.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The address at this end, which the far end speaks to.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    fn hear_hello(&mut self) -> Result<Hello, ControlError> {
        let line = self.receive_line(HELLO_PATIENCE)?;
        match serde_json::from_slice::<Hello>(&line) {
            Ok(hello) if hello.program == PROGRAM => Ok(hello),
            _ => Err(self.stranger(&line)),
        }
    }

    fn check_version(&self, hello: &Hello) -> Result<(), ControlError> {
        match hello.version {
            VERSION => Ok(()),
            theirs => Err(ControlError::Version { peer: self.peer, theirs }),
        }
    }

    /// Sends a line.
    pub(super) fn send(&mut self, message: &impl Serialize) -> Result<(), ControlError> {
        let mut line = serde_json::to_vec(message).expect("numbers and texts are always JSON");
        line.push(b'\n');
        self.stream.write_all(&line).map_err(|source| self.broken(source))
    }

    /// Tells the far end why this one cannot go on.
    pub(super) fn send_failure(&mut self, reason: &str) -> Result<(), ControlError> {
        self.send(&Reply::Failed(reason.chars().take(REASON_CHARS_MAX).collect()))
    }

    /// Waits for a line.
    pub(super) fn receive<T: DeserializeOwned>(&mut self, patience: Duration) -> Result<T, ControlError> {
        let line = self.receive_line(patience)?;
        serde_json::from_slice(&line).map_err(|_| self.stranger(&line))
    }

    fn receive_line(&mut self, patience: Duration) -> Result<Vec<u8>, ControlError> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n')
                && end <= LINE_MAX
            {
                let rest = self.pending.split_off(end + 1);
                self.pending.truncate(end);
                return Ok(std::mem::replace(&mut self.pending, rest));
            }
            if self.pending.len() > LINE_MAX {
                return Err(ControlError::Endless(self.peer));
            }
            if self.stop.is_stopped() {
                return Err(ControlError::Stopped);
            }
            if Instant::now() >= deadline {
                return Err(ControlError::Silent { peer: self.peer, patience });
            }
            let mut bytes = [0; 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(ControlError::Closed(self.peer)),
                Ok(len) => self.pending.extend_from_slice(&bytes[..len]),
                Err(error) if is_pause(&error) => {}
                Err(source) => return Err(self.broken(source)),
            }
        }
    }

    fn stranger(&self, line: &[u8]) -> ControlError {
        let said = String::from_utf8_lossy(line).chars().filter(|char| !char.is_control()).take(60).collect();
        ControlError::Stranger { peer: self.peer, said }
    }

    fn broken(&self, source: io::Error) -> ControlError {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match source.kind() {
            BrokenPipe | ConnectionReset => ControlError::Closed(self.peer),
            _ => ControlError::Broken { peer: self.peer, source },
        }
    }
}

impl Hello {
    fn of_this_end(clock: u64) -> Self {
        Self { program: PROGRAM.into(), version: VERSION, clock }
    }
}

/// Whether a socket with a timeout says that nothing has happened yet.
pub(super) fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    /// What a near end makes of a far end that says these bytes and closes.
    fn greeted(bytes: &[u8]) -> ControlError {
        let (near, mut far) = pair();
        far.write_all(bytes).unwrap();
        far.shutdown(std::net::Shutdown::Write).unwrap();
        Control::greet(near, 1, &Stop::new()).map(|_| ()).unwrap_err()
    }

    #[test]
    fn what_one_end_says_the_other_hears() {
        let (near, far) = pair();
        let far = std::thread::spawn(move || Control::answer(far, 7, &Stop::new()).unwrap());
        let (mut near, hello) = Control::greet(near, 7, &Stop::new()).unwrap();
        let mut far = far.join().unwrap();
        assert_eq!(hello.clock, 7);
        let run = Run {
            contender: Contender::Kernel,
            frame: "640x480:gray8".into(),
            backend: "mmsg".into(),
            shared_clock: true,
            datagram_bytes: 1_472,
            udp_port: 9,
            path: Some("/tmp/here".into()),
            busy_poll: true,
            key: Some("a key".into()),
        };
        near.send(&run).unwrap();
        assert_eq!(far.receive::<Run>(HELLO_PATIENCE).unwrap(), run);
        let latency_ms = Some(LatencyMs { p50: 0.5, p99: 1.0, p999: 1.5, max: 2.0 });
        let figures = PhaseFigures { phase: Phase::Latency, frames: 60, seconds: 1.0, cpu_seconds: 0.1, latency_ms };
        // Two lines at once, one of them too long to be told whole.
        far.send(&Reply::Phase(figures.clone())).unwrap();
        far.send_failure(&"because ".repeat(1000)).unwrap();
        assert_eq!(near.receive::<Reply>(HELLO_PATIENCE).unwrap(), Reply::Phase(figures));
        let Reply::Failed(reason) = near.receive(HELLO_PATIENCE).unwrap() else { panic!("no failure") };
        assert_eq!(reason.len(), REASON_CHARS_MAX);
        drop(far);
        assert!(matches!(near.receive::<Reply>(HELLO_PATIENCE), Err(ControlError::Closed(_))));
    }

    #[test]
    fn a_far_end_that_is_something_else_is_named() {
        let said = greeted(b"SSH-2.0-OpenSSH_9.9\r\n").to_string();
        assert!(said.contains("'SSH-2.0-OpenSSH_9.9'") && said.contains("check the port"), "{said}");
        let said = greeted(b"{\"program\":\"other\",\"version\":1,\"clock\":0}\n").to_string();
        assert!(said.contains("other"), "{said}");
        assert!(matches!(greeted(&[b'x'; 3 * LINE_MAX]), ControlError::Endless(_)));
        assert!(matches!(greeted(b"half a line"), ControlError::Closed(_)));
    }

    #[test]
    fn another_version_is_told_at_both_ends() {
        let newer = b"{\"program\":\"framewire-bench\",\"version\":4,\"clock\":0,\"more\":[]}\n";
        let said = greeted(newer).to_string();
        assert!(said.contains("version 4") && said.contains("same release"), "{said}");
        let (mut near, far) = pair();
        near.write_all(newer).unwrap();
        let error = Control::answer(far, 0, &Stop::new()).map(|_| ()).unwrap_err();
        assert!(matches!(error, ControlError::Version { theirs: 4, .. }));
        let mut answer = String::new();
        near.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("\"version\":3"), "{answer}");
    }

    #[test]
    fn an_end_that_is_asked_to_stop_does_not_wait() {
        let (near, _far) = pair();
        let stop = Stop::new();
        stop.stop();
        assert!(matches!(Control::greet(near, 0, &stop).map(|_| ()), Err(ControlError::Stopped)));
    }
}
