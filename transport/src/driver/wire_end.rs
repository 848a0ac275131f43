//! What is between a stream's subscriber and its receiver: the socket, what its errors have said, and when it is made anew. The same under a sender's own thread and under a
//! relay's, which differ in what they do while it takes nothing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::backend_thread::{reopen, replace};
use super::errors::{Remedy, Trouble, remedy};
use super::rebind::{Look, Rebind};
use crate::backend::{Backend, BackendConfig, ConnectedSocket, ReceiveBatch, SendBatch, headers_bytes};
use crate::send::{CONTROL_MAX, Publication, Subscriber, Untaken};
use crate::time::Time;

/// Datagrams from the receiver that are read at once: credit comes a few times a frame.
const INBOX: usize = 16;
/// Room for the longest of them, a request for slices.
const INBOX_BYTES: usize = 1024;
/// Less is not worth asking for.
const SEND_BUFFER_MIN: usize = 256 << 10;
/// The largest send buffer that a stream asks for, bytes: 8 MiB, a 4K frame.
pub const SEND_BUFFER_MAX: usize = 8 << 20;

/// Where datagrams of fields are written, and read: one for each thread.
pub(super) struct Fields {
    pub(super) inbox: ReceiveBatch,
    control: Box<[u8; CONTROL_MAX]>,
}

impl Fields {
    pub(super) fn new() -> Self {
        Self { inbox: ReceiveBatch::new(INBOX, INBOX_BYTES), control: Box::new([0; CONTROL_MAX]) }
    }
}

/// The send buffer bounds what waits for a slow network card; a frame of it keeps the card busy.
pub(super) fn set_send_buffer(socket: &ConnectedSocket, frame_bytes: u32) {
    if let Err(error) = socket.set_send_buffer((frame_bytes as usize).clamp(SEND_BUFFER_MIN, SEND_BUFFER_MAX)) {
        tracing::debug!(%error, "the send buffer stays at the system's default");
    }
}

/// This end of the way to one receiver. To be used on its backend's thread alone.
pub(super) struct WireEnd {
    backend: Box<dyn Backend>,
    config: BackendConfig,
    rebind: Rebind,
    trouble: Trouble,
    reports: Reports,
}

/// What errors have said that the protocol has not been told yet.
#[derive(Default)]
struct Reports {
    /// Nobody listens at the far end.
    unreachable: bool,
    /// The way does not carry so large a datagram.
    narrow: bool,
}

impl WireEnd {
    pub(super) fn new(backend: Box<dyn Backend>, config: BackendConfig) -> Self {
        let rebind = Rebind::new(backend.socket().peer());
        Self { backend, config, rebind, trouble: Trouble::default(), reports: Reports::default() }
    }

    pub(super) fn socket(&self) -> &ConnectedSocket {
        self.backend.socket()
    }

    /// What the system knows the path to carry.
    pub(super) fn path_bytes(&self) -> Option<usize> {
        self.socket().known_path_datagram_bytes()
    }

    /// Reads what the receiver says, and what the system says of datagrams that were sent before. Where that fails time and again, how long to leave the socket alone.
    pub(super) fn receive(&mut self, inbox: &mut ReceiveBatch, now: Time) -> Option<Duration> {
        inbox.post_heads();
        let mut failures = 0;
        while let Err(error) = self.backend.receive(inbox) {
            let remedy = self.note(&error);
            failures += 1;
            if remedy == Remedy::Wait {
                return None;
            }
            if failures >= remedy.tries() {
                return Some(self.fail(&error, now));
            }
        }
        None
    }

    /// Tells the protocol what was read, and what errors have said.
    pub(super) fn hand_over(&mut self, inbox: &ReceiveBatch, subscriber: &mut Subscriber, now: Time) {
        let Reports { unreachable, narrow } = std::mem::take(&mut self.reports);
        if unreachable {
            subscriber.handle_unreachable(now);
        }
        if narrow {
            subscriber.handle_narrow_report(self.path_bytes(), now);
        }
        for datagram in inbox.datagrams() {
            subscriber.handle_datagram(datagram.head, now);
        }
    }

