//! How fast one core seals slices, and what a protected stream can at best reach by that.

use std::time::{Duration, Instant};

use framewire_process::exit::Failure;
use framewire_transport::crypto::{
    CONTEXT_LEN, Initiator, Key, PAYLOAD_1_LEN, PAYLOAD_2_LEN, Responder, SliceSealer, Suite, Suites,
};
use framewire_transport::wire::{DATAGRAM_MAX, SLICE_HEADER_LEN, TAG_LEN};
use serde::Serialize;

use super::thread::thread_cpu_seconds;

/// Payload bytes of the slices that are sealed: the largest, on loopback, and those of an MTU of 1,500.
pub(crate) const PAYLOADS: [usize; 2] = [DATAGRAM_MAX - HEAD, 1_472 - HEAD];
const HEAD: usize = SLICE_HEADER_LEN + TAG_LEN;
/// What is sealed comes from a frame, and goes to a scratch that stays in the core's own cache, as a sender's does.
const FRAME: usize = 2 << 20;
const SCRATCH: usize = 256 << 10;
const TIME: Duration = Duration::from_millis(100);

/// What one core seals in slices of one size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Sealing {
    pub(crate) payload_bytes: usize,
    /// Of payload, a second of processor time.
    pub(crate) gigabytes_per_second: f64,
}

/// Seals for a tenth of a second with each size; the cipher, too, which is the one that both ends of a stream here take.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn measure() -> Result<(&'static str, [Sealing; 2]), Failure> {
    let mut sealer = sealer()?;
    let frame = vec![0x5a; FRAME];
    let mut scratch = vec![0; SCRATCH];
    let mut sequence = 0;
    let sealing = PAYLOADS.map(|payload_bytes| {
        let (mut bytes, mut cpu_then) = (0_usize, 0.0);
        let mut started = None;
        let (mut at, mut to) = (0, 0);
        loop {
            let now = Instant::now();
            // The first round is not measured.
            match started {
                None if at + payload_bytes > FRAME => (started, cpu_then, bytes) = (Some(now), thread_cpu_seconds(), 0),
                Some(started) if now.duration_since(started) >= TIME => break,
                _ => {}
            }
            if at + payload_bytes > FRAME {
                at = 0;
            }
            if to + HEAD + payload_bytes > SCRATCH {
                to = 0;
            }
            let (head, sealed) = scratch[to..to + HEAD + payload_bytes].split_at_mut(HEAD);
            let (fields, tag) = head.split_first_chunk_mut().expect("a head has them");
            let tag = tag.first_chunk_mut().expect("and a tag");
            sealer.seal(sequence, fields, &frame[at..at + payload_bytes], sealed, tag);
            sequence += 1;
            bytes += payload_bytes;
            at += payload_bytes;
            to += HEAD + payload_bytes;
        }
        let seconds = thread_cpu_seconds() - cpu_then;
        Sealing { payload_bytes, gigabytes_per_second: bytes as f64 / 1e9 / seconds }
    });
    Ok((sealer.suite().name(), sealing))
}

/// That of a stream between two ends on this machine.
fn sealer() -> Result<SliceSealer, Failure> {
    let suites = Suites::supported();
    let suite = suites.choose(suites).unwrap_or(Suite::ChaCha20Poly1305);
    let key = Key::random().map_err(Failure::runtime)?;
    let mut context = [0; CONTEXT_LEN];
    context[32..34].copy_from_slice(&suites.bits().to_be_bytes());
    let (mut initiator, asked) = Initiator::start(&key, &context, &[0; PAYLOAD_1_LEN]).map_err(Failure::runtime)?;
    let (responder, _) = Responder::read(&key, &context, &asked).map_err(Failure::runtime)?;
    let (_, answer) = responder.accept(suite, &[0; PAYLOAD_2_LEN]).map_err(Failure::runtime)?;
    let (session, _) = initiator.finish(&answer).map_err(Failure::runtime)?;
    Ok(session.slices)
}

/// What a stream reaches at best whose every byte is sealed by the core that also sends it: as long as both take, one after the other.
pub(crate) fn bound(plain: f64, sealing: f64) -> f64 {
    1.0 / (1.0 / plain + 1.0 / sealing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealing_has_a_rate_and_bounds_what_is_reached() {
        let (suite, sealing) = measure().unwrap();
        assert!(["AES-128-GCM", "ChaCha20-Poly1305"].contains(&suite));
        assert!(sealing.iter().all(|sealing| sealing.gigabytes_per_second > 0.0), "{sealing:?}");
        assert_eq!(PAYLOADS[1], 1_404);
        assert_eq!((bound(4.0, 4.0), bound(6.0, 3.0)), (2.0, 2.0));
    }
}
