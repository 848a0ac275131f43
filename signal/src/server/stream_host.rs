//! What a program does about its streams, as the server asks it to.

use std::net::{IpAddr, SocketAddr};

use super::seats::Connected;
use crate::message::{OpenRequest, Opened, Refused, Role, WatchAnswer, WatchRequest, reason};

/// Who asks for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asker {
    /// The address that the request came from: that of its connection, never one that somebody says. An IPv4 address is one, however it was connected to.
    pub ip: IpAddr,
    /// The interface of a link-local IPv6 address; 0 for others.
    pub zone: u32,
    /// What the client has proved to be; [`Role::Stream`] where there is nothing to prove.
    pub role: Role,
    /// Whether nobody in between can read what is said: whether it is TLS.
    pub protected: bool,
}

impl Asker {
    /// Who asks from `peer`, and has proved to be this.
    pub fn new(peer: SocketAddr, role: Role, protected: bool) -> Self {
        let zone = match peer {
            SocketAddr::V6(peer) => peer.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        Self { ip: peer.ip().to_canonical(), zone, role, protected }
    }

    pub(super) fn over(connected: &Connected, role: Role) -> Self {
        Self::new(connected.peer(), role, connected.is_protected())
    }

    /// Where its datagrams go: this port of its own address.
    pub fn at(&self, udp_port: u16) -> SocketAddr {
        match self.ip {
            IpAddr::V4(ip) => (ip, udp_port).into(),
            IpAddr::V6(ip) => std::net::SocketAddrV6::new(ip, udp_port, 0, self.zone).into(),
        }
    }
}

/// How a stream ended on the data path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamEnd {
    /// For good: its id is free.
    Over,
    /// Its frames stopped, and may come again. It stays its client's.
    MayGoOn,
}

/// What streams are to the rest of the program. Called on threads of the signal server that may block: of opening and closing one call at a time, and of
/// watching one at a time, beside each other.
pub trait StreamHost: Send + Sync {
    /// Makes the data path ready for a stream. The request is within its documented bounds; format, geometry, protocol
    /// version and slice size are the host's to judge. A client that lost its connection opens the same stream id again:
    /// the host goes on with it, or starts it afresh.
    ///
    /// # Errors
    /// [`Refused`], which goes to the client as it is.
    fn open(&self, request: &OpenRequest) -> Result<Opened, Refused>;

    /// As [`open`](Self::open), for a host to which it matters who asks, such as one that counts what its links carry: this is what is called. By default it
    /// does not matter.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn open_for(&self, asker: &Asker, request: &OpenRequest) -> Result<Opened, Refused> {
        let _ = asker;
        self.open(request)
    }

    /// Ends a stream: its client wished it, or it was just opened and its address has no place for it. Not called for streams of a
    /// client that disconnected: see [`client_gone`](Self::client_gone).
    fn close(&self, stream: u32);

    /// A client disconnected, and left these streams behind; [`close`](Self::close) is not called for them. It may come back within a
    /// second: data that still flows needs no Socket.IO. By default nothing is done.
    fn client_gone(&self, streams: &[u32]) {
        let _ = streams;
    }

    /// Whether frames of a stream may still come, though its client may have gone: as long as they may, nobody else opens a
    /// stream of its id. By default they may not.
    fn is_flowing(&self, stream: u32) -> bool {
        let _ = stream;
        false
    }

    /// An address has as many streams as it may, and asks for another. Ends one of `left`, which it has of clients that have gone,
    /// and returns it; `None` where frames of all of them may still come. By default they may.
    fn make_room(&self, left: &[u32]) -> Option<u32> {
        let _ = left;
        None
    }

    /// Of two streams of one name, which two clients have opened, this one started earlier, as their
    /// [`incarnation`](OpenRequest::incarnation) says: the plain name is that of `by` from now on. Its client is told so. By default nothing is done.
    fn replaced(&self, stream: u32, by: u32) {
        let _ = (stream, by);
    }

    /// Somebody wants the frames of a stream by its name; or says again what they want under the same [`stream`](WatchRequest::stream), after a
    /// reconnect or because they want something else: what was asked last holds. The request is within its documented bounds, and its hops are those of
    /// a node that has proved to be one, or none. Frames go to [`Asker::at`] and nowhere else, and none before the watcher has accepted the stream. A key is
    /// for those that are [`protected`](Asker::protected) alone.
    ///
    /// By default nobody may.
    ///
    /// # Errors
    /// [`Refused`], which goes to the client as it is; the wish is over then.
    fn watch(&self, asker: &Asker, request: &WatchRequest) -> Result<WatchAnswer, Refused> {
        let _ = (asker, request);
        Err(Refused::new(
            reason::NO_WATCHERS,
            "this server sends its streams to nobody; watch them where they are shared",
        ))
    }

    /// A wish is over, which [`watch`](Self::watch) had granted: its client wished that, or has been gone for two seconds. By default nothing is done.
    fn unwatch(&self, stream: u32) {
        let _ = stream;
    }
}
