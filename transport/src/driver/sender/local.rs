//! The way through memory that both ends share: frames are written where the receiver has them.

mod state;
mod stream;
mod watch;

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use self::stream::LocalWay;
use super::config::SenderConfig;
use super::path::PathChoice;
use super::trouble::Trouble;
use super::way::Way;
use crate::backend::wall_clock;
use crate::clock::clock_id;
use crate::share::inlet::own_network;
use crate::share::inlet::source::{self, EnterError};
use crate::share::messages::Refusal;
use crate::share::{Endpoint, Invitation};
use crate::time::Time;
use crate::wire::{RefuseReason, open_of, utc_fields};

/// Somebody who shares streams, and has not been asked for one yet.
pub(super) struct Door {
    door: source::Door,
    nonce: u64,
}

/// Looks who shares streams for the receiver at this address: where the invitation says, or where the receiver's port has its place.
///
/// # Errors
/// Nobody, or nobody who lets this process in.
pub(super) fn knock(peer: SocketAddr, invitation: Option<&Invitation>) -> Result<Door, Trouble> {
    let (endpoint, nonce) = match invitation {
        Some(invitation) => (invitation.endpoint().clone(), invitation.nonce()),
        None => (Endpoint::of_port(peer.port()).map_err(|error| Trouble::Failed(error.to_string()))?, 0),
    };
    let door = source::Door::knock(&endpoint).map_err(|error| trouble(&error, invitation.is_some()))?;
    Ok(Door { door, nonce })
}

/// What is told of an error. That nobody is there where somebody was said to be is one.
fn trouble(error: &EnterError, was_invited: bool) -> Trouble {
    let words = error.to_string();
    match error {
        EnterError::Nobody { .. } if !was_invited => Trouble::Nobody(words),
        EnterError::Refused { refusal, limit, .. } => {
            let reason = match refusal {
                Refusal::Unknown => Some(RefuseReason::Unknown),
                Refusal::Streams => Some(RefuseReason::TooManyStreams),
                Refusal::FrameTooLarge => Some(RefuseReason::FrameTooLarge),
                Refusal::Format => Some(RefuseReason::Format),
                Refusal::Resources => Some(RefuseReason::Resources),
                Refusal::Version => Some(RefuseReason::Version),
                Refusal::Memory => Some(RefuseReason::Memory),
                _ => None,
            };
            match (reason, refusal) {
                // On another host it stays.
                (Some(_), _) | (None, Refusal::Network) => Trouble::Refused { reason, limit: *limit, words },
                _ => Trouble::Hindered { refusal: *refusal as u8, words },
            }
        }
        _ => Trouble::Failed(words),
    }
}

impl Door {
    /// The process that is found here, by its number; `None` where that is not to be seen from here.
    pub(super) fn hub(&self) -> Option<u32> {
        self.door.hub()
    }

    /// Has the stream opened, its first frame of the number `first`; gives up where `stop` becomes readable. `on_end` is called where it
    /// ends by itself.
    ///
    /// # Errors
    /// Refused, or not answered.
    pub(super) fn enter(
        self,
        config: &SenderConfig,
        (stream, first, epoch): (u32, u64, u32),
        stop: BorrowedFd<'_>,
        on_end: impl Fn() + Send + Sync + 'static,
    ) -> Result<Arc<dyn Way>, Trouble> {
        // It fits 16 bits.
        let tail_max = config.tail_max() as u16;
        let mut open = open_of(&config.format, config.delivery, &config.presentation, tail_max);
        let now = Time::now().as_nanos();
        (open.stream, open.epoch, open.first_frame) = (stream, epoch, first);
        open.paced = u8::from(config.paced && config.presentation.rate.is_some());
        open.deadline_us = u32::try_from(config.deadline.as_micros()).unwrap_or(u32::MAX);
        (open.clock_id, open.sender_ns) = (clock_id(stream), now);
        (open.utc_ns, open.utc_error_us) = utc_fields(wall_clock::compare(), now);
        let network = if config.path == PathChoice::Auto { own_network() } else { 0 };
        if config.path == PathChoice::Auto && network == 0 {
            let words =
                "this process cannot tell which network it is in: /proc/thread-self/ns/net is not there; mount /proc";
            return Err(Trouble::Failed(words.into()));
        }
        let entered = self.door.enter(&open, (self.nonce, network), config.format, stop);
        let way = entered.and_then(|granted| LocalWay::start(granted, config, first, on_end));
        way.map(|way| Arc::new(way) as Arc<dyn Way>).map_err(|error| trouble(&error, true))
    }
}
