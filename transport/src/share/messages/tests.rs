use super::sample::{SHAPE, WANTED, described, from_hub, name, to_hub};
use super::*;

use proptest::prelude::*;

#[test]
fn every_message_is_read_as_it_was_written_with_the_longest_names_and_cut_off_nowhere() {
    let longest = "\u{1f4f7}".repeat(64);
    assert_eq!(longest.len(), NAME_BYTES_MAX);
    for message in to_hub(&longest) {
        let packet = Packet::from(&message);
        assert_eq!(ToHub::parse(packet.bytes()), Ok(message));
        for len in 0..packet.bytes().len() {
            assert_eq!(ToHub::parse(&packet.bytes()[..len]), Err(MessageError::Short(len)), "{message:?}");
        }
    }
    for message in from_hub(&longest) {
        let packet = Packet::from(&message);
        assert_eq!(FromHub::parse(packet.bytes()), Ok(message));
        for len in 0..packet.bytes().len() {
            assert_eq!(FromHub::parse(&packet.bytes()[..len]), Err(MessageError::Short(len)), "{message:?}");
        }
    }
}

#[test]
fn what_lies_where_on_the_socket_stays_so() {
    let subscribe = ToHub::Subscribe { wanted: WANTED, stream: name("front"), program: name("viewer") };
    assert_eq!(Packet::from(&subscribe).bytes(), b"FS\x01\x02\x01\x08\x02\0\x05front\0\x06viewer");
    let refused = FromHub::Refused { refusal: Refusal::Slots, number: 1, limit: 24 };
    assert_eq!(Packet::from(&refused).bytes(), b"FS\x01\x85\x03\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x18");
    assert_eq!(Packet::from(&ToHub::Mapped).bytes(), b"FS\x01\x04");
    assert_eq!(Packet::from(&ToHub::Leave).bytes(), b"FS\x01\x07");
    assert_eq!(Packet::from(&FromHub::Admitted).bytes(), b"FS\x01\x89");
    let entered = Packet::from(&FromHub::Entered { shape: SHAPE, clock_id: 5, now_ns: 9 });
    assert_eq!(entered.bytes()[..4], *b"FS\x01\x87");
    assert_eq!(entered.bytes()[4..12], 33_u64.to_be_bytes());
    assert_eq!(entered.bytes()[36..], *b"\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x09");
    let subscribed =
        Packet::from(&FromHub::Subscribed { stream: described("front"), shape: SHAPE, wanted: WANTED, now_ns: 9 });
    let at = 4 + 3 + 8 + 4 * 8;
    assert_eq!(subscribed.bytes()[at..at + Open::LEN], described("front").open.emit());
    assert_eq!(subscribed.bytes()[at + Open::LEN..], *b"\x01\0\x03\0\x05front");
}

#[test]
fn what_no_program_says_is_refused_with_what_is_wrong() {
    let wrong = |message: ToHub<'_>, at: usize, byte: u8| {
        let mut bytes = Packet::from(&message).bytes().to_vec();
        bytes[at] = byte;
        ToHub::parse(&bytes).unwrap_err()
    };
    let subscribe = ToHub::Subscribe { wanted: WANTED, stream: name("front"), program: name("viewer") };
    assert_eq!(wrong(subscribe, 0, b'G'), MessageError::Magic);
    assert_eq!(wrong(subscribe, 2, 9), MessageError::Version(9));
    assert_eq!(wrong(subscribe, 3, 132), MessageError::Kind(132));
    assert_eq!(wrong(subscribe, 4, 2), MessageError::Value("policy"));
    assert_eq!(wrong(subscribe, 5, 9), MessageError::Value("queue"));
    assert_eq!(wrong(subscribe, 6, 0), MessageError::Value("hold"));
    assert_eq!(wrong(subscribe, 9, 0xff), MessageError::Value("name"));
    assert_eq!(wrong(subscribe, 9, b'\n'), MessageError::Value("name"));
    assert_eq!(wrong(subscribe, 7, 0xff), MessageError::Short(22));
    let enter = ToHub::Enter { open: described("").open, nonce: 1, network: 2 };
    assert_eq!(wrong(enter, 4, 0), MessageError::Value("open"));
    let mut shape = SHAPE;
    shape.slots = 65;
    let packet = Packet::from(&FromHub::Entered { shape, clock_id: 5, now_ns: 9 });
    assert_eq!(FromHub::parse(packet.bytes()), Err(MessageError::Value("pool")));
    shape = PoolShape { stride: 8192, ..SHAPE };
    let packet = Packet::from(&FromHub::Entered { shape, clock_id: 5, now_ns: 9 });
    assert_eq!(FromHub::parse(packet.bytes()), Err(MessageError::Value("pool")));
}

#[test]
fn a_refusal_is_understood_in_any_version() {
    let refused = FromHub::Refused { refusal: Refusal::Version, number: 2, limit: 0 };
    let mut bytes = Packet::from(&refused).bytes().to_vec();
    bytes[2] = 2;
    assert_eq!(FromHub::parse(&bytes), Ok(refused));
}

proptest! {
    #[test]
    fn whatever_comes_is_refused_or_written_as_it_was_read(
        message in 0..16_usize, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut in any::<prop::sample::Index>(),
    ) {
        let (to_hub, from_hub) = (to_hub("front"), from_hub("front"));
        let packet = match message {
            0..7 => Packet::from(&to_hub[message]),
            _ => Packet::from(&from_hub[message - 7]),
        };
        let mut bytes = packet.bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        reread(&bytes);
        reread(&bytes[..cut.index(bytes.len())]);
    }
}

#[test]
fn no_secret_of_a_sender_is_shown_to_people() {
    let enter = ToHub::Enter { open: described("").open, nonce: 0xdead_beef_0123, network: 2 };
    let shown = format!("{enter:?}");
    assert!(shown.contains("network: 2") && !shown.contains(&0xdead_beef_0123_u64.to_string()), "{shown}");
}