    /// Sends the datagrams of fields that are due. Lost ones are repeated by the protocol; whether somebody is there shows when reading.
    pub(super) fn send_fields(&mut self, fields: &mut Fields, subscriber: &mut Subscriber, now: Time) {
        while let Some(len) = subscriber.poll_transmit(now, &mut fields.control) {
            match self.send_one(&fields.control[..len]) {
                Ok(()) => self.trouble.end(),
                Err((Remedy::Smaller, _)) => subscriber.handle_too_large(self.path_bytes(), now),
                Err((remedy, error)) => {
                    subscriber.handle_not_sent();
                    // A full socket is no failure.
                    if remedy != Remedy::Wait {
                        self.tell(&error, now);
                    }
                }
            }
        }
    }

    /// Sends a datagram, again where the call was told of an earlier one instead.
    ///
    /// # Errors
    /// As [`WireEnd::send`].
    fn send_one(&mut self, bytes: &[u8]) -> Result<(), (Remedy, io::Error)> {
        let mut failures = 0;
        loop {
            let Err(error) = self.backend.send_one(bytes) else { return Ok(()) };
            let remedy = self.note(&error);
            failures += 1;
            if failures >= remedy.tries() {
                return Err((remedy, error));
            }
        }
    }

    /// Sends what the batch still has to send, again where the call was told of an earlier datagram instead.
    ///
    /// # Errors
    /// What the system says of the first datagram that did not leave, and what helps; it has noted that itself.
    pub(super) fn send(&mut self, batch: &mut SendBatch) -> Result<(), (Remedy, io::Error)> {
        let mut failures = 0;
        while !batch.is_sent() {
            let Err(error) = self.backend.send(batch) else {
                failures = 0;
                continue;
            };
            let remedy = self.note(&error);
            failures += 1;
            if failures >= remedy.tries() {
                return Err((remedy, error));
            }
        }
        self.trouble.end();
        Ok(())
    }

    /// Takes in an error of the socket.
    fn note(&mut self, error: &io::Error) -> Remedy {
        let remedy = remedy(error);
        match remedy {
            Remedy::Ask => self.reports.unreachable = true,
            Remedy::Smaller => self.reports.narrow = true,
            _ => {}
        }
        self.rebind.note(remedy);
        remedy
    }

    /// Takes in that the socket fails time and again, of which the log tells; how long to leave it alone.
    pub(super) fn fail(&mut self, error: &io::Error, now: Time) -> Duration {
        self.tell(error, now);
        self.trouble.pause()
    }

    pub(super) fn tell(&mut self, error: &io::Error, now: Time) {
        if let Some(times) = self.trouble.tell(now) {
            tracing::warn!(
                peer = %self.socket().peer(), %error, times,
                "datagrams cannot be sent or received at present; the stream goes on when they can"
            );
        }
    }

    /// Slices have this size from now on, and leave so many at a time.
    pub(super) fn fit_slices(&mut self, slice_bytes: usize, datagrams_max: usize) {
        (self.config.slice_bytes, self.config.datagrams_max) = (slice_bytes, datagrams_max);
        reopen(&mut self.backend, &self.config);
    }

    /// The receiver is at this address from now on.
    pub(super) fn redirect(&mut self, peer: SocketAddr) {
        self.rebind.redirect(peer);
    }

    /// Whether another socket would help that has not been looked for yet.
    pub(super) fn wants_look(&self) -> bool {
        self.rebind.is_wanted()
    }

    /// When to look which address this end speaks from.
    pub(super) fn look_due(&self, subscriber: &Subscriber) -> Time {
        self.rebind.poll_timeout(subscriber.heard())
    }

    /// Looks which address this end should speak from: a socket to go on with, if that is another one than before, or the old one is of no use.
    pub(super) fn look(&mut self, subscriber: &mut Subscriber, now: Time) -> Option<ConnectedSocket> {
        let was_wanted = self.rebind.is_wanted();
        match self.rebind.look(self.backend.socket(), now) {
            Look::Same if was_wanted => subscriber.retry(now),
            Look::Same => {}
            Look::Other(socket) => return Some(socket),
            Look::Failed(error) => self.tell(&error, now),
        }
        None
    }

