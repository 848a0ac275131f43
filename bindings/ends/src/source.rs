//! Where frames come from: the network, or another process of this machine. One interface for both.

mod all;
mod hubs;
mod network;
mod shared;
mod turns;
mod watched;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use framewire_transport::frame::ConsumerPolicy;

use self::all::{All, Ends};
pub use self::hubs::{Hub, shared_streams};
use self::network::Network;
pub use self::network::{ReceiveOptions, WatchOptions};
pub use self::shared::OpenOptions;
use self::shared::Shared;
use crate::error::{Class, Error};
use crate::stream::{Stream, Taken};
use crate::watching::ServerPlace;

/// Slots of a stream in which frames are assembled.
const ASSEMBLED: usize = 4;

/// Frames of all streams that come to one place. It can be used by several threads; each frame goes to one of them.
pub struct Source {
    way: Way,
    /// An error that [`Source::latest`] met after a frame that it had: some are told once.
    kept: Mutex<Option<Error>>,
}

enum Way {
    Network(Box<Network>),
    Shared(Box<Shared>),
    All(Box<All>),
}

/// What became of the frames of a source, over all its streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceStats {
    /// Frames that this program took.
    pub taken: u64,
    /// Frames that came, and that newer ones took the place of before they were taken.
    pub dropped: u64,
    /// Frames that did not arrive whole, or not at all, or for which no slot was free; 0 by shared memory, where the hub counts them.
    pub lost: u64,
    /// Frames that their source left out, as it says itself; 0 by shared memory.
    pub skipped: u64,
    /// Bytes of pixels taken.
    pub bytes: u64,
    /// Streams that have been read, the ended ones too.
    pub streams: u64,
    /// How often a stream's hub or sender was gone, and back.
    pub reconnects: u64,
    /// Slots of the streams that are open in which there are frames that were taken and are not dropped yet.
    pub held: usize,
}

impl SourceStats {
    /// The counts of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            taken: self.taken + other.taken,
            dropped: self.dropped + other.dropped,
            lost: self.lost + other.lost,
            skipped: self.skipped + other.skipped,
            bytes: self.bytes + other.bytes,
            streams: self.streams + other.streams,
            reconnects: self.reconnects + other.reconnects,
            held: self.held + other.held,
        }
    }
}

impl Source {
    fn by(way: Way) -> Self {
        Self { way, kept: Mutex::default() }
    }

    /// Listens on a UDP address, HOST:PORT, for whoever sends there.
    ///
    /// # Errors
    /// The address is none or cannot be listened on; off loopback without a key, unless it is said that this is meant ([`Protection::Off`](framewire_transport::Protection::Off)).
    pub fn bind(address: &str, options: &ReceiveOptions) -> Result<Self, Error> {
        Ok(Self::by(Way::Network(Box::new(Network::bind(address, options)?))))
    }

    /// The stream of this name at a server, wherever that is. One that is not there yet is waited for, and so are a server that is away and a stream that went:
    /// what is waited for is said by [`Source::trouble`]. Returns at once.
    ///
    /// # Errors
    /// The name, the server's address or join string or a number cannot be; the system has no port or no thread. What the server refuses is told by
    /// [`Source::recv`], from then on.
    pub fn watch(name: &str, server: &ServerPlace, options: &WatchOptions) -> Result<Self, Error> {
        Ok(Self::by(Way::Network(Box::new(Network::watch(name, server, options)?))))
    }

