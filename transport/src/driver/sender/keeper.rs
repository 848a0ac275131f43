//! The thread that chooses a sender's way, and goes on with another one where that ends.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::config::SenderConfig;
use super::error::{ConnectError, SendError};
use super::local::{self, Door};
use super::path::{PathChoice, is_own_address};
use super::trouble::Trouble;
use super::udp::UdpWay;
use super::way::Way;
use super::ways::Ways;
use crate::send::SendState;
use crate::wire::PathKind;

/// How often it is looked whether somebody shares streams by now, while the stream is not open.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// That is doubled with each failure, so many times.
const SELDOM: u32 = 5;
/// So many times where nobody is there: that is soon seen, and may be over at any time.
const SELDOM_NOBODY: u32 = 2;
/// A way by shared memory that was there for so long, or on which a frame arrived, was one. Another has failed, as if there had been none: who
/// shares streams is asked more and more seldom then, and not at once.
const LASTING: Duration = Duration::from_secs(1);

/// What a configuration and an address allow.
pub(super) fn may_be_local(ways: &Ways) -> bool {
    let peer = ways.lock().peer;
    match ways.config.path {
        PathChoice::Shm => true,
        PathChoice::Udp => false,
        PathChoice::Auto => cfg!(target_os = "linux") && ways.config.leaves_the_way_open() && is_own_address(peer),
    }
}

/// Looks who shares streams where the receiver is.
///
/// # Errors
/// Nobody, or nobody who lets this process in.
pub(super) fn knock(ways: &Ways) -> Result<Door, Trouble> {
    let state = ways.lock();
    let (peer, invitation) = (state.peer, state.invitation.clone());
    drop(state);
    local::knock(peer, invitation.as_ref())
}

/// A way by datagrams, and the address that the receiver is at.
///
/// # Errors
/// No memory, socket or thread.
pub(super) fn by_datagrams(ways: &Arc<Ways>) -> Result<(Arc<dyn Way>, SocketAddr), ConnectError> {
    let state = ways.lock();
    let (peer, key) = (state.peer, state.key.clone());
    drop(state);
    let (first, epoch) = ways.beginning();
    let way = UdpWay::start(peer, &ways.config, key, (ways.stream, first, epoch), teller(ways))?;
    Ok((Arc::new(way), peer))
}

/// What tells the keeper that a way has changed by itself.
fn teller(ways: &Arc<Ways>) -> impl Fn() + Send + Sync + 'static {
    let keeper = Arc::downgrade(ways);
    move || {
        if let Some(ways) = keeper.upgrade() {
            ways.tell_keeper();
        }
    }
}

/// Starts the thread. `door` is somebody who was found to share streams.
pub(super) fn start(ways: Arc<Ways>, door: Option<Door>) -> std::io::Result<JoinHandle<()>> {
    let peer = ways.lock().peer;
    let keeper = Keeper { ways, peer, beside: None, refused: false, failures: 0, began: Instant::now() };
    Builder::new().name("framewire-way".into()).spawn(move || keeper.run(door))
}

struct Keeper {
    ways: Arc<Ways>,
    /// Where the way at present leads.
    peer: SocketAddr,
    /// Who shared streams when the way by datagrams became open, if anybody did: that receiver may have taken frames which are not settled, and
    /// is not asked by shared memory, where they would come twice. `None` while the way has not been open.
    beside: Option<Option<u32>>,
    /// Whoever shares streams refuses this one: not asked again before something is different.
    refused: bool,
    /// How often it came to nothing otherwise since a stream was open: it is asked more and more seldom.
    failures: u32,
    /// Since when there is the way at present.
    began: Instant,
}

enum Task {
    Stop,
    /// There is no way.
    Find,
    /// The way has ended, or leads elsewhere.
    Leave(Arc<dyn Way>),
    /// The stream is not open by datagrams: somebody may share streams by now.
    Look(Arc<dyn Way>),
}

impl Keeper {
    fn run(mut self, mut door: Option<Door>) {
        let mut lets_local = true;
        loop {
            match self.next() {
                Task::Stop => return,
                Task::Find => self.find(door.take(), std::mem::replace(&mut lets_local, true)),
                Task::Leave(way) => {
                    if let Some(words) = way.trouble() {
                        self.ways.note_trouble(Trouble::Failed(words));
                        // By datagrams at once; who shares streams is asked again while they find nobody.
                        lets_local = self.ways.config.path == PathChoice::Shm;
                    }
                    let was_one = way.standing().stats.frames_delivered > 0 || self.began.elapsed() >= LASTING;
                    self.failures = if was_one { 0 } else { (self.failures + 1).min(SELDOM + 1) };
                    self.ways.leave(&way);
                }
                Task::Look(way) => self.look(&way),
            }
        }
    }

