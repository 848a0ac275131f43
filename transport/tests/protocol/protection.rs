//! The chapter on protection, and its known answers: what comes out of fixed keys.

use framewire_transport::crypto::{
    ControlOpener, ControlSealer, Forged, Initiator, Key, ReceiverSession, Responder, SenderSession, Suite, Suites,
};
use framewire_transport::wire::{
    Accept, Kind, Open, Ping, SLICE_HEADER_LEN, SealedAccept, SealedOpen, TAG_LEN, TIME_UNKNOWN, fields_len,
};

use crate::document;

fn example(name: &str) -> Vec<u8> {
    document::sections().into_iter().find(|section| section.name == name).unwrap().golden
}

fn answer(name: &str) -> Vec<u8> {
    document::answers().remove(name).unwrap_or_else(|| panic!("the document has no answer '{name}'"))
}

/// Bytes that count up from this one.
fn up_from(first: u8) -> [u8; 32] {
    std::array::from_fn(|at| first + at as u8)
}

fn key() -> Key {
    Key::from_bytes(up_from(0))
}

fn opening() -> (SealedOpen, Initiator) {
    let open = Open::parse(&example("Open")).unwrap();
    let mut sealed = SealedOpen::of(&open, key().id().bytes(), Suites::from_wire(3).bits());
    let started = Initiator::start_with(&key(), &sealed.context(), &SealedOpen::payload(&open), Some(&up_from(0x20)));
    let (initiator, message) = started.unwrap();
    sealed.message = message;
    (sealed, initiator)
}

fn accept() -> Accept {
    Accept { path_bytes: SealedOpen::LEN as u16, echo_ns: TIME_UNKNOWN, ..Accept::parse(&example("Accept")).unwrap() }
}

/// Both ends, their handshake, and its second message.
fn ends(suite: Suite) -> (SenderSession, ReceiverSession, SealedAccept) {
    let (opening, mut initiator) = opening();
    let read = Responder::read_with(&key(), &opening.context(), &opening.message, Some(&up_from(0x40)));
    let (responder, payload) = read.unwrap();
    assert_eq!(opening.open(&payload).emit()[..], example("Open"));
    let (receiver, message) = responder.accept(suite, &SealedAccept::payload(&accept())).unwrap();
    let sealed = SealedAccept::of(opening.stream, opening.epoch, accept().path_bytes, message);
    let (sender, payload) = initiator.finish(&message).unwrap();
    assert_eq!(sealed.accept(&payload), accept());
    (sender, receiver, sealed)
}

#[test]
fn the_tables_of_sealed_openings_name_every_field() {
    assert_eq!(document::sealed_openings(), [SealedOpen::FIELDS, SealedAccept::FIELDS]);
}

#[test]
fn the_handshake_is_that_of_the_document() {
    assert_eq!(key().id().bytes()[..], answer("key id"));
    assert_eq!(opening().0.emit()[..], answer("SealedOpen"));
    let (.., sealed) = ends(Suite::Aes128Gcm);
    assert_eq!(sealed.emit()[..], answer("SealedAccept"));
}

#[test]
fn slices_and_parity_are_sealed_as_in_the_document_and_opened_there() {
    let tagged = |bytes: &[u8], sequence: u64| {
        let mut head: [u8; SLICE_HEADER_LEN] = *bytes.first_chunk().unwrap();
        head[13] |= 1;
        head[16..24].copy_from_slice(&sequence.to_be_bytes());
        head
    };
    let (slice, parity) = (example("Slice"), example("Parity"));
    let last = [&[0; 16][..], &slice[SLICE_HEADER_LEN..]].concat();
    let shards = &parity[SLICE_HEADER_LEN..][..480];
    let cases = [
        (Suite::Aes128Gcm, "Slice", 2, &slice, &last[..]),
        (Suite::Aes128Gcm, "Parity", 3, &parity, shards),
        (Suite::Aes128Gcm, "Slice, generation 1", 1 << 22, &slice, &last),
        (Suite::ChaCha20Poly1305, "Slice, suite 2", 2, &slice, &last),
    ];
    let [mut aes, mut chacha] = [Suite::Aes128Gcm, Suite::ChaCha20Poly1305].map(ends);
    for (suite, name, sequence, bytes, payload) in cases {
        let (sender, receiver, _) = if suite == Suite::Aes128Gcm { &mut aes } else { &mut chacha };
        let (head, mut sealed, mut tag) = (tagged(bytes, sequence), vec![0; payload.len()], [0; TAG_LEN]);
        sender.slices.seal(sequence, &head, payload, &mut sealed, &mut tag);
        assert_eq!([&head[..], &tag, &sealed].concat(), answer(name), "{name}");
        assert_eq!(receiver.slices.open(sequence, &head, &tag, &mut sealed), Ok(()));
        assert_eq!(sealed, payload);
    }
}

#[test]
fn all_other_datagrams_are_sealed_as_in_the_document_and_opened_there() {
    let (mut sender, mut receiver, _) = ends(Suite::Aes128Gcm);
    let check = |name: &str, kind, sealer: &mut ControlSealer, opener: &mut ControlOpener| {
        let mut plain = example(name);
        if kind == Kind::Ping {
            let ping = Ping::parse(&plain).unwrap();
            plain = Ping { length: 108, ..ping }.emit().to_vec();
        }
        let fields = fields_len(kind, &plain).unwrap();
        let mut bytes = [&plain[..], &[0; 24]].concat();
        assert_eq!(sealer.seal(&mut bytes, fields), bytes.len());
        assert_eq!(bytes, answer(name), "{name}");
        assert_eq!(opener.open(&mut bytes, fields), Ok(()));
        assert_eq!(bytes[..fields], plain);
        assert_eq!(opener.open(&mut answer(name), fields), Err(Forged::Replay));
    };
    check("Ping", Kind::Ping, &mut sender.controls, &mut receiver.controls);
    check("Close", Kind::Close, &mut sender.controls, &mut receiver.controls);
    check("Feedback", Kind::Feedback, &mut receiver.answers, &mut sender.answers);
    check("Nack", Kind::Nack, &mut receiver.answers, &mut sender.answers);
    check("Closed", Kind::Closed, &mut receiver.answers, &mut sender.answers);
}

/// What both ends take from the handshake is seen by what they seal; the document's secrets and keys are a peer's to compute.
#[test]
fn a_peer_in_python_computes_every_known_answer_of_the_document() {
    let Some(python) = framewire_testing::python("import cryptography", "pip install cryptography") else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/answers.py");
    let done = std::process::Command::new(python).args([script, "check"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
