//! For tests alone: rings that fail half-way through what they are given, and all that the kernel is asked to send meanwhile.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use io_uring::squeue::Entry;
use io_uring::{opcode, types};

use super::RingError;
use crate::backend::{Backend, BackendKind, ConnectedSocket, ReceiveBatch, SendBatch};
use crate::crypto::SEAL_LEN;
use crate::wire::{Flags, Kind, Prelude, fields_len};

/// How a round of sends goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// One message fails so. Those behind it leave, or are cancelled by the kernel where they are chained.
    Message(i32),
    /// The ring takes no more than the messages in front of one.
    Short,
    /// The messages in front of one leave, and then the ring fails: nobody learns which did.
    Ring,
}

impl Fault {
    pub(crate) const ALL: [Self; 11] = [
        Self::Message(libc::EAGAIN),
        Self::Message(libc::ENOBUFS),
        Self::Message(libc::ECANCELED),
        Self::Message(libc::ENOMEM),
        Self::Message(libc::EPERM),
        Self::Message(libc::ECONNREFUSED),
        Self::Message(libc::EIO),
        // Trains are refused; where there are none, the socket is of no use any more, and another one takes its place.
        Self::Message(libc::EINVAL),
        Self::Message(libc::ENETUNREACH),
        Self::Short,
        Self::Ring,
    ];
}

/// A fault, and the message that it is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Befallen {
    fault: Fault,
    at: usize,
}

/// The first round in which what is to last begins.
const LASTS_FROM: u32 = 4;
/// Rounds that it lasts: so many that any loop gives up what is left of a batch.
const LASTS: u32 = 40;

/// What becomes of all rings whose sockets speak to one address.
pub(crate) struct Ordeal(Mutex<State>);

struct State {
    random: u64,
    lasting: Fault,
    rounds: u32,
    /// Rings that are still to be had.
    rings: u32,
    seen: Seen,
}

/// What has come of it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) faults: HashMap<Fault, u32>,
    /// What moved datagrams, in its order.
    pub(crate) backends: Vec<BackendKind>,
    /// Of what was sealed, by its number: what the kernel was given.
    texts: HashMap<Nonce, u64>,
    /// Datagrams that it was given again.
    pub(crate) again: u64,
    /// Numbers under which it was given another text than before.
    pub(crate) twice: Vec<String>,
}

impl Seen {
    pub(crate) fn sealed(&self) -> usize {
        self.texts.len()
    }
}

/// A stream has other keys in each epoch, and others for slices than for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Nonce {
    epoch: u32,
    is_slice: bool,
    number: u64,
}

/// Those of tests that go on: a port that one has given back may be another's.
static ORDEALS: Mutex<Vec<(SocketAddr, Weak<Ordeal>)>> = Mutex::new(Vec::new());

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn of(peer: SocketAddr) -> Option<Arc<Ordeal>> {
    locked(&ORDEALS).iter().filter(|(known, _)| *known == peer).find_map(|(_, ordeal)| ordeal.upgrade())
}

/// Before a ring is set up for a socket towards this address.
pub(super) fn set_up(peer: SocketAddr) -> Result<Option<Arc<Ordeal>>, RingError> {
    let Some(ordeal) = of(peer) else { return Ok(None) };
    let mut state = locked(&ordeal.0);
    if state.rings == 0 {
        return Err(RingError::Other(io::Error::from_raw_os_error(libc::ENOMEM)));
    }
    state.rings -= 1;
    drop(state);
    Ok(Some(ordeal))
}

/// The operations as the ring gets them.
pub(super) fn befall<'a>(
    befallen: Option<Befallen>,
    operations: impl Iterator<Item = Entry> + 'a,
) -> Box<dyn Iterator<Item = Entry> + 'a> {
    match befallen {
        None => Box::new(operations),
        Some(Befallen { fault: Fault::Message(_), at }) => {
            // One that the kernel itself has fail, so that it does with the chain behind it what it does.
            let fails = || opcode::Send::new(types::Fd(-1), std::ptr::null(), 0).build();
            Box::new(operations.enumerate().map(move |(nth, operation)| if nth == at { fails() } else { operation }))
        }
        Some(Befallen { fault: Fault::Short | Fault::Ring, at }) => Box::new(operations.take(at)),
    }
}

/// The results as the backend learns of them.
pub(super) fn told(befallen: Option<Befallen>, results: &[i32]) -> io::Result<Vec<i32>> {
    let mut results = results.to_vec();
    match befallen {
        Some(Befallen { fault: Fault::Message(number), at }) => {
            assert!(results[at] < 0, "no message was to leave in its place");
            results[at] = -number;
        }
        Some(Befallen { fault: Fault::Ring, .. }) => {
            return Err(io::Error::other("the ring fails, as a test wants it"));
        }
        Some(Befallen { fault: Fault::Short, .. }) | None => {}
    }
    Ok(results)
}