    /// Waits for something to do.
    fn next(&mut self) -> Task {
        let ways = self.ways.clone();
        let mut has_waited = false;
        loop {
            let mut state = ways.lock();
            if state.stop {
                return Task::Stop;
            }
            state.told = false;
            let redirected = std::mem::take(&mut state.redirected);
            let (peer, way) = (state.peer, state.way().cloned());
            // What a way has under its own lock is not waited for under this one.
            drop(state);
            if redirected {
                (self.refused, self.failures) = (false, 0);
            }
            let timeout = match way {
                None if has_waited || redirected || self.failures == 0 || ways.config.path == PathChoice::Auto => {
                    return Task::Find;
                }
                None => Some(self.pause()),
                Some(way) if way.path() == PathKind::Shm => {
                    let is_closed = matches!(way.standing().state, SendState::Closed(_));
                    if (way.is_retired() || peer != self.peer) && !is_closed {
                        return Task::Leave(way);
                    }
                    None
                }
                Some(way) => {
                    self.peer = peer;
                    match way.standing().state {
                        SendState::Open => {
                            if self.beside.is_none() {
                                self.beside = Some(knock(&ways).ok().and_then(|door| door.hub()));
                            }
                            // Whoever has it now is another one when it ends.
                            (self.refused, self.failures) = (false, 0);
                            None
                        }
                        SendState::Opening { .. } | SendState::Refused { .. } if !self.refused => {
                            let is_due = has_waited || redirected;
                            match is_due && may_be_local(&ways) {
                                true => return Task::Look(way),
                                false => Some(self.pause()),
                            }
                        }
                        _ => None,
                    }
                }
            };
            let state = ways.lock();
            if !state.told && !state.stop {
                drop(ways.wait_for_news(state, timeout));
            }
            has_waited = true;
        }
    }

    /// How long until somebody is asked again.
    fn pause(&self) -> Duration {
        LOOK_EVERY * (1 << self.failures.saturating_sub(1).min(SELDOM))
    }

    /// Goes on with the first way that there is.
    fn find(&mut self, door: Option<Door>, lets_local: bool) {
        let peer = self.ways.lock().peer;
        if lets_local && !self.refused && may_be_local(&self.ways) {
            let (first, _) = self.ways.beginning();
            let found = door.map_or_else(|| knock(&self.ways), Ok);
            match found.and_then(|door| self.enter(door, first)) {
                Ok(way) => return self.go_on_with(way, peer),
                Err(trouble) => self.note(trouble),
            }
        }
        if self.ways.config.path == PathChoice::Shm {
            return;
        }
        match by_datagrams(&self.ways) {
            Ok((way, peer)) => self.go_on_with(way, peer),
            Err(error) => {
                let message = error.to_string();
                self.ways.fail(SendError::Failed { peer, message });
                // It is tried again.
                let state = self.ways.lock();
                drop(self.ways.wait_for_news(state, Some(LOOK_EVERY)));
            }
        }
    }

    /// Tries shared memory while the stream is not open by datagrams; that way is left once the other one is there, and not before.
    fn look(&mut self, way: &Arc<dyn Way>) {
        let peer = self.ways.lock().peer;
        let Ok(door) = knock(&self.ways) else { return };
        let hub = door.hub();
        if self.beside.is_some_and(|known| known.is_some() && (hub.is_none() || hub == known)) {
            self.failures = self.failures.saturating_add(1);
            return;
        }
        // It must not become open meanwhile: of two streams with one id, a receiver takes the later one for the right one.
        let Some(first) = way.pause() else { return };
        match self.enter(door, first) {
            Ok(local) if self.ways.leave(way) => self.go_on_with(local, peer),
            Ok(_) => {}
            Err(trouble) => {
                way.resume();
                self.note(trouble);
            }
        }
    }

    fn go_on_with(&mut self, way: Arc<dyn Way>, peer: SocketAddr) {
        if way.path() == PathKind::Shm {
            self.ways.lock().trouble = None;
        }
        (self.peer, self.beside, self.began) = (peer, None, Instant::now());
        self.ways.go_on_with(way, peer);
    }

    /// Notes why shared memory cannot be.
    fn note(&mut self, trouble: Trouble) {
        let is_auto = self.ways.config.path == PathChoice::Auto;
        let is_nobody = matches!(trouble, Trouble::Nobody(_));
        self.refused = is_auto && trouble.is_final();
        let most = if is_nobody { SELDOM_NOBODY } else { SELDOM };
        self.failures = (self.failures + 1).min(most + 1);
        // That nobody shares streams is nothing to tell where there is another way.
        if !(is_nobody && is_auto) {
            self.ways.note_trouble(trouble);
        }
    }

    fn enter(&self, door: Door, first: u64) -> Result<Arc<dyn Way>, Trouble> {
        let epoch = self.ways.lock().epoch;
        let numbers = (self.ways.stream, first, epoch);
        door.enter(&self.ways.config, numbers, self.ways.stopping.as_fd(), teller(&self.ways))
    }
}

/// Whether a configuration can be, whatever the way.
pub(super) fn check(config: &SenderConfig) -> Result<(), ConnectError> {
    super::udp::check(config)
}
