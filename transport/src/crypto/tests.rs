//! Both ends of a protected stream against each other, and against whoever is between them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

use super::*;
use crate::wire::{
    Close, Closed, Feedback, Flags, Kind, NACK_BITMAP_MAX, Nack, Ping, Prelude, SLICE_HEADER_LEN, SealedOpen, TAG_LEN,
    WireError, fields_len,
};

const SUITES: [Suite; 2] = [Suite::Aes128Gcm, Suite::ChaCha20Poly1305];

fn key() -> Key {
    Key::from_bytes(std::array::from_fn(|at| at as u8))
}

/// Offers both suites.
fn context() -> [u8; CONTEXT_LEN] {
    let mut context = std::array::from_fn(|at| 100 + at as u8);
    (context[32], context[33]) = (0, 3);
    context
}

fn pair(suite: Suite) -> (SenderSession, ReceiverSession) {
    let (mut initiator, first) = Initiator::start(&key(), &context(), &[1; PAYLOAD_1_LEN]).unwrap();
    let (responder, payload) = Responder::read(&key(), &context(), &first).unwrap();
    assert_eq!(payload, [1; PAYLOAD_1_LEN]);
    let (receiver, second) = responder.accept(suite, &[2; PAYLOAD_2_LEN]).unwrap();
    let (sender, payload) = initiator.finish(&second).unwrap();
    assert_eq!((payload, sender.slices.suite(), receiver.slices.suite()), ([2; PAYLOAD_2_LEN], suite, suite));
    (sender, receiver)
}

/// The same number of bytes with one bit other than in `bytes`, for each of them.
fn flipped(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|bit| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
        bytes
    })
}

fn array<const LEN: usize>(bytes: &[u8]) -> &[u8; LEN] {
    bytes.try_into().unwrap()
}

#[test]
fn a_handshake_is_refused_whatever_bit_of_either_message_or_of_the_opening_is_another() {
    let (mut initiator, first) = Initiator::start(&key(), &context(), &[1; PAYLOAD_1_LEN]).unwrap();
    for wrong in flipped(&first) {
        assert_eq!(Responder::read(&key(), &context(), array(&wrong)).err(), Some(HandshakeError::Message));
    }
    for wrong in flipped(&context()) {
        assert_eq!(Responder::read(&key(), array(&wrong), &first).err(), Some(HandshakeError::Message));
    }
    for wrong in flipped(key().bytes()) {
        let wrong = Key::from_bytes(*array(&wrong));
        assert_eq!(Responder::read(&wrong, &context(), &first).err(), Some(HandshakeError::Message));
    }
    let (responder, _) = Responder::read(&key(), &context(), &first).unwrap();
    let (_, second) = responder.accept(Suite::ChaCha20Poly1305, &[2; PAYLOAD_2_LEN]).unwrap();
    for wrong in flipped(&second) {
        assert_eq!(initiator.finish(array(&wrong)).err(), Some(HandshakeError::Message));
    }
    // All of that has changed nothing.
    assert!(initiator.finish(&second).is_ok());
    assert_eq!(initiator.finish(&second).err(), Some(HandshakeError::Message), "it is over");
}

#[test]
fn two_openings_of_one_key_have_nothing_in_common() {
    let ((mut sender, _), (_, mut receiver)) = (pair(Suite::Aes128Gcm), pair(Suite::Aes128Gcm));
    let (fields, mut sealed, mut tag) = ([0; SLICE_HEADER_LEN], [0; 100], [0; TAG_LEN]);
    sender.slices.seal(0, &fields, &[7; 100], &mut sealed, &mut tag);
    assert_eq!(receiver.slices.open(0, &fields, &tag, &mut sealed), Err(Forged::Tag));
    let mut ping = sealed_control(&mut sender.controls, Kind::Ping);
    assert_eq!(receiver.controls.open(&mut ping, Ping::LEN), Err(Forged::Tag));
}

