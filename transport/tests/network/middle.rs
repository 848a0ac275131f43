//! A man in the middle, who has no key: what he does to each datagram that passes him.

use framewire_transport::wire::{
    Accept, Challenge, Closed, Feedback, Flags, Kind, PRELUDE_LEN, Prelude, Refuse, SLICE_HEADER_LEN, TAG_LEN,
};

use super::Random;
use super::way::Towards;

/// Datagrams that he has kept, to say them again.
const KEPT: usize = 400;

/// What he has heard, and how often he does what he can.
#[derive(Debug)]
pub(crate) struct Middle {
    random: Random,
    /// Of a thousand datagrams, so many pass as they are.
    patience: u64,
    kept: Vec<(Towards, Vec<u8>)>,
    /// What he has done so far.
    pub(crate) done: u64,
}

impl Middle {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x6d69_6464_6c65);
        let patience = [990, 900, 500][random.below(3) as usize];
        Self { random, patience, kept: Vec::new(), done: 0 }
    }

    /// What leaves him where `bytes` came: mostly that, in the end something else, or more.
    pub(super) fn pass(&mut self, towards: Towards, bytes: Vec<u8>) -> Vec<(Towards, Vec<u8>)> {
        if self.kept.len() < KEPT {
            self.kept.push((towards, bytes.clone()));
        } else {
            let place = self.random.below(KEPT as u64) as usize;
            self.kept[place] = (towards, bytes.clone());
        }
        if self.random.chance(self.patience) {
            return vec![(towards, bytes)];
        }
        self.done += 1;
        match self.random.below(12) {
            0 => Vec::new(),
            1 => vec![(towards, bytes.clone()), (towards, bytes)],
            2 => vec![(towards, self.flipped(bytes))],
            3 => vec![(towards, bytes.clone()), (towards, self.flipped(bytes))],
            // In front of what it was copied from, so that it comes first.
            4 => vec![(towards, self.flipped(bytes.clone())), (towards, bytes)],
            5 => vec![(towards, bytes), self.replayed()],
            6 => vec![(towards, bytes), self.replayed(), self.replayed(), self.replayed()],
            7 => vec![(towards, self.spliced(&bytes)), (towards, bytes)],
            8 => vec![(towards, self.moved(bytes.clone())), (towards, bytes)],
            9 => vec![(towards, self.shorter_or_longer(bytes))],
            10 => vec![(towards, in_clear(bytes.clone())), (towards, bytes)],
            _ => vec![(towards, bytes.clone()), self.made_up(&bytes)],
        }
    }

    fn flipped(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let bit = self.random.below(8 * bytes.len() as u64) as usize;
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    }

    fn replayed(&mut self) -> (Towards, Vec<u8>) {
        self.kept[self.random.below(self.kept.len() as u64) as usize].clone()
    }

    /// The front of one and the rest of another: of another frame, epoch or kind.
    fn spliced(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (_, other) = self.replayed();
        let places = [PRELUDE_LEN, 16, 24, 36, SLICE_HEADER_LEN, SLICE_HEADER_LEN + TAG_LEN];
        let at = places[self.random.below(6) as usize].min(bytes.len()).min(other.len());
        [&bytes[..at], &other[at..]].concat()
    }

    /// Another sequence, frame, index, epoch or stream than it was.
    fn moved(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let places = [7, 11, 13, 23, 31, 43, 47];
        let at = places[self.random.below(7) as usize].min(bytes.len() - 1);
        bytes[at] = bytes[at].wrapping_add(1 + self.random.below(4) as u8);
        bytes
    }

    fn shorter_or_longer(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let by = 1 + self.random.below(20) as usize;
        if self.random.chance(500) {
            bytes.truncate(bytes.len().saturating_sub(by).max(1));
        } else {
            bytes.extend((0..by).map(|_| self.random.next() as u8));
        }
        bytes
    }

    /// What the receiver or the sender could have said, in clear.
    fn made_up(&mut self, of: &[u8]) -> (Towards, Vec<u8>) {
        let Ok(Prelude { stream, epoch, .. }) = Prelude::parse(of) else { return self.replayed() };
        let (any, small) = (self.random.next(), self.random.below(64));
        let bytes = match self.random.below(6) {
            0 => Refuse { stream, epoch, flags: 0, reason: small as u16 % 12, limit: any }.emit().to_vec(),
            1 => Challenge { stream, epoch, flags: 0, path_bytes: small as u16 * 30, cookie: any }.emit().to_vec(),
            2 => {
                let closed =
                    Closed { stream, epoch, flags: 0, reserved: 0, delivered: small, incomplete: any, no_slot: 0 };
                closed.emit().to_vec()
            }
            3 => accept(stream, epoch, any).emit().to_vec(),
            4 => feedback(stream, epoch, small).emit().to_vec(),
            _ => {
                let mut other_version = of.to_vec();
                other_version[2] = any as u8;
                return (if any & 1 == 0 { Towards::Sender } else { Towards::Receiver }, other_version);
            }
        };
        (Towards::Sender, bytes)
    }
}

/// What a stream that is not protected would have sent in its place.
fn in_clear(mut bytes: Vec<u8>) -> Vec<u8> {
    let Ok(Prelude { kind, .. }) = Prelude::parse(&bytes) else { return bytes };
    if bytes.len() < 16 {
        return bytes;
    }
    let flags = u16::from_be_bytes([bytes[12], bytes[13]]) & !Flags::TAGGED;
    bytes[12..14].copy_from_slice(&flags.to_be_bytes());
    if matches!(kind, Kind::Slice | Kind::Parity) && bytes.len() > SLICE_HEADER_LEN + TAG_LEN {
        bytes.drain(SLICE_HEADER_LEN..SLICE_HEADER_LEN + TAG_LEN);
    }
    bytes
}

fn accept(stream: u32, epoch: u32, any: u64) -> Accept {
    Accept {
        stream,
        epoch,
        flags: 0,
        path_bytes: 1_472,
        frame_limit: u64::MAX,
        sequence_limit: any,
        receiver_ns: any,
        echo_ns: any,
        delivered: 0,
        buffer_bytes: 1 << 20,
        slots: 8,
    }
}

fn feedback(stream: u32, epoch: u32, small: u64) -> Feedback {
    Feedback {
        stream,
        epoch,
        flags: 0,
        path_bytes: 0,
        report: small,
        settled: small,
        frame_limit: u64::MAX,
        sequence_seen: small,
        sequence_limit: small * 100,
        delivered: small,
        arrived: small,
        receiver_ns: small,
        echo_ns: small,
        echo_held_ns: 0,
    }
}
