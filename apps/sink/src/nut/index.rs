//! What stands at the end of a NUT file, so that readers know how long it is and where to look for a time.

use super::bytes::{Fields, Startcode, forward_bytes};

/// More places than this are not kept: every second, then every fourth and so on is enough to begin to look at.
const PLACES_MAX: usize = 16_384;

/// Where frames are.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Position of a syncpoint, and its tick.
    places: Vec<(u64, u64)>,
    /// One in so many, as a power of two, is kept.
    thinned: u32,
    frames: u64,
    last_tick: u64,
}

impl Index {
    /// Notes a frame behind all that were noted before. One that is no later, as at the last tick that there is, cannot be looked for.
    pub(super) fn note(&mut self, syncpoint: u64, tick: u64) {
        if self.frames > 0 && tick <= self.last_tick {
            return;
        }
        if self.frames.is_multiple_of(1 << self.thinned) {
            if self.places.len() == PLACES_MAX {
                self.thinned += 1;
                let mut at = 0;
                self.places.retain(|_| {
                    at += 1;
                    at % 2 == 1
                });
            }
            if self.frames.is_multiple_of(1 << self.thinned) {
                self.places.push((syncpoint, tick));
            }
        }
        self.frames += 1;
        self.last_tick = tick;
    }

    /// The packet; none for a file without frames.
    pub(super) fn packet(&self) -> Option<Vec<u8>> {
        let (count, mut bytes) = (self.places.len(), Vec::new());
        if count == 0 {
            return None;
        }
        bytes.put_packet(Startcode::Index, |body| {
            body.put_v(self.last_tick);
            body.put_v(count as u64);
            let mut before = 0;
            for (position, _) in &self.places {
                body.put_v(position / 16 - before);
                before = position / 16;
            }
            // Runs: no key frame before the first syncpoint, one behind each. What is behind the last is not asked for.
            let run = |places: usize| (places as u64) << 2 | 2 | 1;
            body.put_v(run(0));
            if count > 1 {
                body.put_v(run(count - 1));
            }
            // Each tick from the one before on, the first from -1 on.
            let mut next = 0;
            for (_, tick) in &self.places[..count - 1] {
                body.put_v(tick + 1 - next);
                next = tick + 1;
            }
            // How far the end of the file is from the beginning of the packet: this number and a checksum follow.
            let forward = body.len() - 8 + 8 + 4;
            let whole = 8 + forward_bytes(forward) + forward;
            body.extend_from_slice(&(whole as u64).to_be_bytes());
        });
        Some(bytes)
    }
}