#[test]
fn a_suite_that_was_not_offered_is_not_taken() {
    let mut context = context();
    context[33] = Suites::of(&[Suite::ChaCha20Poly1305]).bits() as u8;
    let (mut initiator, first) = Initiator::start(&key(), &context, &[1; PAYLOAD_1_LEN]).unwrap();
    let (responder, _) = Responder::read(&key(), &context, &first).unwrap();
    let (_, second) = responder.accept(Suite::Aes128Gcm, &[2; PAYLOAD_2_LEN]).unwrap();
    assert_eq!(initiator.finish(&second).err(), Some(HandshakeError::Suite(1)));
}

#[test]
fn a_message_of_another_length_is_no_opening() {
    let open = SealedOpen {
        stream: 1,
        epoch: 2,
        flags: Flags::TAGGED,
        slice_bytes: 1_472,
        cookie: 3,
        key_id: [4; 8],
        suites: 3,
        reserved: 0,
        message: [5; MESSAGE_1_LEN],
    };
    let bytes = open.emit();
    for len in 0..bytes.len() {
        assert!(matches!(SealedOpen::parse(&bytes[..len]), Err(WireError::Short { .. })));
    }
    // Behind it there is padding.
    assert_eq!(SealedOpen::parse(&[&bytes[..], &[9; 30]].concat()), Ok(open));
}

#[test]
fn a_slice_is_refused_whatever_bit_of_it_is_another_and_whatever_its_length() {
    for suite in SUITES {
        let (mut sender, mut receiver) = pair(suite);
        let fields: [u8; SLICE_HEADER_LEN] = std::array::from_fn(|at| at as u8);
        let payload: Vec<u8> = (0..67).collect();
        let (mut sealed, mut tag) = (vec![0; payload.len()], [0; TAG_LEN]);
        sender.slices.seal(5, &fields, &payload, &mut sealed, &mut tag);
        assert_ne!(sealed, payload);

        let whole = [&fields[..], &tag, &sealed].concat();
        let open = |receiver: &mut ReceiverSession, sequence, bytes: &[u8]| {
            let mut payload = bytes[SLICE_HEADER_LEN + TAG_LEN..].to_vec();
            let tag = array(&bytes[SLICE_HEADER_LEN..][..TAG_LEN]);
            let opened = receiver.slices.open(sequence, array(&bytes[..SLICE_HEADER_LEN]), tag, &mut payload);
            if opened.is_err() {
                assert!(!payload.windows(8).any(|run| run == &(0..67).collect::<Vec<u8>>()[..8]));
            }
            opened.map(|()| payload)
        };
        for wrong in flipped(&whole) {
            assert_eq!(open(&mut receiver, 5, &wrong), Err(Forged::Tag));
        }
        for len in SLICE_HEADER_LEN + TAG_LEN..whole.len() {
            assert_eq!(open(&mut receiver, 5, &whole[..len]), Err(Forged::Tag));
        }
        assert_eq!(open(&mut receiver, 5, &[&whole[..], &[0]].concat()), Err(Forged::Tag));
        for sequence in (0..5).chain(6..100) {
            assert_eq!(open(&mut receiver, sequence, &whole), Err(Forged::Tag));
        }
        assert_eq!(open(&mut receiver, 5, &whole), Ok(payload));
        assert_eq!(open(&mut receiver, 5, &whole), Err(Forged::Replay));
    }
}

#[test]
fn an_empty_payload_has_a_tag_as_well() {
    for suite in SUITES {
        let (mut sender, mut receiver) = pair(suite);
        let (fields, mut tag) = ([3; SLICE_HEADER_LEN], [0; TAG_LEN]);
        sender.slices.seal(0, &fields, &[], &mut [], &mut tag);
        assert_eq!(receiver.slices.open(0, &[4; SLICE_HEADER_LEN], &tag, &mut []), Err(Forged::Tag));
        assert_eq!(receiver.slices.open(0, &fields, &tag, &mut []), Ok(()));
    }
}

/// A datagram of this kind, sealed, with room behind it cut off.
fn sealed_control(sealer: &mut ControlSealer, kind: Kind) -> Vec<u8> {
    let (plain, fields) = plain_control(kind);
    let mut bytes = [&plain[..], &[0xee; SEAL_LEN + 10]].concat();
    let len = sealer.seal(&mut bytes, fields);
    assert_eq!(len, fields + SEAL_LEN);
    assert_eq!(bytes[len..], [0xee; 10]);
    bytes.truncate(len);
    bytes
}