    /// Reads a stream of another process of this machine in place. Its hub is looked for; with no name, it is the only stream there is. A stream that is not
    /// there yet is waited for ([`OpenOptions::wait`]).
    ///
    /// `go_on` is asked at least every 50 ms whether to wait on; `None` where it says no.
    ///
    /// # Errors
    /// [`Class::UnknownStream`] with those that there are; what the hub refuses.
    pub fn open(
        stream: Option<&str>,
        options: &OpenOptions,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Self>, Error> {
        let shared = Shared::open(stream, options, go_on)?;
        Ok(shared.map(|shared| Self::by(Way::Shared(Box::new(shared)))))
    }

    /// Reads all streams of a hub of this machine in place, those that come later too, about 50 ms after they came: what a server has been sent. It ends when
    /// it is closed, and where [`OpenOptions::reconnect`] is off with its hub. `hub` and `wait` of the options say nothing here; `slots` and `queue` are those
    /// of each stream.
    ///
    /// # Errors
    /// There is no hub, or it refuses. A stream that is refused later is told of once, by [`Source::recv`].
    pub fn open_all(hub: &Hub, options: &OpenOptions) -> Result<Self, Error> {
        let ends = Ends { with_streams: false, with_hub: !options.reconnect };
        Ok(Self::by(Way::All(Box::new(All::open(hub.endpoint(), options, ends)?))))
    }

    /// As [`Source::open_all`], of a server that this program runs for frames from the network, by the options of [`Source::bind`]: slots that it fills itself
    /// are not counted again, and it ends with its streams where [`ReceiveOptions::reconnect`] is off. [`Class::Interrupted`] where the server has ended.
    ///
    /// # Errors
    /// As [`Source::open_all`].
    pub fn open_served(hub: &Hub, options: &ReceiveOptions) -> Result<Self, Error> {
        let hold = options.slots.saturating_sub(ASSEMBLED).max(1);
        let ends = Ends { with_streams: !options.reconnect, with_hub: true };
        let options = OpenOptions::new().slots(hold).queue(options.queue);
        Ok(Self::by(Way::All(Box::new(All::open(hub.endpoint(), &options, ends)?))))
    }

    /// The next frame; `None` where none came within `timeout`. Callers that have to look after something else meanwhile, signals for instance, ask for short
    /// times again and again; it costs nothing more. While a hub is looked for that is gone or stopped, it may take a tenth of a second longer.
    ///
    /// # Errors
    /// [`Class::Ended`] after the last frame; [`Class::SlotsHeld`] where this program has held every slot for 80 ms without giving one back, over all its
    /// calls, and at once where `timeout` is zero; [`Class::Interrupted`] where the hub is gone
    /// and is not to be waited for; [`Class::Closed`].
    pub fn recv(&self, timeout: Duration) -> Result<Option<Taken>, Error> {
        self.kept()?;
        match &self.way {
            Way::Network(network) => network.recv(timeout),
            Way::Shared(shared) => shared.recv(timeout),
            Way::All(all) => all.recv(timeout),
        }
    }

    /// A frame that waits already. Nobody is asked anything, a hub that may be stopped for one: it takes no time, but where this returns `None`,
    /// [`Source::recv`] may find one.
    ///
    /// # Errors
    /// As [`Source::recv`] with no time.
    pub fn waiting(&self) -> Result<Option<Taken>, Error> {
        self.kept()?;
        match &self.way {
            Way::Network(network) => network.recv(Duration::ZERO),
            Way::Shared(shared) => shared.waiting(),
            Way::All(all) => all.waiting(),
        }
    }

    /// The newest frame of those that wait, the others dropped; as [`Source::recv`] where none does.
    ///
    /// # Errors
    /// As [`Source::recv`].
    pub fn latest(&self, timeout: Duration) -> Result<Option<Taken>, Error> {
        Ok(self.recv(timeout)?.map(|taken| self.newest(taken)))
    }

    /// The newest frame of those that wait already: [`Source::latest`] as [`Source::waiting`] is to [`Source::recv`].
    ///
    /// # Errors
    /// As [`Source::recv`] with no time.
    pub fn latest_waiting(&self) -> Result<Option<Taken>, Error> {
        Ok(self.waiting()?.map(|taken| self.newest(taken)))
    }

    /// The newest of those that wait after one.
    fn newest(&self, mut newest: Taken) -> Taken {
        loop {
            match self.waiting() {
                Ok(Some(newer)) => newest = newer,
                Ok(None) => return newest,
                Err(error) => {
                    // It may be told once, and so is for the next call; what is held is looked at anew.
                    if error.class != Class::SlotsHeld {
                        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    }
                    return newest;
                }
            }
        }
    }

    /// # Errors
    /// What was kept for this call.
    fn kept(&self) -> Result<(), Error> {
        // Where another thread has it, that takes what there is; in a forked child, nobody waits for one of the parent.
        match self.kept.try_lock().ok().and_then(|mut kept| kept.take()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// A descriptor that is readable while there may be a frame to take or an end to learn of: for `poll`, `epoll` and what is built on it. It is only to be
    /// waited for, and the source's; once it is readable, call [`Source::recv`] with no time until that returns `None`. That all slots are held is told by
    /// `recv` alone.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn descriptor(&self) -> Result<BorrowedFd<'_>, Error> {
        match &self.way {
            Way::Network(network) => network.descriptor().map(AsFd::as_fd),
            Way::Shared(shared) => shared.descriptor().map(AsFd::as_fd),
            Way::All(all) => all.descriptor().map(AsFd::as_fd),
        }
    }

    /// The streams that are open at this moment.
    pub fn streams(&self) -> Vec<Stream> {
        match &self.way {
            Way::Network(network) => network.streams(),
            Way::Shared(shared) => shared.streams(),
            Way::All(all) => all.streams(),
        }
    }

    /// What became of the frames so far.
    pub fn stats(&self) -> SourceStats {
        match &self.way {
            Way::Network(network) => network.stats(),
            Way::Shared(shared) => shared.stats(),
            Way::All(all) => all.stats(),
        }
    }

    /// Why nothing comes of a stream that is [watched](Source::watch), where something is known: the server is away, or has no such stream.
    pub fn trouble(&self) -> Option<String> {
        match &self.way {
            Way::Network(network) => network.trouble(),
            Way::Shared(_) | Way::All(_) => None,
        }
    }

    /// The address listened on, with the real port; `None` by shared memory.
    pub fn local_addr(&self) -> Option<std::net::SocketAddr> {
        match &self.way {
            Way::Network(network) => Some(network.local_addr()),
            Way::Shared(_) | Way::All(_) => None,
        }
    }

    /// Ends it: who waits is told. Frames that were taken stay. Closing twice is closing once.
    pub fn close(&self) {
        match &self.way {
            Way::Network(network) => network.close(),
            Way::Shared(shared) => shared.close(),
            Way::All(all) => all.close(),
        }
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        match &self.way {
            Way::Network(network) => network.is_closed(),
            Way::Shared(shared) => shared.is_closed(),
            Way::All(all) => all.is_closed(),
        }
    }
}

/// The newest frame alone, or as many as are to wait.
fn policy(queue: Option<usize>) -> Result<ConsumerPolicy, Error> {
    match queue {
        None => Ok(ConsumerPolicy::Latest),
        Some(0) => Err(Error::new(
            Class::Argument,
            "queue-out-of-range",
            "a queue of 0 frames cannot be; use 1 or more, or none for the newest frame alone",
        )),
        Some(frames) => Ok(ConsumerPolicy::Queue(frames)),
    }
}
