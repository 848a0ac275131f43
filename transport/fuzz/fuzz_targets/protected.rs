//! A protected receiving stream, fed with what whoever has the key may say, absurd as it likes, and with what nobody without the key can have
//! believed: changed, cut, lengthened, said again, said in clear, or said in another epoch. Of that nothing moves.
#![no_main]

use std::time::Duration;

use framewire_transport::crypto::{Initiator, SEAL_LEN, SenderSession, Suites};
use framewire_transport::receive::{ReceiveStats, ReceiveStream, RejectedCounts};
use framewire_transport::wire::{
    Flags, Kind as Datagram, Open, Prelude, SLICE_HEADER_LEN, SealedAccept, SealedOpen, TAG_LEN, fields_len,
};
use framewire_transport::{PixelFormat, Time};
use fuzzed::absurd::{Kind, check, datagram, open};
use fuzzed::{Choices, Pools, TAIL_MAX, answers, key, take_in};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static POOLS: Pools = Pools::default();
}

/// The sender's end.
struct Sender {
    session: SenderSession,
    sequence: u64,
}

impl Sender {
    /// Opens a stream; `None` where the receiver does not take it.
    fn open(choices: &mut Choices<'_>, pools: &Pools, kind: Kind, partial: bool, now: Time) -> Option<(Self, ReceiveStream)> {
        let plain = Open::parse(&open(choices, 5, kind)).ok()?;
        let mut sealed = SealedOpen::of(&plain, key().id().bytes(), Suites::supported().bits());
        let (mut initiator, message) = Initiator::start(&key(), &sealed.context(), &SealedOpen::payload(&plain)).ok()?;
        sealed.message = message;
        let mut receiver = pools.receiver(&sealed.emit(), (partial, true), now)?;
        let accept = SealedAccept::parse(&answers(&mut receiver, now)[0]).unwrap();
        let (session, _) = initiator.finish(&accept.message).unwrap();
        Some((Self { session, sequence: 0 }, receiver))
    }

    /// Seals what is none of the openings; slices under a sequence that is new.
    fn seal(&mut self, plain: &[u8], choices: &mut Choices<'_>) -> Option<Vec<u8>> {
        let kind = Prelude::parse(plain).ok()?.kind;
        if matches!(kind, Datagram::Slice | Datagram::Parity) {
            self.sequence += u64::from(choices.byte() % 4) + 1;
            let mut head: [u8; SLICE_HEADER_LEN] = *plain.first_chunk()?;
            head[16..24].copy_from_slice(&self.sequence.to_be_bytes());
            let payload = plain.get(SLICE_HEADER_LEN + TAG_LEN..)?;
            let (mut sealed, mut tag) = (vec![0; payload.len()], [0; TAG_LEN]);
            self.session.slices.seal(self.sequence, &head, payload, &mut sealed, &mut tag);
            return Some([&head[..], &tag, &sealed].concat());
        }
        let fields = fields_len(kind, plain).filter(|fields| *fields <= plain.len())?;
        let mut bytes = [plain, &[0; SEAL_LEN]].concat();
        self.session.controls.seal(&mut bytes, fields);
        Some(bytes)
    }
}

/// What somebody without the key makes of a sealed datagram that he has seen, and that has arrived.
fn meddled(choices: &mut Choices<'_>, sealed: &[u8]) -> Vec<u8> {
    let mut bytes = sealed.to_vec();
    match choices.byte() % 6 {
        0 => {
            let at = 12 + (choices.number() % (bytes.len() as u64 - 12)) as usize;
            bytes[at] ^= choices.byte().max(1);
        }
        1 => bytes.truncate((choices.number() % bytes.len() as u64) as usize),
        2 => bytes[13] &= !(Flags::TAGGED as u8),
        3 => bytes[11] = bytes[11].wrapping_add(choices.byte().max(1)),
        // A number that is new.
        4 => bytes[16..24].copy_from_slice(&choices.number().to_be_bytes()),
        // As it was: it came before.
        _ => {}
    }
    bytes
}

/// All that a datagram that is not believed may change.
fn without_rejected(stats: &ReceiveStats) -> ReceiveStats {
    let mut stats = *stats;
    stats.rejected = RejectedCounts::default();
    stats
}

fuzz_target!(|bytes: &[u8]| POOLS.with(|pools| {
    let mut choices = Choices(bytes);
    let mut now = Time::from_nanos(1_000_000_000);
    let choice = choices.byte();
    let partial = choice & 1 == 1;
    let pixel = if choice & 4 == 4 { PixelFormat::Bytes } else { PixelFormat::Gray8 };
    let kind = Kind { pixel, tail_max: if choice & 8 == 8 { TAIL_MAX } else { 0 } };
    let Some((mut sender, mut receiver)) = Sender::open(&mut choices, pools, kind, partial, now) else { return };
    while !choices.is_empty() {
        let (epoch, cut) = (receiver.epoch(), *receiver.cut());
        let plain = datagram(&mut choices, epoch, &cut, kind);
        let sealed = sender.seal(&plain, &mut choices);
        let heard = sealed.as_ref().unwrap_or(&plain).clone();
        take_in(&mut receiver, &[heard.clone()], now);
        answers(&mut receiver, now);
        if sealed.is_some() {
            let known = (without_rejected(receiver.stats()), receiver.source(), receiver.heard(), receiver.epoch());
            let rejected = receiver.stats().rejected.total();
            now = now + Duration::from_nanos(1);
            let lie = meddled(&mut choices, &heard);
            take_in(&mut receiver, &[lie], now);
            let still = (without_rejected(receiver.stats()), receiver.source(), receiver.heard(), receiver.epoch());
            assert_eq!(known, still);
            assert_eq!(receiver.stats().rejected.total(), rejected + 1);
            assert!(answers(&mut receiver, now).is_empty(), "somebody without the key is answered");
        }
        now = now + Duration::from_micros(choices.number().min(10_000_000));
        receiver.handle_timeout(now);
        answers(&mut receiver, now);
        while let Some(frame) = receiver.poll_frame() {
            let format = frame.format().copied().unwrap_or(*receiver.format());
            assert!(format.holds(frame.len()) && (frame.is_complete() || partial));
        }
        check(&receiver);
    }
}));