const CONTROLS: [Kind; 5] = [Kind::Feedback, Kind::Nack, Kind::Ping, Kind::Close, Kind::Closed];

/// One whose fields all have values, and how long they are.
fn plain_control(kind: Kind) -> (Vec<u8>, usize) {
    let bitmap = [0xaa; 33];
    let len = match kind {
        Kind::Feedback => Feedback::LEN,
        Kind::Nack => Nack::LEN + bitmap.len(),
        Kind::Ping => Ping::LEN,
        Kind::Close => Close::LEN,
        Kind::Closed => Closed::LEN,
        _ => unreachable!("not one of them"),
    };
    let mut bytes: Vec<u8> = (0..len).map(|at| at as u8 + 1).collect();
    bytes[..16].copy_from_slice(&[0x46, 0x57, crate::wire::VERSION, kind as u8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 33]);
    let fields = fields_len(kind, &bytes).unwrap();
    assert_eq!(fields, len);
    (bytes, fields)
}

#[test]
fn every_other_datagram_comes_back_as_the_plain_one_it_was() {
    for (suite, kind) in SUITES.into_iter().flat_map(|suite| CONTROLS.map(|kind| (suite, kind))) {
        let (mut sender, mut receiver) = pair(suite);
        let (plain, fields) = plain_control(kind);
        for round in 0..3 {
            let mut bytes = sealed_control(&mut sender.controls, kind);
            assert_eq!(Prelude::parse(&bytes).map(|prelude| prelude.kind), Ok(kind));
            assert_eq!(fields_len(kind, &bytes), Some(fields));
            assert!(!bytes.windows(8).any(|run| run == &plain[16..24]), "it is readable");
            assert_eq!(bytes[fields..fields + 8], (round as u64).to_be_bytes());
            let again = bytes.clone();
            assert_eq!(receiver.controls.open(&mut bytes, fields), Ok(()));
            assert_eq!(bytes[..fields], plain);
            assert_eq!(receiver.controls.open(&mut again.clone(), fields), Err(Forged::Replay));
        }
        // And the other way, where what one's own end said comes back to nobody.
        let mut answer = sealed_control(&mut receiver.answers, kind);
        assert_eq!(receiver.controls.open(&mut answer.clone(), fields), Err(Forged::Replay), "its counter came before");
        let (_, mut other) = pair(suite);
        assert_eq!(other.controls.open(&mut answer.clone(), fields), Err(Forged::Tag));
        assert_eq!(sender.answers.open(&mut answer, fields), Ok(()));
        assert_eq!(answer[..fields], plain);
    }
}

#[test]
fn what_one_end_says_is_not_taken_for_what_the_other_says() {
    for suite in SUITES {
        let (mut sender, mut receiver) = pair(suite);
        let mut ping = sealed_control(&mut sender.controls, Kind::Ping);
        assert_eq!(sender.answers.open(&mut ping, Ping::LEN), Err(Forged::Tag));
        let mut feedback = sealed_control(&mut receiver.answers, Kind::Feedback);
        assert_eq!(receiver.controls.open(&mut feedback, Feedback::LEN), Err(Forged::Tag));
    }
}

#[test]
fn every_other_datagram_is_refused_whatever_bit_of_it_is_another_and_whatever_its_length() {
    for (suite, kind) in SUITES.into_iter().flat_map(|suite| CONTROLS.map(|kind| (suite, kind))) {
        let (mut sender, mut receiver) = pair(suite);
        let bytes = sealed_control(&mut sender.controls, kind);
        let fields = fields_len(kind, &bytes).unwrap();
        for wrong in flipped(&bytes) {
            assert_eq!(receiver.controls.open(&mut wrong.clone(), fields), Err(Forged::Tag), "{kind:?}");
        }
        for len in 0..bytes.len() {
            assert_eq!(receiver.controls.open(&mut bytes[..len].to_vec(), fields), Err(Forged::Tag), "{kind:?} {len}");
        }
        for wrong in (0..bytes.len()).filter(|wrong| *wrong != fields) {
            assert_eq!(receiver.controls.open(&mut bytes.clone(), wrong), Err(Forged::Tag), "{kind:?} {wrong}");
        }
        // Padding is no part of it.
        let mut padded = [&bytes[..], &[1; 1_000]].concat();
        assert_eq!(receiver.controls.open(&mut padded, fields), Ok(()));
    }
}

