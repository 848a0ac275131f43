//! What a receiver is told when it is made.

use std::net::SocketAddr;

use super::error::BindError;
use crate::backend::BackendKind;
use crate::crypto::Key;
use crate::driver::opening::{Admission, default_memory_bytes};
use crate::driver::protection::{Protection, Undecided};
use crate::driver::threads::ThreadConfig;
use crate::frame::{ConsumerPolicy, SLOTS_MAX};
use crate::setters;
use crate::share::ShareConfig;

/// The most streams that one receiver opens.
const STREAMS_MAX: usize = 4_096;
/// The most keys beside those of announced streams: each opening is held against all of their ids.
const KEYS_MAX: usize = 256;

/// What a receiver is told when it is made: [`ReceiverConfig::new`], and what is to be different from that.
///
/// ```
/// use framewire_transport::ReceiverConfig;
///
/// let config = ReceiverConfig::new().slots(4).streams_max(2);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceiverConfig {
    /// Slots of each stream's pool, 1 to 64, 8 by default: four frames being assembled, the others with consumers. Few slots
    /// that stay in cache are faster than many.
    pub slots: usize,
    /// What moves the datagrams; [`BackendKind::Auto`] by default.
    pub backend: BackendKind,
    /// Let slices arrive in trains where the socket can (the default): a fraction of the work for small slices.
    pub trains: bool,
    /// With the `uring` backend, have a thread of the kernel fetch each stream's slices, so that no system call is made for
    /// them; off by default, since it keeps a core busy while frames flow.
    pub sqpoll: bool,
    /// How the streams' threads run.
    pub threads: ThreadConfig,
    /// Which streams are opened; by default any.
    pub admission: Admission,
    /// Streams that may be open at once, 1 to 4,096, 64 by default; so many may also wait for [`Receiver::accept`](super::Receiver::accept). Of those
    /// that wait for their memory, at most three quarters are of one address.
    pub streams_max: usize,
    /// Bytes that all streams together may take, at least 1; by default a quarter of the machine's memory, or of what its
    /// control group lets this process have, and at most 4 GiB. Reserved before memory is taken, and given back when the last
    /// frame of a stream has been dropped.
    pub memory_bytes_max: usize,
    /// Bytes that one stream may take, at least 1; by default half of the default of [`memory_bytes_max`](Self::memory_bytes_max),
    /// whatever that is set to.
    pub stream_bytes_max: usize,
    /// How the first consumer of a `latest` stream, the [`IncomingStream`](crate::IncomingStream) itself, treats frames that wait; by default
    /// [`ConsumerPolicy::Latest`]. That of an `every` stream always has them wait ([`ConsumerPolicy::Block`]).
    pub latest_policy: ConsumerPolicy,
    /// Where streams are shared with other processes of this machine, which then read them in place; by default nowhere.
    pub share: Option<ShareConfig>,
    /// Hand on frames of `latest` streams that did not become complete in time too, with what they have; off by default.
    /// [`Frame::missing`](crate::Frame::missing) tells what they lack.
    pub partial: bool,
    /// The keys of protected streams, at most 256, by default none: a sender that has one of them may open any stream under it. A stream
    /// that is announced with a key of its own ([`Announcement::key`](crate::Announcement::key)) is taken under that one alone. With keys, none is taken plain.
    pub keys: Vec<Key>,
    /// Whether streams are protected; by default they are with keys, and without them only loopback is listened on
    /// ([`Protection::Auto`]).
    pub protection: Protection,
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        Self {
            slots: 8,
            backend: BackendKind::Auto,
            trains: true,
            sqpoll: false,
            threads: ThreadConfig::default(),
            admission: Admission::Anyone,
            streams_max: 64,
            memory_bytes_max: default_memory_bytes(),
            stream_bytes_max: default_memory_bytes() / 2,
            latest_policy: ConsumerPolicy::Latest,
            share: None,
            partial: false,
            keys: Vec::new(),
            protection: Protection::Auto,
        }
    }
}

impl ReceiverConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        slots: usize,
        backend: BackendKind,
        trains: bool,
        sqpoll: bool,
        threads: ThreadConfig,
        admission: Admission,
        streams_max: usize,
        memory_bytes_max: usize,
        stream_bytes_max: usize,
        latest_policy: ConsumerPolicy,
        share: impl Into<Option<ShareConfig>>,
        partial: bool,
        keys: impl Into<Vec<Key>>,
        protection: Protection,
    }

    pub(super) fn check(&self, address: SocketAddr) -> Result<(), BindError> {
        let numbers = [
            ("slots of a stream", self.slots, SLOTS_MAX),
            ("streams at once", self.streams_max, STREAMS_MAX),
            ("bytes of memory for all streams", self.memory_bytes_max, usize::MAX),
            ("bytes of memory for a stream", self.stream_bytes_max, usize::MAX),
        ];
        let is_out = |(_, value, max): &(_, usize, usize)| !(1..=*max).contains(value);
        if let Some((what, value, max)) = numbers.into_iter().find(is_out) {
            return Err(BindError::OutOfRange { what, value, min: 1, max });
        }
        if self.keys.len() > KEYS_MAX {
            return Err(BindError::OutOfRange { what: "keys", value: self.keys.len(), min: 0, max: KEYS_MAX });
        }
        self.check_protection(address)
    }

    fn check_protection(&self, address: SocketAddr) -> Result<(), BindError> {
        match self.protection.decide(!self.keys.is_empty(), address) {
            Ok(_) => Ok(()),
            Err(Undecided::KeyUnused) => Err(BindError::KeysUnused),
            // Those that are announced are asked for keys of their own.
            Err(_) if self.admission == Admission::Announced => Ok(()),
            Err(Undecided::Unprotected) => Err(BindError::Unprotected(address)),
            Err(Undecided::NoKey) => Err(BindError::NoKeys),
        }
    }
}
