//! Openings for tests.

use super::Opening;
use crate::frame::{FrameFormat, PixelFormat};
use crate::send::{CONTROL_MAX, Publication, SendConfig};
use crate::time::Time;
use crate::wire::{Delivery, Open};

/// An opening of a stream of small frames, to this machine.
pub(in crate::driver) fn opening(stream: u32, epoch: u32, peer: &str) -> Opening {
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
    let config = SendConfig::new(stream, epoch, format, Delivery::Latest, 1_472);
    let mut bytes = [0; CONTROL_MAX];
    let len = Publication::new(config.format, config.delivery)
        .subscribe(config, Time::ZERO)
        .poll_transmit(Time::ZERO, &mut bytes)
        .unwrap();
    let (open, peer) = (Open::parse(&bytes[..len]).unwrap(), peer.parse().unwrap());
    Opening { open, sealed: None, open_bytes: len, peer, local: "10.0.0.9:1".parse().unwrap() }
}
