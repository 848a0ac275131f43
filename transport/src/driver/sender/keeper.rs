//! The thread that chooses a sender's way, and goes on with another one where that ends.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::config::SenderConfig;
use super::error::{ConnectError, SendError};
use super::local::{self, Door};
use super::path::{PathChoice, PathKind, is_own_address};
use super::udp::UdpWay;
use super::way::{Trouble, Way};
use super::ways::{Current, Ways};
use crate::send::SendState;

/// How often it is looked whether somebody shares streams by now, while the stream is not open.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// That is doubled with each failure, so many times.
const SELDOM: u32 = 5;

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

/// A way by datagrams, to where the receiver is.
///
/// # Errors
/// No memory, socket or thread.
pub(super) fn by_datagrams(ways: &Arc<Ways>) -> Result<Arc<dyn Way>, ConnectError> {
    let peer = ways.lock().peer;
    let first = ways.first_number();
    let keeper = Arc::downgrade(ways);
    let on_unopened = move || {
        if let Some(ways) = keeper.upgrade() {
            ways.tell_keeper();
        }
    };
    Ok(Arc::new(UdpWay::start(peer, &ways.config, (ways.stream, first), on_unopened)?))
}

/// Starts the thread. `door` is somebody who was found to share streams.
pub(super) fn start(ways: Arc<Ways>, door: Option<Door>) -> std::io::Result<JoinHandle<()>> {
    Builder::new().name("framewire-way".into()).spawn(move || Keeper { ways, refused: false, failures: 0 }.run(door))
}

struct Keeper {
    ways: Arc<Ways>,
    /// Whoever shares streams refuses this one: not asked again before something is different.
    refused: bool,
    /// How often it came to nothing otherwise since a stream was open: it is asked more and more seldom.
    failures: u32,
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
                    self.ways.leave(&way);
                }
                Task::Look(way) => {
                    if let Ok(found) = knock(&self.ways)
                        && self.ways.leave(&way)
                    {
                        door = Some(found);
                    }
                }
            }
        }
    }

    /// Waits for something to do.
    fn next(&mut self) -> Task {
        let ways = self.ways.clone();
        let mut state = ways.lock();
        let mut has_waited = false;
        loop {
            if state.stop {
                return Task::Stop;
            }
            let redirected = std::mem::take(&mut state.redirected);
            if redirected {
                (self.refused, self.failures) = (false, 0);
            }
            let timeout = match &state.current {
                Current::Between(_) if has_waited || redirected || !self.must_pause(&state.trouble) => {
                    return Task::Find;
                }
                Current::Between(_) => Some(LOOK_EVERY),
                Current::Way(way) if way.path() == PathKind::Shm => {
                    let is_closed = matches!(way.standing().state, SendState::Closed(_));
                    if (way.is_retired() || redirected) && !is_closed {
                        return Task::Leave(way.clone());
                    }
                    None
                }
                Current::Way(way) => match way.standing().state {
                    SendState::Opening { .. } | SendState::Refused { .. } if !self.refused => {
                        if has_waited || redirected {
                            return Task::Look(way.clone());
                        }
                        Some(LOOK_EVERY * (1 << self.failures.min(SELDOM)))
                    }
                    SendState::Open => {
                        // Whoever has it now is another one when it ends.
                        (self.refused, self.failures) = (false, 0);
                        None
                    }
                    _ => None,
                },
            };
            state = ways.wait_for_news(state, timeout);
            has_waited = true;
        }
    }

    /// Whether the next attempt is not made at once: where datagrams are no way, and the last one came to nothing.
    fn must_pause(&self, trouble: &Option<Trouble>) -> bool {
        self.ways.config.path == PathChoice::Shm && trouble.is_some()
    }

    /// Goes on with the first way that there is.
    fn find(&mut self, door: Option<Door>, lets_local: bool) {
        let peer = self.ways.lock().peer;
        if lets_local && !self.refused && may_be_local(&self.ways) {
            let found = door.map_or_else(|| knock(&self.ways), Ok);
            match found.and_then(|door| self.enter(door)) {
                Ok(way) => {
                    self.ways.lock().trouble = None;
                    self.failures = 0;
                    self.ways.go_on_with(way);
                    return;
                }
                // That nobody shares streams is nothing to tell where there is another way.
                Err(Trouble::Nobody(_)) if self.ways.config.path == PathChoice::Auto => {}
                Err(trouble) => {
                    let is_final = matches!(trouble, Trouble::Refused { .. });
                    self.refused = is_final && self.ways.config.path == PathChoice::Auto;
                    self.failures = self.failures.saturating_add(1);
                    self.ways.note_trouble(trouble);
                }
            }
        }
        if self.ways.config.path == PathChoice::Shm {
            return;
        }
        match by_datagrams(&self.ways) {
            Ok(way) => {
                self.ways.go_on_with(way);
            }
            Err(error) => {
                let message = error.to_string();
                self.ways.fail(SendError::Failed { peer, message });
                // It is tried again.
                let state = self.ways.lock();
                drop(self.ways.wait_for_news(state, Some(LOOK_EVERY)));
            }
        }
    }

    fn enter(&self, door: Door) -> Result<Arc<dyn Way>, Trouble> {
        let keeper = Arc::downgrade(&self.ways);
        let first = self.ways.first_number();
        door.enter(&self.ways.config, (self.ways.stream, first), move || {
            if let Some(ways) = keeper.upgrade() {
                ways.tell_keeper();
            }
        })
    }
}

/// Whether a configuration can be, whatever the way.
pub(super) fn check(config: &SenderConfig) -> Result<(), ConnectError> {
    super::udp::check(config)
}