#[test]
fn a_plain_datagram_is_none_of_a_protected_stream() {
    let (_, mut receiver) = pair(Suite::Aes128Gcm);
    for kind in CONTROLS {
        let (plain, fields) = plain_control(kind);
        let mut bytes = [&plain[..], &[0; SEAL_LEN]].concat();
        assert_eq!(receiver.controls.open(&mut bytes, fields), Err(Forged::Tag));
        assert_eq!(bytes[..fields], plain, "it is not looked at");
    }
    for kind in [Kind::Slice, Kind::Parity, Kind::Open, Kind::Challenge, Kind::Accept, Kind::Refuse] {
        assert_eq!(fields_len(kind, &[0; 600]), None);
    }
}

#[test]
fn the_longest_nack_is_sealed_and_opened() {
    let (mut sender, mut receiver) = pair(Suite::Aes128Gcm);
    let nack = Nack { stream: 1, epoch: 2, flags: 0, bitmap_bytes: NACK_BITMAP_MAX as u16, frame: 3, first: 4 };
    let mut bytes = [&nack.emit()[..], &[0x55; NACK_BITMAP_MAX], &[0; SEAL_LEN]].concat();
    let fields = fields_len(Kind::Nack, &bytes).unwrap();
    receiver.answers.seal(&mut bytes, fields);
    assert_eq!(sender.answers.open(&mut bytes, fields), Ok(()));
    assert_eq!(Nack::parse(&bytes), Ok(nack));
    assert_eq!(nack.bitmap(&bytes), Ok(&[0x55; NACK_BITMAP_MAX][..]));
}

#[test]
fn controls_may_overtake_each_other_by_a_thousand() {
    let (mut sender, mut receiver) = pair(Suite::ChaCha20Poly1305);
    let mut pings: Vec<Vec<u8>> = (0..1_025).map(|_| sealed_control(&mut sender.controls, Kind::Ping)).collect();
    let mut open = |number: usize| receiver.controls.open(&mut pings[number], Ping::LEN);
    assert_eq!([1_024, 1, 1_023, 0].map(&mut open), [Ok(()), Ok(()), Ok(()), Err(Forged::Replay)]);
}

/// A sealed slice: its sequence, its tag, its payload.
type Sealed = (u64, [u8; TAG_LEN], Vec<u8>);

fn slice(sealer: &mut SliceSealer, sequence: u64) -> Sealed {
    let (mut tag, mut sealed) = ([0; TAG_LEN], vec![0; 20]);
    sealer.seal(sequence, &fields_of(sequence), &[sequence as u8; 20], &mut sealed, &mut tag);
    (sequence, tag, sealed)
}

fn fields_of(sequence: u64) -> [u8; SLICE_HEADER_LEN] {
    let mut fields = [0; SLICE_HEADER_LEN];
    fields[16..24].copy_from_slice(&sequence.to_be_bytes());
    fields
}

fn open((sequence, tag, sealed): &Sealed, opener: &mut SliceOpener) -> Result<(), Forged> {
    let mut payload = sealed.clone();
    opener.open(*sequence, &fields_of(*sequence), tag, &mut payload)?;
    assert_eq!(payload, [*sequence as u8; 20]);
    Ok(())
}

