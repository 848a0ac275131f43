//! The port of a server that speaks TLS, to which anyone sends anything: it ends, and nobody is let in whose handshake is not one.
#![no_main]

use std::sync::LazyLock;

use framewire_signal::{Identity, outcome_at_the_front};
use libfuzzer_sys::fuzz_target;

static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
    let (certificate, key) = Identity::generate(&["localhost".to_owned()]).expect("there is randomness");
    Identity::from_pem(&certificate, &key).expect("it was just made")
});

fuzz_target!(|bytes: &[u8]| {
    assert!(outcome_at_the_front(bytes, &IDENTITY).is_err() || bytes.first().is_some_and(u8::is_ascii_uppercase));
    // A record of a handshake, and in it what a client says first: beyond these headers the fuzzer finds its way.
    let body = &bytes[..bytes.len().min(0x3fff)];
    let [high, low] = (body.len() as u16).to_be_bytes();
    assert!(outcome_at_the_front(&[&[22, 3, 1, high, low], body].concat(), &IDENTITY).is_err());
    let body = &body[..body.len().min(0x3ff0)];
    let ([high, low], [outer_high, outer_low]) =
        ((body.len() as u16).to_be_bytes(), (body.len() as u16 + 4).to_be_bytes());
    let hello = [&[22, 3, 1, outer_high, outer_low, 1, 0, high, low], body].concat();
    assert!(outcome_at_the_front(&hello, &IDENTITY).is_err(), "who has not heard the answer cannot have ended it");
});