impl Ordeal {
    /// Begins one for all rings towards this address: every third round fails somehow, somewhere, and once some rounds in a row fail in one way. After `rings` of them no
    /// other is to be had.
    pub(crate) fn towards(peer: SocketAddr, seed: u64, lasting: Fault, rings: u32) -> Arc<Self> {
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let state = State { random, lasting, rounds: 0, rings, seen: Seen::default() };
        let ordeal = Arc::new(Self(Mutex::new(state)));
        let mut ordeals = locked(&ORDEALS);
        ordeals.retain(|(known, ordeal)| *known != peer && ordeal.strong_count() > 0);
        ordeals.push((peer, Arc::downgrade(&ordeal)));
        ordeal
    }

    pub(crate) fn seen(&self) -> Seen {
        locked(&self.0).seen.clone()
    }

    /// Before a round of so many messages, at least one.
    pub(super) fn next(&self, messages: usize) -> Option<Befallen> {
        let mut state = locked(&self.0);
        let round = state.rounds;
        state.rounds += 1;
        let befallen = match round.checked_sub(LASTS_FROM) {
            // Some leave, and then nothing does.
            Some(0) => Befallen { fault: state.lasting, at: messages / 2 },
            Some(1..LASTS) => Befallen { fault: state.lasting, at: 0 },
            _ if state.below(3) > 0 => return None,
            _ => {
                let fault = Fault::ALL[state.below(Fault::ALL.len())];
                Befallen { fault, at: state.below(messages) }
            }
        };
        *state.seen.faults.entry(befallen.fault).or_default() += 1;
        Some(befallen)
    }
}

impl State {
    fn below(&mut self, end: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) as usize % end
    }
}

impl Seen {
    /// The kernel is given a datagram.
    fn see(&mut self, bytes: &[u8]) {
        let Ok(Prelude { kind, epoch, .. }) = Prelude::parse(bytes) else { return };
        let is_tagged = u16::from_be_bytes([bytes[12], bytes[13]]) & Flags::TAGGED != 0;
        if !is_tagged || kind == Kind::Open {
            // What opens a stream has keys of its own each time.
            return;
        }
        let (is_slice, number, text) = match kind {
            Kind::Slice | Kind::Parity => (true, &bytes[16..24], bytes),
            _ => {
                let fields = fields_len(kind, bytes).expect("a sender sends whole datagrams");
                (false, &bytes[fields..fields + 8], &bytes[..fields + SEAL_LEN])
            }
        };
        let number = u64::from_be_bytes(number.try_into().expect("eight bytes"));
        let nonce = Nonce { epoch, is_slice, number };
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let text = hasher.finish();
        match self.texts.insert(nonce, text) {
            None => {}
            Some(known) if known == text => self.again += 1,
            Some(_) => self.twice.push(format!("{kind:?}: {nonce:?}")),
        }
    }
}

/// The backend as it is, where nothing befalls those towards its peer; else one whose calls are looked at.
pub(in crate::backend) fn watched(backend: Box<dyn Backend>) -> Box<dyn Backend> {
    let Some(ordeal) = of(backend.socket().peer()) else { return backend };
    locked(&ordeal.0).seen.backends.push(backend.kind());
    Box::new(Watched { backend, ordeal, datagram: Vec::new() })
}

struct Watched {
    backend: Box<dyn Backend>,
    ordeal: Arc<Ordeal>,
    datagram: Vec<u8>,
}

impl Backend for Watched {
    fn kind(&self) -> BackendKind {
        self.backend.kind()
    }

    fn socket(&self) -> &ConnectedSocket {
        self.backend.socket()
    }

    fn send(&mut self, batch: &mut SendBatch) -> io::Result<usize> {
        let mut state = locked(&self.ordeal.0);
        for nth in batch.unsent() {
            self.datagram.clear();
            for piece in batch.iovecs(nth..nth + 1) {
                // SAFETY: the pieces lie in the batch, or in frames that it holds, initialised, and nobody writes to them while it is borrowed.
                let piece = unsafe { std::slice::from_raw_parts(piece.iov_base.cast::<u8>(), piece.iov_len) };
                self.datagram.extend_from_slice(piece);
            }
            state.seen.see(&self.datagram);
        }
        drop(state);
        self.backend.send(batch)
    }

    fn landings(&self) -> usize {
        self.backend.landings()
    }

    fn receive(&mut self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        self.backend.receive(batch)
    }

    fn send_one(&mut self, bytes: &[u8]) -> io::Result<()> {
        locked(&self.ordeal.0).seen.see(bytes);
        self.backend.send_one(bytes)
    }
}