proptest! {
    /// With a key for each 16 slices: what comes less than a generation late or early is opened, each once.
    #[test]
    fn slices_that_overtake_each_other_are_opened_over_changes_of_the_key(
        delays in prop::collection::vec((0_u64..16, 1_usize..3, any::<bool>()), 300),
    ) {
        let (sender, receiver) = pair(Suite::Aes128Gcm);
        let mut sealer = sender.slices.with_generation_shift(4);
        let mut opener = receiver.slices.with_generation_shift(4);
        let mut coming: Vec<(u64, Sealed, bool)> = Vec::new();
        for (sequence, (delay, times, forges)) in (0..).zip(delays) {
            let sealed = slice(&mut sealer, sequence);
            coming.extend((0..times).map(|time| (sequence + delay + 3 * time as u64, sealed.clone(), forges)));
        }
        coming.sort_by_key(|(at, ..)| *at);
        let mut seen = std::collections::HashSet::new();
        for (_, sealed, forges) in coming {
            if forges {
                // Of generations to come too, for which it is to be had.
                let forged = (sealed.0 + 1_000, [1; TAG_LEN], vec![0; 20]);
                prop_assert_eq!(open(&forged, &mut opener), Err(Forged::Tag));
                let forged = (sealed.0 + 16, sealed.1, sealed.2.clone());
                prop_assert!(open(&forged, &mut opener).is_err());
            }
            let opened = open(&sealed, &mut opener);
            // A doubled one may be more than a generation late.
            prop_assert_eq!(opened, if seen.insert(sealed.0) { Ok(()) } else { Err(Forged::Replay) });
        }
    }
}

#[test]
fn the_key_changes_with_the_generation_and_those_two_back_are_gone() {
    for suite in SUITES {
        let (sender, receiver) = pair(suite);
        let (mut sealer, mut opener) = (sender.slices, receiver.slices);
        let generation = 1 << GENERATION_SHIFT;
        let slices =
            [0, 1, generation - 1, generation, 2 * generation - 1, 2 * generation, 2 * generation + 1, 3 * generation];
        let slices = slices.map(|sequence| slice(&mut sealer, sequence));
        assert_eq!(open(&slices[5], &mut opener), Err(Forged::Tag), "nothing genuine leaps over a generation");
        assert_eq!(
            [0, 4, 3, 2].map(|at| open(&slices[at], &mut opener)),
            [Ok(()), Ok(()), Err(Forged::Replay), Err(Forged::Replay)]
        );
        assert_eq!([5, 6, 4].map(|at| open(&slices[at], &mut opener)), [Ok(()), Ok(()), Err(Forged::Replay)]);
        assert_eq!([7, 1].map(|at| open(&slices[at], &mut opener)), [Ok(()), Err(Forged::Replay)]);
    }
}

#[test]
fn a_ping_that_tells_of_generations_that_were_lost_whole_has_the_stream_go_on() {
    for lost_to in [16_u64, 17, 32, 33, 48, 1_000, 100_000] {
        let (sender, receiver) = pair(Suite::ChaCha20Poly1305);
        let (mut sealer, mut opener) =
            (sender.slices.with_generation_shift(4), receiver.slices.with_generation_shift(4));
        open(&slice(&mut sealer, 0), &mut opener).unwrap();
        opener.is_sent_to(lost_to);
        // What was on its way may still come, where it is of the generation before.
        let late = slice(&mut sealer, lost_to - 1);
        let next = slice(&mut sealer, lost_to);
        assert_eq!((open(&next, &mut opener), open(&late, &mut opener)), (Ok(()), Ok(())), "{lost_to}");
        opener.is_sent_to(3);
        assert_eq!(open(&slice(&mut sealer, lost_to + 1), &mut opener), Ok(()));
    }
}

#[test]
fn a_sequence_that_comes_again_is_not_sealed_again() {
    let (mut sender, _) = pair(Suite::Aes128Gcm);
    let sealer = &mut sender.slices;
    slice(sealer, 7);
    for sequence in [7, 6, 0, u64::MAX] {
        let (mut tag, mut sealed) = ([1; TAG_LEN], vec![1; 20]);
        sealer.seal_rising(sequence, &fields_of(sequence), &[2; 20], &mut sealed, &mut tag);
        assert_eq!((tag, sealed), ([0; TAG_LEN], vec![0; 20]), "{sequence}");
    }
    // A debug build stops before that.
    for sequence in [7, 6, 0] {
        let again = catch_unwind(AssertUnwindSafe(|| slice(sealer, sequence)));
        let zeroes = (sequence, [0; TAG_LEN], vec![0; 20]);
        assert_eq!(again.ok(), (!cfg!(debug_assertions)).then_some(zeroes));
    }
    assert_ne!(slice(sealer, 8), (8, [0; TAG_LEN], vec![0; 20]), "what rises is sealed as ever");
}
