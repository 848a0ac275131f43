//! Both messages of the handshake, as anyone may change them: none but the true one is taken, and no other changes anything.
#![no_main]

use std::cell::RefCell;

use framewire_transport::crypto::{Initiator, MESSAGE_2_LEN, PAYLOAD_2_LEN, Responder, Suite};
use framewire_transport::receive::SealedOpening;
use framewire_transport::send::Fec;
use framewire_transport::wire::{AnyOpen, Delivery, SealedAccept, SealedOpen};
use framewire_transport::{Key, Time};
use fuzzed::{Choices, key, sender};
use libfuzzer_sys::fuzz_target;

/// One handshake, which every run tries.
struct Between {
    opening: SealedOpen,
    initiator: Initiator,
    answer: [u8; MESSAGE_2_LEN],
}

impl Default for Between {
    fn default() -> Self {
        let (_, mut subscriber) = sender(Delivery::Latest, Fec::Off, true);
        let mut bytes = [0; framewire_transport::send::CONTROL_MAX];
        let len = subscriber.poll_transmit(Time::from_nanos(1_000_000_000), &mut bytes).unwrap();
        let mut opening = SealedOpen::parse(&bytes[..len]).unwrap();
        let (initiator, message) = Initiator::start(&key(), &opening.context(), &[7; 100]).unwrap();
        opening.message = message;
        let (responder, _) = Responder::read(&key(), &opening.context(), &message).unwrap();
        let (_, answer) = responder.accept(Suite::ChaCha20Poly1305, &[9; PAYLOAD_2_LEN]).unwrap();
        Self { opening, initiator, answer }
    }
}

thread_local! {
    static BETWEEN: RefCell<Between> = RefCell::default();
}

fuzz_target!(|bytes: &[u8]| BETWEEN.with_borrow_mut(|between| {
    let mut choices = Choices(bytes);
    match choices.byte() % 4 {
        // Anything at all, under the right key and under another.
        0 => {
            if let Ok(AnyOpen::Sealed(opening)) = AnyOpen::parse(choices.0) {
                assert!(SealedOpening::read(&key(), &opening).is_err());
            }
        }
        1 => {
            let changed = changed(&mut choices, between.opening.emit());
            let Ok(opening) = SealedOpen::parse(&changed) else { return };
            assert_eq!(SealedOpening::read(&key(), &opening).is_ok(), opening == between.opening);
        }
        2 => {
            let other = Key::from_bytes(changed(&mut choices, *key().bytes()));
            assert_eq!(SealedOpening::read(&other, &between.opening).is_ok(), other == key());
        }
        _ => {
            let changed = changed(&mut choices, between.answer);
            // The true one would end it.
            if changed != between.answer {
                assert!(between.initiator.finish(&changed).is_err());
            }
            let _ = SealedAccept::parse(choices.0);
        }
    }
}));

/// With other bytes at some places.
fn changed<const LEN: usize>(choices: &mut Choices<'_>, mut bytes: [u8; LEN]) -> [u8; LEN] {
    for _ in 0..choices.byte() % 8 {
        let at = usize::from(choices.byte()) % LEN;
        bytes[at] ^= choices.byte();
    }
    bytes
}