    /// Goes on with another socket; the stream is opened anew.
    pub(super) fn go_on_with(&mut self, socket: ConnectedSocket, subscriber: &mut Subscriber, now: Time) {
        let local = |socket: &ConnectedSocket| socket.local().map_or("nowhere".into(), |local| local.to_string());
        tracing::info!(
            from = local(self.socket()), to = local(&socket), peer = %socket.peer(), "this end speaks from another address"
        );
        set_send_buffer(&socket, subscriber.cut().frame_bytes());
        // At most 48.
        let headers_bytes = headers_bytes(socket.peer()) as u16;
        replace(&mut self.backend, socket, &self.config);
        self.reports = Reports::default();
        self.trouble.end();
        subscriber.handle_redirect(headers_bytes, now);
    }
}

/// Has the batch filled with slices that may leave: whole trains, so that none is cut in two by the end of the batch. Returns the frames that it holds: of what is sealed it
/// has copies.
pub(super) fn fill(
    batch: &mut SendBatch,
    (subscriber, publication): (&mut Subscriber, &mut Publication),
    now: Time,
) -> Option<Untaken> {
    let (train, mut untaken) = (subscriber.cut().train(), None::<Untaken>);
    while batch.room() >= train {
        let room = u32::try_from(batch.room() - batch.room() % train).unwrap_or(u32::MAX);
        let Some(mut run) = subscriber.poll_slices(publication, room, now) else { break };
        if !run.is_sealed() {
            let number = run.number();
            untaken = Some(untaken.map_or(Untaken::of(number), |untaken| untaken.and(number)));
        }
        let (payload, cell) = (run.payload(), run.payload_bytes());
        let pushed = if run.is_sealed() {
            batch.push_sealed(payload.len(), cell, |nth, head, payload| run.seal(nth, head, payload))
        } else {
            batch.push_slices(run.frame, payload, cell, |nth, head| run.emit_header(nth, head))
        };
        if let Err(error) = pushed {
            // Asked for again by the receiver, like what the network loses.
            tracing::error!(%error, "slices were not sent");
        }
    }
    untaken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::BackendKind;
    use crate::frame::FramePool;

    /// Says so many times that a datagram is too large, and takes it then.
    struct Refusing {
        socket: ConnectedSocket,
        refusals: u32,
    }

    impl Backend for Refusing {
        fn kind(&self) -> BackendKind {
            BackendKind::Mmsg
        }

        fn socket(&self) -> &ConnectedSocket {
            &self.socket
        }

        fn send(&mut self, batch: &mut SendBatch) -> io::Result<usize> {
            self.send_one(&[])?;
            batch.clear();
            Ok(1)
        }

        fn send_one(&mut self, _bytes: &[u8]) -> io::Result<()> {
            let Some(left) = self.refusals.checked_sub(1) else { return Ok(()) };
            self.refusals = left;
            Err(io::Error::from_raw_os_error(libc::EMSGSIZE))
        }

        fn receive(&mut self, _batch: &mut ReceiveBatch) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    #[test]
    fn slices_become_smaller_where_this_machine_refuses_them_and_not_for_a_burst_of_reports() {
        let refusing = |refusals| {
            let socket = ConnectedSocket::connect("127.0.0.1:9".parse().unwrap()).unwrap();
            WireEnd::new(Box::new(Refusing { socket, refusals }), BackendConfig::new(1, 1_472))
        };
        let frame = FramePool::new(1, 1_472).unwrap().try_acquire().unwrap().freeze();
        let batch = || {
            let mut batch = SendBatch::new(1, 0);
            batch.push(&frame, 0..1_472, |_| {}).unwrap();
            batch
        };
        for (refusals, said) in [(40, None), (u32::MAX, Some(Remedy::Smaller))] {
            let mut wire = refusing(refusals);
            assert_eq!(wire.send_one(&[0; 1_472]).err().map(|(remedy, _)| remedy), said);
            let mut wire = refusing(refusals);
            assert_eq!(wire.send(&mut batch()).err().map(|(remedy, _)| remedy), said);
            // It is asked about either way.
            assert!(wire.reports.narrow);
        }
    }
}
